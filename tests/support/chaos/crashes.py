"""The operator is killed at one write: before it reaches the server, or after it was applied."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.support.chaos.calls import Answer, Call, Dropped, Kind
from tests.support.chaos.proxy import Fault, Forward
from tests.support.chaos.scenarios import Scenario
from tests.support.chaos.trial import Trial


class When(StrEnum):
    """The moment of the kill."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Point:
    """The `number`th write of its sort."""

    what: str
    number: int

    def __str__(self) -> str:
        return f"{self.what} #{self.number}"


def points(writes: Sequence[Call]) -> list[Point]:
    """Each write of an undisturbed life by its sort and number, in their order."""
    seen: Counter[str] = Counter()
    found = []
    for call in writes:
        seen[call.what] += 1
        found.append(Point(call.what, seen[call.what]))
    return found


@dataclass(frozen=True)
class Plan:
    """One crash of one scenario."""

    scenario: Scenario
    point: Point
    when: When

    @property
    def name(self) -> str:
        """Names the plan for people."""
        return f"{self.scenario.name}: killed {self.when} {self.point}"


def plans(scenario: Scenario, writes: Sequence[Call]) -> list[Plan]:
    """Two plans for each write."""
    return [Plan(scenario, point, when) for point in points(writes) for when in When]


class Counted(Fault):
    """Something that happens at one write, once."""

    def __init__(self, point: Point) -> None:
        self.done = False
        self._point = point
        self._seen: Counter[str] = Counter()

    def reached(self, call: Call) -> bool:
        """Count a write; whether it is the one."""
        if call.kind is not Kind.WRITE:
            return False
        self._seen[call.what] += 1
        here = not self.done and Point(call.what, self._seen[call.what]) == self._point
        self.done = self.done or here
        return here


class Crash(Counted):
    """Kills the replica that makes the write of a plan."""

    def __init__(self, trial: Trial, plan: Plan) -> None:
        super().__init__(plan.point)
        self._trial = trial
        self._when = plan.when

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """Kill before the write is handed on, or when its answer is there."""
        if not self.reached(call):
            return await forward()
        if self._when is When.AFTER:
            await forward()
        await self._trial.kill(call.replica)
        raise Dropped

"""Many trials side by side, each compared with the undisturbed life of its scenario."""

import asyncio
import json
import os
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from zlib import crc32

from tests.support.chaos.crashes import Counted, Crash, Plan, plans
from tests.support.chaos.outage_plans import Outage
from tests.support.chaos.proxy import Fault
from tests.support.chaos.scenarios import Scenario
from tests.support.chaos.trial import Laboratory, Result, Trial

References = dict[Scenario, Result]
SEED = "TRAININGJOB_FAULTS_SEED"
# A slow MLflow costs a write more or less, so that the point of a plan may not come up again. A
# campaign of which more plans than one in ten do nothing shows nothing.
MOST_NOT_REACHED = 10


@dataclass
class Report:
    """What came of a campaign."""

    plans: int
    violations: list[str]
    not_reached: list[str]

    @property
    def problems(self) -> list[str]:
        """Why the campaign failed: violations, or too many plans whose moment never came."""
        skipped = len(self.not_reached)
        if skipped <= max(1, self.plans // MOST_NOT_REACHED):
            return self.violations
        return [*self.violations, f"{skipped} of {self.plans} plans did nothing"]

    def add(
        self,
        name: str,
        result: Result,
        differs: list[str],
        fault: Fault,
        progress: Callable[[str], None],
    ) -> None:
        """Take what came of one plan."""
        self.plans += 1
        if isinstance(fault, Counted) and not fault.done:
            self.not_reached.append(name)
        if differs:
            self.violations.append("\n  ".join([name, *differs, f"see {result.log}"]))
        progress(f"{self.plans}: {name}: {'; '.join(differs) or 'as undisturbed'}")

    def __str__(self) -> str:
        lines = [f"{self.plans} plans, {len(self.violations)} with violations"]
        if self.not_reached:
            reported = ", ".join(self.not_reached)
            lines.append(f"{len(self.not_reached)} whose point did not come up again: {reported}")
        return "\n".join([*lines, *self.violations])


async def undisturbed(laboratory: Laboratory, scenarios: Iterable[Scenario]) -> References:
    """Play each scenario as it ought to go."""
    played = list(scenarios)
    results = await asyncio.gather(
        *(Trial(laboratory, one, f"{one.name}: undisturbed").run() for one in played)
    )
    for result in results:
        assert not result.violations, f"{result.name}: {result.violations}, see {result.log}"
    return dict(zip(played, results, strict=True))


def crash_plans(references: References) -> list[Plan]:
    """All crashes of all scenarios."""
    return [plan for one, result in references.items() for plan in plans(one, result.writes)]


def sample(chosen: Sequence[Plan], size: int) -> list[Plan]:
    """Some plans, always the same ones: the order of a checksum mixes scenarios and points."""
    return sorted(chosen, key=lambda plan: crc32(plan.name.encode()))[:size]


def random_sample(chosen: Sequence[Plan], size: int, progress: Callable[[str], None]) -> list[Plan]:
    """Some plans, other ones each time; the seed is printed, and taken from SEED to repeat them."""
    seed = os.environ.get(SEED) or str(random.SystemRandom().randrange(10**6))
    progress(f"{SEED}={seed}")
    return random.Random(seed).sample(list(chosen), size)  # noqa: S311 - nothing is secret here


async def crash(
    laboratory: Laboratory,
    references: References,
    chosen: Iterable[Plan],
    progress: Callable[[str], None],
    replicas: Sequence[str] = ("a",),
) -> Report:
    """Carry plans out, with one replica of the operator or with two."""
    report = Report(0, [], [])

    async def one(plan: Plan) -> None:
        def fault(trial: Trial) -> Fault:
            return Crash(trial, plan)

        trial = Trial(laboratory, plan.scenario, plan.name, fault, replicas)
        result = await trial.run()
        if result.mlflow_was_slow:
            forgive_outage(references[plan.scenario], result)
        differs = differences(references[plan.scenario], result)
        report.add(plan.name, result, differs, trial.proxy.fault, progress)

    await asyncio.gather(*(one(plan) for plan in chosen))
    return report


async def suffer(
    laboratory: Laboratory,
    references: References,
    outages: Iterable[Outage],
    progress: Callable[[str], None],
) -> Report:
    """Carry outages out. They may show in events, and may cost pods the id of their run."""
    report = Report(0, [], [])
    chosen = list(outages)
    others = {outage.scenario for outage in chosen} - references.keys()
    references = {**references, **await undisturbed(laboratory, others)}

    async def one(outage: Outage) -> None:
        trial = Trial(laboratory, outage.scenario, outage.name, outage.fault, outage.replicas)
        result = await trial.run()
        reference = references[outage.scenario]
        forgive_outage(reference, result)
        differs = differences(reference, result)
        report.add(outage.name, result, differs, trial.proxy.fault, progress)

    await asyncio.gather(*(one(outage) for outage in chosen))
    return report


def forgive_outage(reference: Result, result: Result) -> None:
    """An outage may show in events, and may cost pods the id of their run."""
    result.events = []
    for there, here in zip(reference.end.get("jobs", []), result.end.get("jobs", []), strict=False):
        here["env"] = there["env"]


def differences(reference: Result, result: Result) -> list[str]:
    """The violations of a trial, and in what its end is not that of the undisturbed life."""
    found = list(result.violations)
    if result.end and result.end != reference.end:
        lines = unified_diff(_lines(reference), _lines(result), "undisturbed", "here", n=2)
        found.append("the end is another one:\n" + "\n".join(lines))
    more = set(result.events) - set(reference.events)
    if more:
        found.append(f"events that the undisturbed life has not: {sorted(more)}")
    return found


def _lines(result: Result) -> list[str]:
    return json.dumps(result.end, indent=1, default=str).splitlines()

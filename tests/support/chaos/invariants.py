"""What must never be, at no moment; looked at with every change of one namespace."""

from collections.abc import Callable

from tests.support.chaos.calls import Call
from tests.support.chaos.upstream import Json
from tests.support.chaos.world import Objects

TERMINAL_STATES = ("Succeeded", "Failed")
TERMINAL_RUNS = ("FINISHED", "FAILED", "KILLED")
ENDED_PHASES = ("Succeeded", "Failed")
COUNTED = {"failedAttempts": "Failed", "disruptions": "Disrupted"}


class Invariants:
    """Collects the violations of one namespace."""

    def __init__(self, objects: Callable[[str], Objects]) -> None:
        self.violations: list[str] = []
        self._objects = objects

    def changed(self, plural: str, before: Json | None, now: Json | None) -> None:
        """Look at one change."""
        if plural == "pods":
            self._one_live_attempt()
        if plural == "trainingjobs" and now is not None:
            self._status_makes_sense((before or {}).get("status", {}), now.get("status", {}))

    def _one_live_attempt(self) -> None:
        live = {
            pod["metadata"]["labels"]["trainingjob.dev/attempt"]
            for pod in self._objects("pods").values()
            if pod.get("status", {}).get("phase") not in ENDED_PHASES
        }
        if len(live) > 1:
            self._tell(f"attempts {sorted(live)} live at the same time")

    def _status_makes_sense(self, before: Json, now: Json) -> None:
        end = ("state", "completionTime")
        if before.get("state") in TERMINAL_STATES and any(
            before.get(one) != now.get(one) for one in end
        ):
            self._tell(f"an end changed: {before} to {now}")
        if now.get("attempt", 0) - before.get("attempt", 0) not in (0, 1):
            self._tell(f"attempt {before.get('attempt')} to {now.get('attempt')}")
        for counter, outcome in COUNTED.items():
            count = now.get(counter, 0)
            ended = [one for one in now.get("attempts", []) if one.get("outcome") == outcome]
            if count < before.get(counter, 0) or count > len(ended):
                self._tell(f"{counter} is {count} with {len(ended)} attempts that are {outcome}")

    def run_was_written_once(self, applied: list[Call], at_most: int) -> None:
        """The run's terminal status is written once, and no other one after it.

        Where answers are lost it may be written again: the same once more changes nothing.
        """
        updates = [call.what.split()[1] for call in applied if call.what.startswith("runs/update")]
        ends = [status for status in updates if status in TERMINAL_RUNS]
        if len(ends) > at_most or len(set(ends)) > 1 or (ends and updates[-1] != ends[-1]):
            self._tell(f"the run's status was written as {updates}")

    def _tell(self, violation: str) -> None:
        if violation not in self.violations:
            self.violations.append(violation)

"""Objects that the API server rejected: kept for the next decision, retried ever later."""

from dataclasses import dataclass

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.cluster.caches import key_of
from trainingjob_operator.core.observe import Refusal

AGAIN_AT_MOST = 60.0


class RefusedError(Exception):
    """The API server rejected an object."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class _Refused:
    """The last refusal of a job's object, and the number of refusals."""

    uid: str
    refusal: Refusal
    tries: int


class Refusals:
    """The last refusal of each job."""

    def __init__(self) -> None:
        self._known: dict[str, _Refused] = {}

    def known(self, job: TrainingJob) -> Refusal | None:
        """The refusal of the job itself, not of an earlier one of its name."""
        found = self._of(job)
        return found.refusal if found is not None else None

    def note(self, job: TrainingJob, refusal: Refusal) -> float:
        """Keep it for the next decision; returns the seconds until then, 0 if it is a new one."""
        known = self._of(job)
        tries = known.tries if known is not None else 0
        self._known[key_of(job)] = _Refused(job.metadata.uid, refusal, tries + 1)
        news = known is None or known.refusal.reason != refusal.reason
        return 0.0 if news else min(AGAIN_AT_MOST, 2.0 ** min(tries, 10))

    def forget(self, key: str) -> None:
        """Drop the refusal of a job that is gone or got its object."""
        self._known.pop(key, None)

    def _of(self, job: TrainingJob) -> _Refused | None:
        known = self._known.get(key_of(job))
        return known if known is not None and known.uid == job.metadata.uid else None

"""The Jobs of attempts beyond spec.attemptHistoryLimit; status.attempts stays."""

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core import names
from trainingjob_operator.core.intent import Action, ActionKind
from trainingjob_operator.core.observe import JobView, Observed, PodView
from trainingjob_operator.core.plans import ending


def prune(job: TrainingJob, observed: Observed) -> tuple[Action, ...]:
    """Delete the remains of old attempts: Jobs with their pods, and pods that no Job owns.

    The attempt in status.attempt is never old, nor is a later one, whatever the limit. A Job is
    deleted once it is over, has no live pod and no longer has our finalizer: then its end is
    recorded, and it is not needed any more.
    """
    first_kept = job.status.attempt - job.spec.attempt_history_limit
    if first_kept <= 1:
        return ()
    kept = {
        names.child_job(job.metadata.name, number)
        for number in range(first_kept, job.status.attempt + 1)
    }
    later = names.child_job(job.metadata.name, job.status.attempt + 1)
    old = [
        child
        for child in observed.jobs_of(job.metadata.uid)
        if child.name not in {*kept, later} and _over(child, observed)
    ]
    deletions = [action for child in old for action in ending.deletion(child, observed.pods)]
    pods = tuple(pod for pod in observed.pods if pod.attempt < first_kept)
    return (*deletions, *ended_orphans(pods))


def ended_orphans(pods: tuple[PodView, ...]) -> tuple[Action, ...]:
    """Delete ended pods that no Job owns: the garbage collector never would."""
    return tuple(
        Action(ActionKind.DELETE_POD, name=pod.name)
        for pod in pods
        if not (pod.job_uid or pod.live or pod.deleting)
    )


def _over(child: JobView, observed: Observed) -> bool:
    live = any(pod.live and pod.job_uid == child.uid for pod in observed.pods)
    return (child.ended or child.cleared) and not (child.held or live)

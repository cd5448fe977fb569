"""A TrainingJob deleted before its end: pods first, then its run is KILLED, then it may go."""

from dataclasses import replace
from datetime import datetime, timedelta

from trainingjob_operator.core import contract, run_tags
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import Action, ActionKind, Plan, RunIntent, RunStatus
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.plans import ending, status
from trainingjob_operator.core.run_status import TERMINAL_STATES

# How long an MLflow that does not answer may hold a deletion up.
RELEASE_AFTER = timedelta(seconds=120)
# The informers tell of the last pod's end; seconds until a look without them.
RECHECK = 30.0


def decide_deletion(context: Context, observed: Observed) -> Plan:
    """The plan for a TrainingJob with a deletionTimestamp.

    The run is KILLED only when no pod is left: until then a script in a dying pod may still
    write its own idea of the status.
    """
    if contract.FINALIZER not in context.job.metadata.finalizers:
        return Plan()
    if context.tracking is None:
        return Plan(actions=(Action(ActionKind.REMOVE_FINALIZER),))
    if observed.jobs_of(context.job.metadata.uid) or any(pod.live for pod in observed.pods):
        intent = _only_existing(status.run_intent(context, context.job.status))
        ends = (*_end_jobs(context, observed), *_end_orphans(observed))
        return Plan(actions=ends, run=intent, requeue_after=RECHECK)
    return _close_run(context)


def _end_jobs(context: Context, observed: Observed) -> tuple[Action, ...]:
    """Delete the Jobs, and by that their pods; what they were held for is of no more use."""
    children = observed.jobs_of(context.job.metadata.uid)
    deletions = tuple(one for child in children for one in ending.deletion(child, observed.pods))
    return deletions or ending.release(children)


def _end_orphans(observed: Observed) -> tuple[Action, ...]:
    """Delete the pods that no Job owns any more, as after `kubectl delete --cascade=orphan`."""
    return tuple(
        Action(ActionKind.DELETE_POD, name=pod.name)
        for pod in observed.pods
        if pod.live and not pod.job_uid and not pod.deleting
    )


def _close_run(context: Context) -> Plan:
    intent = _only_existing(status.run_intent(context, context.job.status))
    if context.job.status.state not in TERMINAL_STATES:
        intent = _killed(context, intent)
    nothing_to_tell = context.run.missing or context.run.deleted
    overdue = given_up(context, context.job.metadata.deletion_timestamp)
    if context.run.status == intent.status or nothing_to_tell or overdue:
        return Plan(actions=(Action(ActionKind.REMOVE_FINALIZER),), run=intent)
    return Plan(run=intent, requeue_after=RELEASE_AFTER.total_seconds())


def _killed(context: Context, intent: RunIntent) -> RunIntent:
    ended = context.job.metadata.deletion_timestamp or context.now
    tags = {**dict(intent.tags), **run_tags.of_deletion(context.job, ended)}
    return replace(intent, status=RunStatus.KILLED, ended_at=ended, tags=tuple(tags.items()))


def _only_existing(intent: RunIntent) -> RunIntent:
    return replace(intent, create=False)


def given_up(context: Context, since: datetime | None, patience: timedelta = RELEASE_AFTER) -> bool:
    """Whether an MLflow that does not answer has been waited for long enough since a moment."""
    return context.run.problem is not None and since is not None and context.now - since >= patience

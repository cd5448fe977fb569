"""A job that has ended: its pods, the finalizer of its Jobs, and its own time to live."""

from dataclasses import replace
from datetime import timedelta

from trainingjob_operator.api import CleanPodPolicy
from trainingjob_operator.core import conditions
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import Action, ActionKind, EventIntent, Plan
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.plans import ending, history, status
from trainingjob_operator.core.plans.deletion import RECHECK, RELEASE_AFTER, given_up, told

# How long an MLflow that does not answer may hold up a job that has a time to live: longer than a
# deletion that somebody waits for, and longer than a restart of MLflow takes.
TTL_RELEASE_AFTER = timedelta(minutes=10)
RUN_LEFT_OPEN = "RunLeftOpen"


def decide_ended(context: Context, observed: Observed) -> Plan:
    """Terminal states never reverse; what is left is to clear up.

    Containers beside the trainer's may still run, and so may ranks of a job that failed: all are
    ended, whatever the policy, which is about what has ended. The time to live waits for the
    finalizer: a job that went before MLflow was told would leave its run open, to be swept up as
    KILLED.
    """
    ends = _ends(context, observed)
    if ends:
        return Plan(actions=ends)
    held = ending.release(observed.jobs_of(context.job.metadata.uid))
    plan = _time_to_live(context) if _is_over(context, held) else _release(context, held)
    if observed.live(context.job.metadata.uid):
        again = min(plan.requeue_after or RECHECK, RECHECK)
        return replace(plan, requeue_after=again)
    return plan


def _ends(context: Context, observed: Observed) -> tuple[Action, ...]:
    if context.job.spec.clean_pod_policy != CleanPodPolicy.ALL:
        old = history.prune(context.job, observed)
        return (*old, *ending.end_all(context.job, observed))
    children = observed.jobs_of(context.job.metadata.uid)
    deletions = [one for child in children for one in ending.deletion(child, observed.pods)]
    orphans = tuple(pod for pod in observed.pods if not pod.job_uid)
    return (*deletions, *ending.end_pods(observed, orphans))


def _is_over(context: Context, held: tuple[Action, ...]) -> bool:
    """Whether no Job is held, and MLflow was told, cannot be, or has lost the run."""
    if held:
        return False
    if context.tracking is None or told(context):
        return True
    synced = conditions.found(context.job.status, conditions.MLFLOW_SYNCED)
    return synced is not None and synced.reason == conditions.RUN_DELETED


def _time_to_live(context: Context) -> Plan:
    left = _seconds_to_live(context)
    if left is None:
        return Plan()
    if left > 0:
        return Plan(requeue_after=left)
    metadata = context.job.metadata
    delete = Action(ActionKind.DELETE_TRAININGJOB, name=metadata.name, uid=metadata.uid)
    return Plan(actions=(delete,))


def _seconds_to_live(context: Context) -> float | None:
    ttl, ended = context.job.spec.ttl_seconds_after_finished, context.job.status.completion_time
    if ttl is None or ended is None:
        return None
    return (ended + timedelta(seconds=ttl) - context.now).total_seconds()


def _release(context: Context, held: tuple[Action, ...]) -> Plan:
    """The finalizer of the Jobs goes once MLflow tells the same end, and all else is closed.

    A server that does not answer holds up a job without a time to live for as long as the job is
    kept: that harms nobody. With one it is waited for ten minutes, and where the operator may use
    the server no longer, no longer than by a deletion: nobody may ever bring it back.
    """
    job = context.job
    if context.tracking is None:
        return Plan(actions=held)
    wanted = status.run_intent(context, job.status)
    if held and ((told(context) and context.run.closed) or context.run.deleted):
        return Plan(actions=held, run=wanted)
    patience = _patience(context, context.tracking.uri)
    if patience is not None and given_up(context, job.status.completion_time, patience):
        if held:
            return Plan(actions=held, run=wanted, events=(_left_open(context, patience),))
        return replace(_time_to_live(context), run=wanted)
    waiting = status.plan(context, job.status)
    return replace(waiting, requeue_after=(patience or RELEASE_AFTER).total_seconds())


def _patience(context: Context, tracking_uri: str) -> timedelta | None:
    """How long after the job's end MLflow may hold its finalizer; None for ever."""
    if context.uris.resolve(tracking_uri) is None:
        return RELEASE_AFTER
    ttl = context.job.spec.ttl_seconds_after_finished
    return None if ttl is None else TTL_RELEASE_AFTER


def _left_open(context: Context, patience: timedelta) -> EventIntent:
    minutes = int(patience.total_seconds() // 60)
    return EventIntent(
        "Warning",
        RUN_LEFT_OPEN,
        f"MLflow did not take the job's end within {minutes} minutes; its run may stay open: "
        f"{context.run.problem}",
    )

"""A job that has ended: its pods, the finalizer of its Jobs, and its own time to live."""

from dataclasses import replace
from datetime import timedelta

from trainingjob_operator.api import CleanPodPolicy
from trainingjob_operator.core import conditions
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import Action, ActionKind, EventIntent, Plan
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.plans import ending, history, status
from trainingjob_operator.core.plans.deletion import RECHECK, RELEASE_AFTER, end_confirmed, given_up

# How long a job with a time to live waits for an MLflow that does not answer: longer than a
# deletion that somebody waits for, and longer than a restart of MLflow takes.
TTL_RELEASE_AFTER = timedelta(minutes=10)
RUN_LEFT_OPEN = "RunLeftOpen"


def decide_ended(context: Context, observed: Observed) -> Plan:
    """Terminal states never reverse; only the cleanup is left.

    Other containers than the trainer may still run, and so may ranks of a failed job: all are
    ended, whatever the cleanPodPolicy, which concerns ended pods only. The time to live waits for
    the finalizer: if the job were deleted before MLflow has its end, its run would stay open until
    the sweep sets it to KILLED.
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
    """Whether no Job is held, and MLflow has the end, cannot be reached, or has lost the run."""
    if held:
        return False
    if context.tracking is None or end_confirmed(context):
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
    """Remove the finalizer of the Jobs once MLflow has the same end and all else is closed.

    A job without a time to live waits for a server that does not answer as long as the job is
    kept, which does no harm. A job with one waits for ten minutes; if the operator may no longer
    use the server, as long as a deletion waits, since the server may never be allowed again.
    """
    job = context.job
    if context.tracking is None:
        return Plan(actions=held)
    wanted = status.run_intent(context, job.status)
    if held and ((end_confirmed(context) and context.run.closed) or context.run.deleted):
        return Plan(actions=held, run=wanted)
    patience = _patience(context, context.tracking.uri)
    if patience is not None and given_up(context, job.status.completion_time, patience):
        if held:
            return Plan(actions=held, run=wanted, events=(_left_open(context, patience),))
        return replace(_time_to_live(context), run=wanted)
    waiting = status.plan(context, job.status)
    return replace(waiting, requeue_after=(patience or RELEASE_AFTER).total_seconds())


def _patience(context: Context, tracking_uri: str) -> timedelta | None:
    """How long after the job's end the finalizer waits for MLflow; None for ever."""
    if context.uris.resolve(tracking_uri) is None:
        return RELEASE_AFTER
    ttl = context.job.spec.ttl_seconds_after_finished
    return None if ttl is None else TTL_RELEASE_AFTER


def _left_open(context: Context, patience: timedelta) -> EventIntent:
    minutes = int(patience.total_seconds() // 60)
    return EventIntent(
        "Warning",
        RUN_LEFT_OPEN,
        f"MLflow did not accept the job's end within {minutes} minutes; its run may stay open: "
        f"{context.run.problem}",
    )

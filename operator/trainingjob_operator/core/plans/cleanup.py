"""A job that has ended: its finalizer, its pods, and its own time to live."""

from dataclasses import replace
from datetime import timedelta

from trainingjob_operator.api import CleanPodPolicy
from trainingjob_operator.core import contract
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import Action, ActionKind, EventIntent, Plan
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.plans import ending, history, status
from trainingjob_operator.core.plans.deletion import RECHECK, RELEASE_AFTER, given_up

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
    plan = _after_all(context)
    if observed.live(context.job.metadata.uid):
        again = min(plan.requeue_after or RECHECK, RECHECK)
        return replace(plan, requeue_after=again)
    return plan


def _ends(context: Context, observed: Observed) -> tuple[Action, ...]:
    children = observed.jobs_of(context.job.metadata.uid)
    released = ending.release(children)
    if context.job.spec.clean_pod_policy != CleanPodPolicy.ALL:
        old = history.prune(context.job, observed)
        return (*released, *old, *ending.end_all(context.job, observed))
    deletions = [one for child in children for one in ending.deletion(child, observed.pods)]
    orphans = tuple(pod for pod in observed.pods if not pod.job_uid)
    return (*deletions, *released, *ending.end_pods(observed, orphans))


def _after_all(context: Context) -> Plan:
    if contract.FINALIZER in context.job.metadata.finalizers:
        return _release(context)
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


def _release(context: Context) -> Plan:
    """The finalizer goes once MLflow is known to tell the same end.

    A server that does not answer holds up a job without a time to live for as long as the job is
    kept: that harms nobody. With one it is waited for ten minutes, and where the operator may use
    the server no longer, no longer than by a deletion: nobody may ever bring it back.
    """
    job = context.job
    release = (Action(ActionKind.REMOVE_FINALIZER),)
    if context.tracking is None:
        return Plan(actions=release)
    wanted = status.run_intent(context, job.status)
    stored = job.status.mlflow.status if job.status.mlflow else None
    if stored == wanted.status or context.run.deleted:
        return Plan(actions=release, run=wanted)
    patience = _patience(context, context.tracking.uri)
    if patience is not None and given_up(context, job.status.completion_time, patience):
        return Plan(actions=release, run=wanted, events=(_left_open(context, patience),))
    held = status.plan(context, job.status)
    return replace(held, requeue_after=(patience or RELEASE_AFTER).total_seconds())


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

"""A job that has ended: its finalizer, its pods, and its own time to live."""

from dataclasses import replace
from datetime import timedelta

from trainingjob_operator.api import CleanPodPolicy
from trainingjob_operator.core import contract
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import Action, ActionKind, Plan
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.plans import ending, status
from trainingjob_operator.core.plans.deletion import RECHECK, RELEASE_AFTER, given_up


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
        return (*released, *ending.end_all(context.job, observed))
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

    A server that the operator may use no longer, and that does not answer, is waited for no longer
    than by a deletion: nobody may ever bring it back.
    """
    job = context.job
    if context.tracking_uri is None:
        return Plan(actions=(Action(ActionKind.REMOVE_FINALIZER),))
    wanted = status.run_intent(context, job.status)
    stored = job.status.mlflow.status if job.status.mlflow else None
    removed = context.uris.resolve(context.tracking_uri) is None
    abandoned = removed and given_up(context, job.status.completion_time)
    if stored == wanted.status or context.run.deleted or abandoned:
        return Plan(actions=(Action(ActionKind.REMOVE_FINALIZER),), run=wanted)
    return replace(status.plan(context, job.status), requeue_after=RELEASE_AFTER.total_seconds())

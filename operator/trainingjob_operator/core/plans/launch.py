"""The start of an attempt: its objects have fixed names, so that creating them again conflicts."""

from dataclasses import replace
from datetime import timedelta

from trainingjob_operator.api import State
from trainingjob_operator.core import attempts, initializers, injection, manifests
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import Action, ActionKind, Plan
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.plans import status

# A job that waits longer than this for its run becomes Pending; an ordinary start saves that write.
PENDING_AFTER = timedelta(seconds=15)
# A created run, or a server that does not answer, is notified; seconds to a reconcile without that.
RECHECK = 30.0


def record_attempt(context: Context) -> Plan:
    """Record the next attempt before its Job is created."""
    return status.plan(context, attempts.begun(context))


def another_run(context: Context) -> Plan | None:
    """First request another run if somebody deleted that of the job.

    The pods of the next attempt could not write to it, and a fluent script would even fail.
    """
    if not context.run.deleted or context.run_identity is None:
        return None
    intent = status.run_intent(context, context.job.status)
    another = replace(intent, identity=None, replaces=context.run_identity.run_id)
    return Plan(run=another, requeue_after=PENDING_AFTER.total_seconds())


def wait_for_run(context: Context) -> Plan | None:
    """Wait until the run exists or MLflow is known not to answer; None when that is so.

    So the pods know its id from their start; an outage of MLflow delays nothing, since the trainer
    finds a late run by its uid tag.
    """
    if context.run.identity is not None or context.run.problem is not None:
        return None
    job = context.job
    intent = status.run_intent(context, job.status)
    if job.status.state is not None:
        return Plan(run=intent, requeue_after=RECHECK)
    created = job.metadata.creation_timestamp or context.now
    left = (created + PENDING_AFTER - context.now).total_seconds()
    if left > 0:
        return Plan(run=intent, requeue_after=left)
    return status.plan(context, job.status.model_copy(update={"state": State.PENDING}))


def create(context: Context, observed: Observed) -> Plan:
    """Create the attempt's objects; the Service first, so that no rank starts without its names.

    The first attempt that gets this far creates the claim of the checkpoints for all later ones.
    """
    job = context.job
    assert context.tracking is not None  # noqa: S101 - decide() refused the job otherwise
    child = manifests.child_job(
        job, job.status.attempt, context.run_identity, context.tracking, context.defaults
    )
    child = initializers.with_initializers(child, job.spec, context.defaults.agent)
    child = injection.with_agent(child, job.spec, context.defaults.agent)
    actions = [Action(ActionKind.CREATE_JOB, manifest=child)]
    actions[:0] = _missing_service(context, observed)
    claim = manifests.checkpoint_claim(job)
    if claim is not None and not any(one.running_time for one in job.status.attempts):
        actions.insert(0, Action(ActionKind.CREATE_CLAIM, manifest=claim))
    return Plan(actions=tuple(actions), run=status.run_intent(context, job.status))


def with_service(context: Context, observed: Observed, plan: Plan) -> Plan:
    """Create the Service again if somebody deleted it, once nothing else is left to do."""
    if plan.status is not None or plan.actions:
        return plan
    return replace(plan, actions=_missing_service(context, observed))


def _missing_service(context: Context, observed: Observed) -> tuple[Action, ...]:
    if context.job.spec.num_nodes == 1 or observed.service:
        return ()
    service = manifests.headless_service(context.job)
    return (Action(ActionKind.CREATE_SERVICE, manifest=service),)

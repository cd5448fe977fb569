"""The start of an attempt: recorded in the status first, then created under a fixed name."""

from dataclasses import replace
from datetime import timedelta

from trainingjob_operator.api import State
from trainingjob_operator.core import attempts, manifests
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import Action, ActionKind, Plan
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.plans import status

# A run that takes longer than this is told as Pending; in an ordinary start that is one write less.
PENDING_AFTER = timedelta(seconds=2)


def begin(context: Context) -> Plan:
    """Record the first attempt, once the run exists or MLflow is known not to answer.

    Waiting for the run lets the pods know its id from their start; an MLflow that is down holds
    nothing up, since the trainer finds a late run by its uid tag.
    """
    if context.run.identity is None and context.run.problem is None:
        return _wait_for_run(context)
    return another_run(context) or record_attempt(context)


def record_attempt(context: Context) -> Plan:
    """Record the next attempt; its Job is created only when that is stored."""
    return status.plan(context, attempts.begun(context))


def another_run(context: Context) -> Plan | None:
    """Ask for another run first where somebody deleted that of the job.

    The pods of the next attempt could not write to it, and a fluent script even fails at it.
    """
    if not context.run.deleted or context.run_identity is None:
        return None
    intent = status.run_intent(context, context.job.status)
    another = replace(intent, identity=None, replaces=context.run_identity.run_id)
    return Plan(run=another, requeue_after=PENDING_AFTER.total_seconds())


def _wait_for_run(context: Context) -> Plan:
    job = context.job
    created = job.metadata.creation_timestamp or context.now
    if job.status.state is None and context.now - created >= PENDING_AFTER:
        return status.plan(context, job.status.model_copy(update={"state": State.PENDING}))
    intent = status.run_intent(context, job.status)
    return Plan(run=intent, requeue_after=PENDING_AFTER.total_seconds())


def create(context: Context, observed: Observed) -> Plan:
    """Create the attempt's objects; the Service first, so that no rank starts without its names.

    The claim of the checkpoints comes with the first attempt that gets so far, and is there for
    all that follow one which ran.
    """
    job = context.job
    assert context.tracking is not None  # noqa: S101 - decide() refused the job otherwise
    child = manifests.child_job(job, job.status.attempt, context.run_identity, context.tracking)
    actions = [Action(ActionKind.CREATE_JOB, manifest=child)]
    actions[:0] = _missing_service(context, observed)
    claim = manifests.checkpoint_claim(job)
    if claim is not None and not any(one.running_time for one in job.status.attempts):
        actions.insert(0, Action(ActionKind.CREATE_CLAIM, manifest=claim))
    return Plan(actions=tuple(actions), run=status.run_intent(context, job.status))


def with_service(context: Context, observed: Observed, plan: Plan) -> Plan:
    """Create the Service again where somebody deleted it, once nothing else is to be done."""
    if plan.status is not None or plan.actions:
        return plan
    return replace(plan, actions=_missing_service(context, observed))


def _missing_service(context: Context, observed: Observed) -> tuple[Action, ...]:
    if context.job.spec.num_nodes == 1 or observed.service:
        return ()
    service = manifests.headless_service(context.job)
    return (Action(ActionKind.CREATE_SERVICE, manifest=service),)

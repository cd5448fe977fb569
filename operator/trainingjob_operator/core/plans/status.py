"""The plan that stores a wanted status, with the run and the conditions that belong to it."""

from trainingjob_operator.api import MlflowStatus, State, TrainingJob, TrainingJobStatus
from trainingjob_operator.core import conditions, contract, goodput, inherited, run_page, run_tags
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import (
    EventIntent,
    Plan,
    RunIntent,
    StepWatch,
)
from trainingjob_operator.core.policies import tenancy
from trainingjob_operator.core.progress import with_progress
from trainingjob_operator.core.run_status import RUN_STATUS, WAITING_STATES


def run_intent(context: Context, status: TrainingJobStatus) -> RunIntent:
    """The run that belongs to `status`."""
    job = context.job
    assert context.tracking is not None  # noqa: S101 - decide() refused the job otherwise
    tags = {**run_page.tags(job), **run_tags.of(job, status)}
    if context.uris.cluster:
        tags[contract.TAG_CLUSTER] = context.uris.cluster
    return RunIntent(
        uid=job.metadata.uid,
        tracking_uri=context.tracking.uri,
        workspace=context.tracking.workspace,
        experiment=tenancy.experiment(job, context.uris),
        name=job.spec.mlflow.run_name or job.metadata.name,
        created_at=job.metadata.creation_timestamp or context.now,
        status=RUN_STATUS[status.state or State.PENDING],
        ended_at=status.completion_time,
        identity=context.run_identity,
        watch=_step_watch(job, status),
        tags=tuple(tags.items()),
        starting=_about_to_run(job, status),
    )


def _about_to_run(job: TrainingJob, status: TrainingJobStatus) -> bool:
    waits = job.spec.suspend or inherited.queue(job) is not None
    return status.state is None and not waits


def _step_watch(job: TrainingJob, status: TrainingJobStatus) -> StepWatch | None:
    policy = job.spec.stall_policy
    if policy is None or status.state != State.RUNNING or status.running_time is None:
        return None
    return StepWatch(status.running_time, policy.timeout_seconds)


def plan(context: Context, wanted: TrainingJobStatus, *events: EventIntent) -> Plan:
    """Store `wanted` if it differs from what is stored, with what is known of the run in it."""
    wanted = _with_suspended_time(context, with_progress(wanted, context.run, context.now))
    wanted = wanted.model_copy(
        update={
            "mlflow": _mlflow(context, wanted),
            "goodput": goodput.advanced(context.job, wanted, context.now),
            "observed_generation": context.job.metadata.generation,
            "num_nodes": context.job.spec.num_nodes,
            "preparing": wanted.preparing if _still_starts(wanted) else None,
        }
    )
    intent = run_intent(context, wanted)
    wanted = conditions.with_conditions(
        wanted, context.job, context.run, intent.status, context.now
    )
    if wanted == context.job.status:
        return Plan(run=intent)
    return Plan(status=wanted, run=intent, events=(*events, *_of_run(context, wanted)))


def _still_starts(wanted: TrainingJobStatus) -> bool:
    return wanted.state == State.STARTING and wanted.failure is None


def _with_suspended_time(context: Context, wanted: TrainingJobStatus) -> TrainingJobStatus:
    """The time that a started job has waited on purpose, summed up so far."""
    old = context.job.status
    if wanted.start_time is None:
        return wanted
    waits = wanted.state in WAITING_STATES
    if waits == (old.suspended_since is not None):
        return wanted
    if old.suspended_since is None:
        return wanted.model_copy(update={"suspended_since": context.now})
    waited = max(int((context.now - old.suspended_since).total_seconds()), 0)
    return wanted.model_copy(
        update={
            "suspended_since": None,
            "suspended_seconds": (old.suspended_seconds or 0) + waited,
        }
    )


def _of_run(context: Context, wanted: TrainingJobStatus) -> tuple[EventIntent, ...]:
    """Events for an MLflow that stopped answering or lost the run, and for the run's warnings."""
    bad = {
        conditions.MLFLOW_SYNCED: "False",
        conditions.RUN_CONFLICT: "True",
        conditions.NODES_JOINED: "False",
    }
    events = []
    for kind, truth in bad.items():
        before = conditions.found(context.job.status, kind)
        after = conditions.found(wanted, kind)
        if after is None or after.status != truth:
            continue
        if before is None or (before.status, before.reason) != (after.status, after.reason):
            events.append(EventIntent("Warning", after.reason, after.message))
    return tuple(events)


def _mlflow(context: Context, wanted: TrainingJobStatus) -> MlflowStatus | None:
    stored, tracking = context.job.status.mlflow, context.tracking
    identity = context.run_identity
    if tracking is None or (identity is None and not wanted.attempts):
        return stored
    workspace = tracking.workspace or None
    if identity is None:
        place = {"tracking_uri": tracking.uri, "workspace": workspace}
        return (stored or MlflowStatus()).model_copy(update=place)
    confirmed = context.run.status or (stored.status if stored else None)
    return MlflowStatus(
        tracking_uri=tracking.uri,
        workspace=workspace,
        experiment_id=identity.experiment_id,
        run_id=identity.run_id,
        status=confirmed,
        url=tracking.run_url(identity),
    )

"""Which runtime a job gets, and why it gets none.

A job that is to get one begins only with it. What it got is stored once and never looked for again.
"""

from pydantic import ValidationError

from trainingjob_operator.api import Failure, RuntimeKind, RuntimeStatus, TrainingJob
from trainingjob_operator.core import border, resolution
from trainingjob_operator.core.intent import RunView
from trainingjob_operator.core.observe import Observed, RuntimeView
from trainingjob_operator.core.reasons import Reason

# The runtime of jobs that name none: that of the namespace before that of the cluster.
DEFAULT = "default"
# What may come to be: the job goes on as soon as it does.
WAITED_FOR = frozenset(
    {
        Reason.COMMAND_MISSING,
        Reason.IMAGE_MISSING,
        Reason.RUNTIME_INVALID,
        Reason.RUNTIME_NOT_FOUND,
    }
)


def candidates(job: TrainingJob) -> tuple[tuple[RuntimeKind, str], ...]:
    """The kinds and names of runtimes for a job; the first one that there is counts."""
    ref = job.spec.runtime_ref
    if ref is not None:
        return ((ref.kind, ref.name),)
    return tuple((kind, DEFAULT) for kind in RuntimeKind)


def is_open(job: TrainingJob, observed: Observed, run: RunView) -> bool:
    """Whether a job may still get a runtime.

    One that has begun without any goes on so, whatever becomes the default meanwhile: it has a run
    or a Job, or a status that says anything but that it waits for a runtime.
    """
    if observed.jobs_of(job.metadata.uid) or not is_unsettled(job):
        return False
    return job.spec.runtime_ref is not None or waits(job) or run.identity is None


def is_unsettled(job: TrainingJob) -> bool:
    """Whether the status says neither which runtime a job has nor that it begins without one."""
    if job.status.runtime is not None or job.status.attempts:
        return False
    return job.spec.runtime_ref is not None or waits(job) or job.status.state is None


def lacks_one(job: TrainingJob) -> bool:
    """Whether a job waits for a runtime, or was refused one: it has no run."""
    if job.status.runtime is not None or job.status.attempts:
        return False
    failure = job.status.failure
    refused = failure is not None and failure.reason == Reason.RUNTIME_OVERRIDE_FORBIDDEN
    return job.spec.runtime_ref is not None or waits(job) or refused


def waits(job: TrainingJob) -> bool:
    """Whether a job is known to wait for a runtime."""
    failure = job.status.failure
    return failure is not None and failure.reason in WAITED_FOR


def verdict(job: TrainingJob, observed: Observed) -> RuntimeStatus | Failure | None:
    """The runtime that the job gets, or why it cannot begin; None where it needs none."""
    found = observed.runtime
    if found is None:
        return _without(job, observed)
    name = f"{found.kind} {found.name}"
    if found.problem:
        return Failure(
            reason=Reason.RUNTIME_INVALID,
            message=f"the operator cannot use {name}: {found.problem}; correct the runtime",
        )
    wanted = resolution.own(job)
    path, why = next(resolution.overrides(wanted, found.spec), ("", ""))
    if path:
        return Failure(
            reason=Reason.RUNTIME_OVERRIDE_FORBIDDEN,
            message=f"spec.{path} is not allowed with {name}: {why}; remove the field, have the "
            "runtime changed, or choose another one, and create the TrainingJob again",
        )
    try:
        spec = resolution.resolved(wanted, found.spec)
    except ValidationError as error:
        return Failure(
            reason=Reason.RUNTIME_INVALID,
            message=f"the job and {name} do not go together: spec.{border.first_problem(error)}; "
            "correct the runtime, or the TrainingJob",
        )
    if not spec.image:
        return _no_image(f"{name} has none")
    if spec.agent == "Inject" and not spec.command:
        return Failure(
            reason=Reason.COMMAND_MISSING,
            message=f"spec.command is not set, and {name} has none: the agent runs the command, "
            "and cannot know what the image runs; write down the image's ENTRYPOINT and CMD",
        )
    return _status(found, resolution.sources(wanted, found.spec))


def _without(job: TrainingJob, observed: Observed) -> Failure | None:
    ref = job.spec.runtime_ref
    if ref is None:
        return None if job.spec.image else _no_image("there is no runtime named default")
    where = " in the job's namespace"
    remedy = "create it, or choose another one; the job begins as soon as it is there"
    if ref.kind == RuntimeKind.CLUSTER_TRAINING_RUNTIME:
        where = ""
        if not observed.cluster_runtimes:
            remedy = (
                "this operator serves some namespaces only (watchNamespaces) and reads no "
                "ClusterTrainingRuntime: use a TrainingRuntime of the namespace"
            )
    return Failure(
        reason=Reason.RUNTIME_NOT_FOUND,
        message=f"spec.runtimeRef: there is no {ref.kind} {ref.name}{where}: {remedy}",
    )


def _no_image(why: str) -> Failure:
    return Failure(
        reason=Reason.IMAGE_MISSING,
        message=f"spec.image is not set, and {why}: set it, or name a runtime with an image in "
        "spec.runtimeRef",
    )


def _status(found: RuntimeView, sources: dict[str, str]) -> RuntimeStatus:
    return RuntimeStatus(
        kind=found.kind,
        name=found.name,
        uid=found.uid,
        generation=found.generation,
        sources=sources,
        spec=found.spec,
    )

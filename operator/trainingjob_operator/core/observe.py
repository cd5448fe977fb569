"""Slim views of the cluster's objects, with only what the decisions need.

The informers keep these instead of whole objects, so that thousands of pods fit in little memory.
"""

from dataclasses import dataclass
from datetime import datetime

from trainingjob_operator.api import RuntimeKind, TrainingRuntimeSpec
from trainingjob_operator.core import names

ENDED_PHASES = ("Succeeded", "Failed")
# The kubelet's reason for a pod that was ended by its spec.activeDeadlineSeconds, as we end pods.
POD_DEADLINE = "DeadlineExceeded"
# What a container waits for while the pod's init containers run, and in an ordinary start at all.
INITIALIZING = "PodInitializing"
ORDINARY_WAITING = frozenset({"", "ContainerCreating", INITIALIZING})


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """How a container ended (`status.containerStatuses[].state.terminated`)."""

    exit_code: int
    reason: str
    message: str
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class InitFailure:
    """The init container that failed, so that the trainer's never runs, and how it ended."""

    container: str
    end: ContainerEnd


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a pod does not run yet, by its containers' state or its condition PodScheduled."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of a TrainingJob.

    `ready_to_start` is the condition PodReadyToStartContainers: volumes and sandbox are there.
    `end` is that of its trainer container. `job_uid` is the uid of the Job that owns it, "" for an
    orphan. `ending` says that its node ends it: it has an activeDeadlineSeconds, or only native
    sidecars are left in it. `deleted_at` is when its deletion was asked for, `disrupted_at` when
    its condition DisruptionTarget became true. `initializer` is the entry of spec.initializers that
    runs.
    """

    namespace: str
    name: str
    owner: str
    owner_uid: str
    attempt: int
    rank: int
    phase: str
    node: str
    deleting: bool
    reason: str
    disruption: str
    started_at: datetime | None
    end: ContainerEnd | None
    waiting: Waiting | None
    job_uid: str
    ending: bool
    deleted_at: datetime | None
    disrupted_at: datetime | None
    ready_to_start: bool = False
    init_failure: InitFailure | None = None
    initializer: str = ""

    @property
    def live(self) -> bool:
        """Whether its containers run or may still start; an ended pod is only a record."""
        return self.phase not in ENDED_PHASES

    @property
    def on_a_node(self) -> bool:
        """Whether a kubelet has it, and may still be asked to end it so that it stays readable."""
        return self.live and bool(self.node) and not self.deleting

    @property
    def ended(self) -> bool:
        """Whether its trainer container has ended, or never will run; others may still run."""
        return self.end is not None or not self.live

    @property
    def failed(self) -> bool:
        """Whether its trainer ended with another code than 0, or was ended from outside.

        Another failed container also makes the pod Failed, which says nothing about the trainer.
        """
        if self.end is None:
            return self.phase == "Failed"
        return self.end.exit_code != 0 or (self.phase == "Failed" and self._ended_by_its_node)

    @property
    def _ended_by_its_node(self) -> bool:
        """Whether the whole pod was ended while the trainer ran."""
        if self.disruption:
            return not _before(self.end, self.disrupted_at)
        return self.reason not in ("", POD_DEADLINE)

    @property
    def stopped(self) -> bool:
        """Whether its deletion was asked for before its trainer had ended."""
        return self.deleting and not _before(self.end, self.deleted_at)

    @property
    def started(self) -> bool:
        """Whether its trainer container runs or has run."""
        return self.started_at is not None


@dataclass(frozen=True, slots=True)
class JobView:
    """A child Job, one attempt of a TrainingJob.

    `owner_uid` is the uid of the TrainingJob that owns it, for an orphan that of its label.
    `failing` says that its controller ends its pods; `failed_ranks` are those with a failed pod.
    `ending` says that it has an activeDeadlineSeconds, `held` that our finalizer keeps it,
    `foreground` and `orphaning` what the garbage collector does about its pods.
    """

    namespace: str
    name: str
    uid: str
    owner: str
    owner_uid: str
    created_at: datetime | None
    complete: bool
    failing: bool
    failed: bool
    reason: str
    message: str
    ended_at: datetime | None
    suspended: bool
    deleting: bool
    deleted_at: datetime | None
    failed_ranks: frozenset[int]
    ending: bool
    held: bool
    foreground: bool
    orphaning: bool

    @property
    def ended(self) -> bool:
        """Whether it is over: the Job controller says so only when none of its pods is live."""
        return self.complete or self.failed

    @property
    def cleared(self) -> bool:
        """Whether it is deleted, except for a finalizer such as ours: it creates no more pods."""
        return self.deleting and not (self.foreground or self.orphaning)


@dataclass(frozen=True, slots=True)
class ServiceView:
    """The Service of a job with several nodes."""

    namespace: str
    name: str
    uid: str
    owner: str
    owner_uid: str


@dataclass(frozen=True, slots=True)
class RuntimeView:
    """A TrainingRuntime, or a ClusterTrainingRuntime, whose namespace is "".

    `problem` says why it cannot be used, "" where it can.
    """

    kind: RuntimeKind
    namespace: str
    name: str
    uid: str
    generation: int
    spec: TrainingRuntimeSpec
    problem: str = ""


@dataclass(frozen=True, slots=True)
class EventView:
    """A Warning (events.k8s.io/v1 Event); `kind`, `name` and `uid` are of what it is about."""

    kind: str
    name: str
    uid: str
    reason: str
    message: str
    last_seen: datetime | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the API server rejects an object of the attempt.

    `final`: it always will. `leftover`: an object of an earlier TrainingJob, which is about to be
    deleted, has its name.
    """

    reason: str
    message: str
    final: bool
    leftover: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the caches know about one TrainingJob's children.

    `job` has the name of the attempt at hand (attempts.at_hand), whoever owns it; `earlier` are
    the TrainingJob's Jobs of other attempts; `gone` are pods that ended and were deleted a
    moment ago; `refusal` is the answer to the last try to create what the attempt needs; `stuck`
    are pods that did not end in time though we asked for it. `service` says that the Service of
    a job with several nodes is there, `terminating` that the namespace is being deleted.
    `events` are Warnings about the Job at hand and its pods, None where they were not read.
    `runtime` is the one that a job which has none yet would get; `cluster_runtimes` says that those
    of the cluster may be read.
    """

    job: JobView | None
    pods: tuple[PodView, ...]
    earlier: tuple[JobView, ...] = ()
    gone: tuple[PodView, ...] = ()
    refusal: Refusal | None = None
    stuck: frozenset[str] = frozenset()
    service: bool = True
    terminating: bool = False
    events: tuple[EventView, ...] | None = None
    runtime: RuntimeView | None = None
    cluster_runtimes: bool = True

    def jobs_of(self, owner_uid: str) -> tuple[JobView, ...]:
        """The child Jobs of all attempts, without a foreign one."""
        current = (self.job,) if self.job is not None else ()
        return tuple(job for job in (*current, *self.earlier) if job.owner_uid == owner_uid)

    def live(self, owner_uid: str) -> bool:
        """Whether a pod of any attempt is live, or a Job of any attempt may still create one."""
        jobs = self.jobs_of(owner_uid)
        makes_more = any(not (job.ended or job.cleared) for job in jobs)
        return makes_more or any(pod.live for pod in self.pods)


def owner_key(view: PodView | JobView | ServiceView) -> str:
    """The key of the TrainingJob that a child belongs to by its label."""
    return names.key(view.namespace, view.owner)


def _before(end: ContainerEnd | None, moment: datetime | None) -> bool:
    """Whether a container ended before a moment; times of the API are whole seconds."""
    if end is None or end.finished_at is None or moment is None:
        return False
    return end.finished_at < moment

"""Slim views of the cluster's objects: what the decisions need and nothing else.

The informers keep these instead of whole objects, so that thousands of pods fit in little memory.
"""

import sys
from dataclasses import dataclass
from datetime import datetime

from trainingjob_operator.core import contract, names
from trainingjob_operator.core.metadata import Raw, controller, deleted_at, instant, owner_uid

# The kubelet tells the two in turn for as long as an image cannot be pulled.
SAME_REASON = {"ErrImagePull": "ImagePullBackOff"}
# FailureTarget comes before Failed: the pods that are left are being ended.
JOB_ENDS = ("Complete", "Failed", "FailureTarget")
ENDED_PHASES = ("Succeeded", "Failed")
# The kubelet's reason for a pod that was ended by its spec.activeDeadlineSeconds, as we end pods.
POD_DEADLINE = "DeadlineExceeded"


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """How the trainer container ended (`status.containerStatuses[].state.terminated`)."""

    exit_code: int
    reason: str
    message: str
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a pod does not run yet: a container's waiting reason, or `Unschedulable`."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of a TrainingJob.

    `job_uid` is the uid of the Job that owns it, "" for an orphan. `ending` says that it has an
    activeDeadlineSeconds. `deleted_at` is when its deletion was asked for, `disrupted_at` when its
    condition DisruptionTarget became true.
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

    @property
    def live(self) -> bool:
        """Whether its containers run or may still come to run; an ended pod is only a record."""
        return self.phase not in ENDED_PHASES

    @property
    def ended(self) -> bool:
        """Whether its trainer container has ended, or never will run; others may still run."""
        return self.end is not None or not self.live

    @property
    def failed(self) -> bool:
        """Whether its trainer ended otherwise than with 0, or was ended from outside.

        Another container that fails makes the pod Failed, too, and says nothing of the trainer.
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
    resource_version: str
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
        """Whether it is deleted, but for a finalizer such as ours: it makes no more pods."""
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
class Refusal:
    """Why the API server does not take an object of the attempt.

    `final`: it never will. `leftover`: an earlier TrainingJob's object that is about to go has its
    name.
    """

    reason: str
    message: str
    final: bool
    leftover: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the caches know of one TrainingJob's children.

    `job` has the name of the attempt at hand (attempts.at_hand), whoever owns it; `earlier` are
    the TrainingJob's Jobs of other attempts; `gone` are pods that ended and were deleted a
    moment ago; `refusal` is the answer to the last try to create what the attempt needs; `stuck`
    are pods that did not end in time though we asked for it. `service` says that the Service of
    a job with several nodes is there, `terminating` that the namespace is being deleted.
    """

    job: JobView | None
    pods: tuple[PodView, ...]
    earlier: tuple[JobView, ...] = ()
    gone: tuple[PodView, ...] = ()
    refusal: Refusal | None = None
    stuck: frozenset[str] = frozenset()
    service: bool = True
    terminating: bool = False

    def jobs_of(self, owner_uid: str) -> tuple[JobView, ...]:
        """The child Jobs of all attempts, without a foreign one."""
        current = (self.job,) if self.job is not None else ()
        return tuple(job for job in (*current, *self.earlier) if job.owner_uid == owner_uid)

    def live(self, owner_uid: str) -> bool:
        """Whether a pod of any attempt lives, or a Job of any attempt may still make one."""
        jobs = self.jobs_of(owner_uid)
        makes_more = any(not (job.ended or job.cleared) for job in jobs)
        return makes_more or any(pod.live for pod in self.pods)


def pod_view(raw: Raw) -> PodView:
    """Decode a v1 Pod."""
    metadata, status = raw["metadata"], raw.get("status", {})
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    state, disruption = _trainer_state(status), _disruption(status)
    # What many pods have in common is kept once.
    return PodView(
        namespace=sys.intern(metadata["namespace"]),
        name=metadata["name"],
        owner=sys.intern(labels.get(contract.LABEL_NAME, "")),
        owner_uid=sys.intern(labels.get(contract.LABEL_UID, "")),
        attempt=int(labels.get(contract.LABEL_ATTEMPT, "0")),
        rank=int(annotations.get(names.JOB_COMPLETION_INDEX, "0")),
        phase=sys.intern(status.get("phase", "Pending")),
        node=sys.intern(raw.get("spec", {}).get("nodeName", "")),
        deleting="deletionTimestamp" in metadata,
        reason=status.get("reason", ""),
        disruption=str(disruption.get("reason") or "Disrupted") if disruption else "",
        started_at=_started_at(state),
        end=_container_end(state),
        waiting=_waiting(state, status),
        job_uid=sys.intern(controller(metadata).get("uid", "")),
        ending="activeDeadlineSeconds" in raw.get("spec", {}),
        deleted_at=deleted_at(metadata),
        disrupted_at=instant(disruption.get("lastTransitionTime")),
    )


def job_view(raw: Raw) -> JobView:
    """Decode a batch/v1 Job."""
    metadata, status = raw["metadata"], raw.get("status", {})
    labels, finalizers = metadata.get("labels", {}), metadata.get("finalizers", [])
    conditions = {c["type"]: c for c in status.get("conditions", []) if c.get("status") == "True"}
    end: Raw = next((conditions[kind] for kind in JOB_ENDS if kind in conditions), {})
    return JobView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner=labels.get(contract.LABEL_NAME, ""),
        owner_uid=owner_uid(metadata),
        created_at=instant(metadata.get("creationTimestamp")),
        complete="Complete" in conditions,
        failing="FailureTarget" in conditions,
        failed="Failed" in conditions,
        reason=end.get("reason", ""),
        message=end.get("message", ""),
        ended_at=instant(status.get("completionTime") or end.get("lastTransitionTime")),
        suspended=raw.get("spec", {}).get("suspend", False),
        deleting="deletionTimestamp" in metadata,
        deleted_at=deleted_at(metadata),
        failed_ranks=_ranks(status.get("failedIndexes") or ""),
        ending="activeDeadlineSeconds" in raw.get("spec", {}),
        held=contract.ATTEMPT_FINALIZER in finalizers,
        foreground=contract.FOREGROUND in finalizers,
        orphaning=contract.ORPHAN in finalizers,
    )


def _ranks(indexes: str) -> frozenset[int]:
    """The ranks of completion indexes such as `1,3-5` (JobStatus.failedIndexes)."""
    bounds = (part.split("-") for part in indexes.split(",") if part)
    return frozenset(rank for some in bounds for rank in range(int(some[0]), int(some[-1]) + 1))


def _before(end: ContainerEnd | None, moment: datetime | None) -> bool:
    """Whether a container ended before a moment; times of the API are whole seconds."""
    if end is None or end.finished_at is None or moment is None:
        return False
    return end.finished_at < moment


def service_view(raw: Raw) -> ServiceView:
    """Decode a v1 Service."""
    metadata = raw["metadata"]
    return ServiceView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        owner=metadata.get("labels", {}).get(contract.LABEL_NAME, ""),
        owner_uid=metadata.get("labels", {}).get(contract.LABEL_UID, ""),
    )


def owner_key(view: PodView | JobView | ServiceView) -> str:
    """The key of the TrainingJob that a child belongs to by its label."""
    return names.key(view.namespace, view.owner)


def _trainer_state(status: Raw) -> Raw:
    for container in status.get("containerStatuses", []):
        if container["name"] == contract.CONTAINER_NAME:
            state: Raw = container.get("state", {})
            return state
    return {}


def _disruption(status: Raw) -> Raw:
    """A true DisruptionTarget condition, whose reason names who ends the pod."""
    for condition in status.get("conditions", []):
        if condition["type"] == "DisruptionTarget" and condition.get("status") == "True":
            found: Raw = condition
            return found
    return {}


def _started_at(state: Raw) -> datetime | None:
    ran = state.get("running") or state.get("terminated") or {}
    return instant(ran.get("startedAt"))


def _container_end(state: Raw) -> ContainerEnd | None:
    terminated = state.get("terminated")
    if terminated is None:
        return None
    return ContainerEnd(
        exit_code=terminated["exitCode"],
        reason=terminated.get("reason", ""),
        message=terminated.get("message", ""),
        finished_at=instant(terminated.get("finishedAt")),
    )


def _waiting(state: Raw, status: Raw) -> Waiting | None:
    waiting = state.get("waiting")
    if waiting is not None:
        reason = waiting.get("reason", "")
        return Waiting(SAME_REASON.get(reason, reason), waiting.get("message", ""))
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Waiting("Unschedulable", condition.get("message", ""))
    return None

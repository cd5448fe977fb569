"""Slim views of the cluster's objects: what the decisions need and nothing else.

The informers keep these instead of whole objects, so that thousands of pods fit in little memory.
They are also the border for what the API server stores without looking at it: labels, annotations,
and statuses that anybody with the right to it may write.
"""

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainingjob_operator.api import KIND
from trainingjob_operator.core import border, contract, names

Raw = dict[str, Any]

# Characters of a reason, as of the API's Events.
REASON_LIMIT = 128
# Characters of a message: a kubelet keeps 4,096 bytes of a termination message, other components
# less of theirs.
MESSAGE_LIMIT = 4096
NAME_LIMIT = 253
MAX_RANK = 2**31 - 1
# The kubelet tells the two in turn for as long as an image cannot be pulled.
SAME_REASON = {"ErrImagePull": "ImagePullBackOff"}
# FailureTarget comes before Failed: the pods that are left are being ended.
JOB_ENDS = ("Complete", "Failed", "FailureTarget")
ENDED_PHASES = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """How the trainer container ended (`status.containerStatuses[].state.terminated`)."""

    exit_code: int
    reason: str
    message: str
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a pod does not run yet, by its container's state or its condition PodScheduled."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of a TrainingJob.

    `ready_to_start` is the condition PodReadyToStartContainers: volumes and sandbox are there.
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
    ready_to_start: bool = False

    @property
    def live(self) -> bool:
        """Whether its containers run or may still come to run; an ended pod is only a record."""
        return self.phase not in ENDED_PHASES

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than with 0."""
        return self.phase == "Failed" or (self.end is not None and self.end.exit_code != 0)

    @property
    def started(self) -> bool:
        """Whether its trainer container runs or has run."""
        return self.started_at is not None


@dataclass(frozen=True, slots=True)
class JobView:
    """A child Job, one attempt of a TrainingJob."""

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

    @property
    def ended(self) -> bool:
        """Whether it is over: the Job controller says so only when none of its pods is live."""
        return self.complete or self.failed


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
    """Why the API server does not take an object of the attempt; `final`: it never will."""

    reason: str
    message: str
    final: bool


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the caches know of one TrainingJob's children.

    `job` has the name of the attempt at hand (attempts.at_hand), whoever owns it; `earlier` are
    the TrainingJob's Jobs of other attempts; `gone` are pods that failed and were deleted a
    moment ago; `refusal` is the answer to the last try to create what the attempt needs.
    `events` are Warnings about the Job at hand and its pods, None where they were not read.
    """

    job: JobView | None
    pods: tuple[PodView, ...]
    earlier: tuple[JobView, ...] = ()
    gone: tuple[PodView, ...] = ()
    refusal: Refusal | None = None
    events: tuple[EventView, ...] | None = None

    def jobs_of(self, owner_uid: str) -> tuple[JobView, ...]:
        """The child Jobs of all attempts, without a foreign one."""
        current = (self.job,) if self.job is not None else ()
        return tuple(job for job in (*current, *self.earlier) if job.owner_uid == owner_uid)

    def live(self, owner_uid: str) -> bool:
        """Whether a pod of any attempt lives, or a Job of any attempt may still make one."""
        jobs = self.jobs_of(owner_uid)
        return any(not job.ended for job in jobs) or any(pod.live for pod in self.pods)


def pod_view(raw: Raw) -> PodView:
    """Decode a v1 Pod."""
    metadata, status = raw["metadata"], raw.get("status", {})
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    state = _trainer_state(status)
    conditions = _conditions(status)
    # What many pods have in common is kept once.
    return PodView(
        namespace=sys.intern(metadata["namespace"]),
        name=metadata["name"],
        owner=sys.intern(labels.get(contract.LABEL_NAME, "")),
        owner_uid=sys.intern(labels.get(contract.LABEL_UID, "")),
        # No attempt has the number 0.
        attempt=border.whole(labels.get(contract.LABEL_ATTEMPT), 0) or 0,
        rank=_rank(annotations, labels),
        phase=sys.intern(status.get("phase", "Pending")),
        node=sys.intern(border.text(raw.get("spec", {}).get("nodeName"), NAME_LIMIT)),
        deleting="deletionTimestamp" in metadata,
        reason=border.text(status.get("reason"), REASON_LIMIT),
        disruption=_disruption(conditions),
        started_at=_started_at(state),
        end=_container_end(state),
        waiting=_waiting(state, conditions),
        ready_to_start=_is_true(conditions.get("PodReadyToStartContainers", {})),
    )


def job_view(raw: Raw) -> JobView:
    """Decode a batch/v1 Job."""
    metadata, status = raw["metadata"], raw.get("status", {})
    references: list[Raw] = metadata.get("ownerReferences", [])
    owner: Raw = next((one for one in references if one.get("controller")), {})
    ours = owner.get("kind") == KIND
    conditions = {kind: one for kind, one in _conditions(status).items() if _is_true(one)}
    end: Raw = next((conditions[kind] for kind in JOB_ENDS if kind in conditions), {})
    ended_at = border.instant(status.get("completionTime"))
    return JobView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner=metadata.get("labels", {}).get(contract.LABEL_NAME, ""),
        owner_uid=owner["uid"] if ours else "",
        created_at=border.instant(metadata.get("creationTimestamp")),
        complete="Complete" in conditions,
        failing="FailureTarget" in conditions,
        failed="Failed" in conditions,
        reason=border.text(end.get("reason"), REASON_LIMIT),
        message=border.text(end.get("message"), MESSAGE_LIMIT),
        ended_at=ended_at or border.instant(end.get("lastTransitionTime")),
        suspended=raw.get("spec", {}).get("suspend", False),
        deleting="deletionTimestamp" in metadata,
    )


def event_view(raw: Raw) -> EventView:
    """Decode an events.k8s.io/v1 Event; every component fills other fields in for the time."""
    regarding, series = border.mapping(raw.get("regarding")), border.mapping(raw.get("series"))
    times = (
        series.get("lastObservedTime"),
        raw.get("deprecatedLastTimestamp"),
        raw.get("eventTime"),
        border.mapping(raw.get("metadata")).get("creationTimestamp"),
    )
    seen = (border.instant(one) for one in times)
    return EventView(
        kind=border.text(regarding.get("kind"), NAME_LIMIT),
        name=border.text(regarding.get("name"), NAME_LIMIT),
        uid=border.text(regarding.get("uid"), NAME_LIMIT),
        reason=border.text(raw.get("reason"), REASON_LIMIT),
        message=border.text(raw.get("note"), MESSAGE_LIMIT),
        last_seen=next((one for one in seen if one is not None), None),
    )


def owner_key(view: PodView | JobView) -> str:
    """The key of the TrainingJob that a child belongs to by its label."""
    return names.key(view.namespace, view.owner)


def _conditions(status: Raw) -> dict[str, Raw]:
    return {one["type"]: one for one in status.get("conditions", [])}


def _is_true(condition: Raw) -> bool:
    return condition.get("status") == "True"


def _rank(annotations: Raw, labels: Raw) -> int:
    """The completion index; the Job controller sets it as an annotation and as a label."""
    found = (
        border.whole(one.get(names.JOB_COMPLETION_INDEX), 0, MAX_RANK)
        for one in (annotations, labels)
    )
    return next((rank for rank in found if rank is not None), 0)


def _trainer_state(status: Raw) -> Raw:
    for container in status.get("containerStatuses", []):
        if container["name"] == contract.CONTAINER_NAME:
            state: Raw = container.get("state", {})
            return state
    return {}


def _disruption(conditions: dict[str, Raw]) -> str:
    """The reason of a true DisruptionTarget condition, which names who ends the pod."""
    target = conditions.get("DisruptionTarget", {})
    if not _is_true(target):
        return ""
    return border.text(target.get("reason"), REASON_LIMIT) or "Disrupted"


def _started_at(state: Raw) -> datetime | None:
    ran = state.get("running") or state.get("terminated") or {}
    return border.instant(ran.get("startedAt"))


def _container_end(state: Raw) -> ContainerEnd | None:
    terminated = state.get("terminated")
    if terminated is None:
        return None
    return ContainerEnd(
        exit_code=terminated["exitCode"],
        reason=border.text(terminated.get("reason"), REASON_LIMIT),
        message=_end_of(terminated.get("message", "")),
        finished_at=border.instant(terminated.get("finishedAt")),
    )


def _end_of(message: str) -> str:
    """The end of a termination message: what is longer than a kubelet's is no JSON of ours."""
    return border.text(message[-MESSAGE_LIMIT:], MESSAGE_LIMIT)


def _waiting(state: Raw, conditions: dict[str, Raw]) -> Waiting | None:
    waiting = state.get("waiting")
    if waiting is not None:
        reason = border.text(waiting.get("reason"), REASON_LIMIT)
        message = border.text(waiting.get("message"), MESSAGE_LIMIT)
        return Waiting(SAME_REASON.get(reason, reason), message)
    scheduled = conditions.get("PodScheduled", {})
    reason = border.text(scheduled.get("reason"), REASON_LIMIT)
    if not reason or _is_true(scheduled):
        return None
    return Waiting(reason, border.text(scheduled.get("message"), MESSAGE_LIMIT))

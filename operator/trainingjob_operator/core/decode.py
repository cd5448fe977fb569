"""From the API server's objects to the views of them.

This validates what the API server stores unchecked: labels, annotations, and statuses and Events
that anybody with the right to do so may write.
"""

import json
import sys
from datetime import datetime

from pydantic import ValidationError

from trainingjob_operator.api import RuntimeKind, TrainingRuntimeSpec
from trainingjob_operator.api.initializer_rules import INITIALIZER_PREFIX
from trainingjob_operator.core import border, contract, names
from trainingjob_operator.core.metadata import Raw, controller, deleted_at, owner_uid
from trainingjob_operator.core.observe import (
    INITIALIZING,
    ORDINARY_WAITING,
    ContainerEnd,
    EventView,
    InitFailure,
    JobView,
    PodView,
    RuntimeView,
    ServiceView,
    Waiting,
)

# Characters of a reason, as of the API's Events.
REASON_LIMIT = 128
# Characters of a message: a kubelet keeps 4,096 bytes of a termination message, other components
# less of theirs.
MESSAGE_LIMIT = 4096
NAME_LIMIT = 253
MAX_RANK = 2**31 - 1
# Characters of a runtime's spec: the status of each of its jobs has a copy.
RUNTIME_LIMIT = 131072
# As many as spec.numNodes may ask for.
MAX_NODES = 1000
# The kubelet alternates between the two for as long as an image cannot be pulled.
SAME_REASON = {"ErrImagePull": "ImagePullBackOff"}
# FailureTarget comes before Failed: the pods that are left are being ended.
JOB_ENDS = ("Complete", "Failed", "FailureTarget")


def pod_view(raw: Raw) -> PodView:
    """Decode a v1 Pod."""
    metadata, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    state, conditions = _trainer_state(status), _conditions(status)
    disruption = _true(conditions, "DisruptionTarget")
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
        node=sys.intern(border.text(spec.get("nodeName"), NAME_LIMIT)),
        deleting="deletionTimestamp" in metadata,
        reason=border.text(status.get("reason"), REASON_LIMIT),
        disruption=_who_disrupts(disruption),
        started_at=_started_at(state),
        end=_container_end(state),
        waiting=_init_waiting(state, status) or _waiting(state, conditions),
        job_uid=sys.intern(controller(metadata).get("uid", "")),
        ending="activeDeadlineSeconds" in spec or _only_sidecars_left(spec, status),
        deleted_at=deleted_at(metadata),
        disrupted_at=border.instant(disruption.get("lastTransitionTime")),
        ready_to_start=bool(_true(conditions, "PodReadyToStartContainers")),
        init_failure=_init_failure(state, spec, status),
        initializer=_initializer(status),
    )


def job_view(raw: Raw) -> JobView:
    """Decode a batch/v1 Job."""
    metadata, status = raw["metadata"], raw.get("status", {})
    labels, finalizers = metadata.get("labels", {}), metadata.get("finalizers", [])
    conditions = {kind: one for kind, one in _conditions(status).items() if _is_true(one)}
    end: Raw = next((conditions[kind] for kind in JOB_ENDS if kind in conditions), {})
    ended_at = border.instant(status.get("completionTime"))
    return JobView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        owner=labels.get(contract.LABEL_NAME, ""),
        owner_uid=owner_uid(metadata),
        created_at=border.instant(metadata.get("creationTimestamp")),
        complete="Complete" in conditions,
        failing="FailureTarget" in conditions,
        failed="Failed" in conditions,
        reason=border.text(end.get("reason"), REASON_LIMIT),
        message=border.text(end.get("message"), MESSAGE_LIMIT),
        ended_at=ended_at or border.instant(end.get("lastTransitionTime")),
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
    ranks: set[int] = set()
    for part in indexes.split(","):
        low, _, high = part.partition("-")
        first, last = border.whole(low, 0, MAX_NODES), border.whole(high or low, 0, MAX_NODES)
        if first is not None and last is not None:
            ranks.update(range(first, last + 1))
    return frozenset(ranks)


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


def runtime_view(kind: RuntimeKind, raw: Raw) -> RuntimeView:
    """Decode a TrainingRuntime or a ClusterTrainingRuntime."""
    metadata, spec, problem = raw["metadata"], TrainingRuntimeSpec(), ""
    try:
        spec = TrainingRuntimeSpec.model_validate(raw.get("spec") or {})
    except ValidationError as error:
        problem = f"spec.{border.first_problem(error)}"
    if len(json.dumps(raw.get("spec"))) > RUNTIME_LIMIT:
        problem = f"its spec has more than {RUNTIME_LIMIT} characters"
    return RuntimeView(
        kind=kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        spec=spec,
        problem=problem,
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


def _true(conditions: dict[str, Raw], kind: str) -> Raw:
    """A condition that is true; else empty."""
    found = conditions.get(kind, {})
    return found if _is_true(found) else {}


def _who_disrupts(condition: Raw) -> str:
    """The reason of a true DisruptionTarget, which names who ends the pod; "" without one."""
    if not condition:
        return ""
    return border.text(condition.get("reason"), REASON_LIMIT) or "Disrupted"


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
    """The end of a termination message: one longer than a kubelet's limit is not our JSON."""
    return border.text(message[-MESSAGE_LIMIT:], MESSAGE_LIMIT)


def _only_sidecars_left(spec: Raw, status: Raw) -> bool:
    """Whether all containers but native sidecars have ended: the kubelet ends those then."""
    containers, statuses = spec.get("containers", []), status.get("containerStatuses", [])
    return len(statuses) == len(containers) > 0 and all(
        "terminated" in (one.get("state") or {}) for one in statuses
    )


def _init_failure(state: Raw, spec: Raw, status: Raw) -> InitFailure | None:
    """The init container for which the trainer's never started; sidecars start again instead."""
    if _started_at(state) is not None:
        return None
    sidecars = {
        one["name"]
        for one in spec.get("initContainers", [])
        if one.get("restartPolicy") == "Always"
    }
    for one in status.get("initContainerStatuses", []):
        end = _container_end(one.get("state") or {})
        if end is not None and end.exit_code != 0 and one["name"] not in sidecars:
            return InitFailure(border.text(one["name"], NAME_LIMIT), end)
    return None


def _initializer(status: Raw) -> str:
    """The initializer that runs: one after the other does."""
    for one in status.get("initContainerStatuses", []):
        name = border.text(one["name"], NAME_LIMIT)
        if name.startswith(INITIALIZER_PREFIX) and "running" in (one.get("state") or {}):
            return sys.intern(name.removeprefix(INITIALIZER_PREFIX))
    return ""


def _init_waiting(state: Raw, status: Raw) -> Waiting | None:
    """What an init container or sidecar waits for, behind which the trainer's waits."""
    if (state.get("waiting") or {}).get("reason") != INITIALIZING:
        return None
    for one in status.get("initContainerStatuses", []):
        waiting = _waiting(one.get("state") or {}, {})
        if waiting is not None and waiting.reason not in ORDINARY_WAITING:
            name = border.text(one["name"], NAME_LIMIT)
            message = f"container {name}: {waiting.message}{_last_end(one)}"
            return Waiting(waiting.reason, border.text(message, MESSAGE_LIMIT))
    return None


def _last_end(status: Raw) -> str:
    """How a container that is started again and again ended the last time."""
    end = _container_end(status.get("lastState") or {})
    if end is None:
        return ""
    return f"; it ended with exit code {end.exit_code}: {end.message.strip() or end.reason}"


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

"""Whatever pods, Jobs and termination messages hold: a decision, and a status that is taken."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from trainingjob_operator.api import TrainingJobStatus
from trainingjob_operator.core.decide import decide
from trainingjob_operator.core.observe import Observed, job_view, pod_view
from trainingjob_operator.core.policies.failure import reported

from tests.support.jobs import SERVERS, at, child, failed_pod, run, training_job
from tests.support.plans import RUNNING, wire

Json = dict[str, Any]

LABELS = {"trainingjob.dev/name": "mnist", "trainingjob.dev/uid": "u-1"}
INDEX = "batch.kubernetes.io/job-completion-index"
# What an object of the API server may hold: a label only these characters, other text any
# Unicode, and a time any of a calendar; the zero time is stored as null.
LABEL = st.sampled_from(["0", "1", "2", "abc", "-1", "9" * 63]) | st.from_regex(
    r"\A[A-Za-z0-9]([A-Za-z0-9_.-]{0,20}[A-Za-z0-9])?\Z"
)
TEXT = st.text(max_size=40) | st.sampled_from(["x" * 40_000, "Evicted", "OOMKilled", "StartError"])
TIME = st.none() | st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='seconds')}Z")
CODE = st.sampled_from([0, 1, 128, 137, 143, 255]) | st.integers(-(2**31), 2**31 - 1)


def object_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Objects with some of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
HALF = st.characters(categories=["Cs"])
REPORT = object_of(
    reason=st.just("X") | JSON,
    message=st.text() | st.text(HALF) | JSON,
    frame=st.text() | st.text(HALF) | JSON,
    rank=st.integers() | JSON,
    epoch=st.integers() | JSON,
    step=st.integers(2**53 - 2, 2**64) | JSON,
)
MESSAGE = (
    st.binary().map(lambda some: some.decode(errors="replace"))
    | st.integers(1, 4096).map(lambda depth: "[" * depth)
    | REPORT.map(json.dumps)
    | TEXT
)
ENDED = st.fixed_dictionaries(
    {"exitCode": CODE},
    optional={"reason": TEXT, "message": MESSAGE, "startedAt": TIME, "finishedAt": TIME},
)
STATE = object_of(
    waiting=object_of(reason=TEXT, message=TEXT),
    running=object_of(startedAt=TIME),
    terminated=ENDED,
)
TRUTH = st.sampled_from(["True", "False", "Unknown"])


def conditions(*kinds: str) -> st.SearchStrategy[list[Json]]:
    return st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(kinds) | TEXT, "status": TRUTH, "lastTransitionTime": TIME},
            optional={"reason": TEXT, "message": TEXT},
        ),
        max_size=3,
    )


POD_STATUS = object_of(
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
    reason=TEXT,
    conditions=conditions("PodScheduled", "DisruptionTarget", "PodReadyToStartContainers"),
    containerStatuses=st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["trainer", "sidecar"]), "state": STATE}, optional={}
        ),
        max_size=2,
    ),
)
PODS = st.builds(
    lambda number, attempt, index, status: {
        "metadata": {
            "namespace": "ml",
            "name": f"mnist-1-{number}-x",
            "labels": {**LABELS, "trainingjob.dev/attempt": attempt},
            "annotations": {INDEX: index},
        },
        "spec": {"nodeName": "node-1"},
        "status": status,
    },
    st.integers(0, 9),
    LABEL,
    TEXT | LABEL,
    POD_STATUS,
)
JOBS = st.builds(
    lambda created, suspend, status: {
        "metadata": {
            "namespace": "ml",
            "name": "mnist-1",
            "uid": "j-1",
            "resourceVersion": "7",
            "creationTimestamp": created,
            "labels": {**LABELS, "trainingjob.dev/attempt": "1"},
            "ownerReferences": [{"kind": "TrainingJob", "uid": "u-1", "controller": True}],
        },
        "spec": {"suspend": suspend},
        "status": status,
    },
    TIME,
    st.booleans(),
    object_of(completionTime=TIME, conditions=conditions("Complete", "Failed", "FailureTarget")),
)
SPEC = st.fixed_dictionaries(
    {
        "numNodes": st.integers(1, 2),
        "backoffLimit": st.integers(0, 2),
        "preRunningDeadlineSeconds": st.none() | st.integers(1, 100),
        "activeDeadlineSeconds": st.none() | st.integers(1, 2**31 - 1),
        "suspend": st.booleans(),
    }
)


@given(spec=SPEC, raw=JOBS, pods=st.lists(PODS, max_size=3), second=st.integers(0, 200))
def test_a_life_among_any_pods_and_any_job(
    spec: Json, raw: Json, pods: list[Json], second: int
) -> None:
    observed = Observed(job_view(raw), tuple(pod_view(one) for one in pods))
    status: Json = {}
    for step in range(6):
        job = training_job(spec, status)
        plan = decide(job, observed, run(), at(second + 20 * step), SERVERS)
        if plan.status is not None:
            status = wire(plan)
            assert wire_of(TrainingJobStatus.model_validate(status)) == status
            json.dumps(status, ensure_ascii=False).encode()
        for event in plan.events:
            assert 0 < len(event.reason) <= 128
            event.message.encode()


def wire_of(status: TrainingJobStatus) -> Json:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


@given(st.binary(max_size=5000))
def test_any_bytes_are_a_termination_message(message: bytes) -> None:
    ended = failed_pod(message=message.decode(errors="replace"))
    plan = decide(
        training_job({}, RUNNING), Observed(child(failed=True), (ended,)), run(), at(30), SERVERS
    )
    status = wire(plan)
    assert TrainingJobStatus.model_validate(status).state == "Failed"
    assert len(status["failure"]["message"]) <= 1024


@given(REPORT)
def test_a_report_is_read_or_is_none(told: Json) -> None:
    cause = reported(json.dumps(told))
    if cause is not None:
        for text in (cause.reason, cause.message, cause.frame or ""):
            text.encode()
        for number in (cause.global_rank, cause.epoch, cause.step):
            assert number is None or 0 <= number < 2**53

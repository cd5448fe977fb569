"""Pods, Jobs, Events and termination messages as anybody may have the API server store them."""

import json
from typing import Any

from hypothesis import strategies as st
from trainingjob_operator.core.decide import decide
from trainingjob_operator.core.decode import event_view, job_view, pod_view
from trainingjob_operator.core.intent import EventIntent
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.policies.starting import blocks

from tests.support.jobs import SERVERS, at, run, training_job
from tests.support.plans import wire

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
# A grace period is what somebody asked for, up to the limit of an integer.
DELETION: st.SearchStrategy[Json] = st.just({}) | st.fixed_dictionaries(
    {"deletionTimestamp": TIME.filter(bool)},
    optional={"deletionGracePeriodSeconds": st.sampled_from([0, 30, 2**63 - 1])},
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
    lambda number, attempt, index, deletion, status: {
        "metadata": {
            "namespace": "ml",
            "name": f"mnist-1-{number}-x",
            "labels": {**LABELS, "trainingjob.dev/attempt": attempt},
            "annotations": {INDEX: index},
            **deletion,
        },
        "spec": {"nodeName": "node-1"},
        "status": status,
    },
    st.integers(0, 9),
    LABEL,
    TEXT | LABEL,
    DELETION,
    POD_STATUS,
)
JOBS = st.builds(
    lambda created, suspend, deletion, status: {
        "metadata": {
            "namespace": "ml",
            "name": "mnist-1",
            "uid": "j-1",
            "resourceVersion": "7",
            "creationTimestamp": created,
            "labels": {**LABELS, "trainingjob.dev/attempt": "1"},
            "ownerReferences": [{"kind": "TrainingJob", "uid": "u-1", "controller": True}],
            **deletion,
        },
        "spec": {"suspend": suspend},
        "status": status,
    },
    TIME,
    st.booleans(),
    DELETION,
    object_of(
        completionTime=TIME,
        failedIndexes=TEXT | st.just("0,1-99999999"),
        conditions=conditions("Complete", "Failed", "FailureTarget"),
    ),
)
EVENTS = object_of(
    regarding=object_of(
        kind=st.sampled_from(["Job", "Pod"]),
        name=st.sampled_from(["mnist-1", "mnist-1-0-x"]) | TEXT,
        uid=st.just("j-1") | TEXT,
    ),
    reason=st.sampled_from(["FailedMount", "FailedCreate"]) | TEXT,
    note=TEXT,
    eventTime=TIME,
    deprecatedLastTimestamp=TIME,
    series=st.none() | object_of(lastObservedTime=TIME),
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


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[Json, tuple[EventIntent, ...]]]:
    """The statuses that a job is given one after the other, each with its Events."""
    spec, second = draw(SPEC), draw(st.integers(0, 200))
    observed = Observed(
        job_view(draw(JOBS)),
        tuple(pod_view(one) for one in draw(st.lists(PODS, max_size=3))),
        events=tuple(filter(blocks, map(event_view, draw(st.lists(EVENTS, max_size=3))))),
    )
    reported: list[tuple[Json, tuple[EventIntent, ...]]] = [({}, ())]
    for step in range(6):
        job = training_job(spec, reported[-1][0])
        plan = decide(job, observed, run(), at(second + 20 * step), SERVERS)
        if plan.status is not None:
            reported.append((wire(plan), plan.events))
    return reported

from typing import Any

import pytest
from trainingjob_operator.core import manifests
from trainingjob_operator.core.tracking_uris import Tracking

from tests.support.jobs import OWNER, RUN, SELECTOR, training_job

DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
MOUNTS: list[Any] = [
    pytest.param([], [{"name": "data", "mountPath": "/data/checkpoints"}], id="by-itself"),
    pytest.param(
        [{"name": "data", "mountPath": "/data"}],
        [{"name": "data", "mountPath": "/data"}],
        id="within-a-mount-of-the-user",
    ),
    pytest.param(
        [{"name": "data", "mountPath": "/data/check"}],
        [
            {"name": "data", "mountPath": "/data/check"},
            {"name": "data", "mountPath": "/data/checkpoints"},
        ],
        id="beside-a-mount-with-a-similar-name",
    ),
]


@pytest.mark.parametrize(("mounts", "expected"), MOUNTS)
@pytest.mark.parametrize("attempt", [1, 7])
def test_checkpoints_are_at_the_same_path_on_every_attempt(
    attempt: int, mounts: list[dict[str, str]], expected: list[dict[str, str]]
) -> None:
    checkpoint = {"volume": "data", "path": "/data/checkpoints", "everySeconds": 60, "keep": 2}
    spec = {"volumes": [DATA], "volumeMounts": mounts, "checkpoint": checkpoint}
    child = manifests.child_job(training_job(spec), attempt, RUN, Tracking("http://mlflow:5000"))
    [container] = child["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert container["volumeMounts"] == expected
    assert {name: value for name, value in environment.items() if "CHECKPOINT" in name} == {
        "TRAININGJOB_CHECKPOINT_DIR": "/data/checkpoints",
        "TRAININGJOB_OPTION_CHECKPOINT_EVERY_SECONDS": "60",
        "TRAININGJOB_OPTION_CHECKPOINT_KEEP": "2",
    }


CLAIM = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "10Gi"}}}


@pytest.mark.parametrize(
    ("checkpoint", "claim"),
    [
        pytest.param({"claimName": "shared"}, "shared", id="one-that-exists"),
        pytest.param({"claimTemplate": CLAIM}, "mnist-checkpoints-u-1", id="one-of-its-own"),
        pytest.param(
            {"claimName": "shared", "claimTemplate": CLAIM},
            "shared",
            id="one-that-is-made-if-missing",
        ),
    ],
)
def test_checkpoints_may_be_on_a_claim(checkpoint: dict[str, Any], claim: str) -> None:
    job = training_job({"checkpoint": {"path": "/checkpoints", **checkpoint}})
    spec = manifests.child_job(job, 2, RUN, Tracking("http://mlflow"))["spec"]["template"]["spec"]
    assert spec["volumes"] == [
        {"name": "trainingjob-checkpoints", "persistentVolumeClaim": {"claimName": claim}}
    ]
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": "trainingjob-checkpoints", "mountPath": "/checkpoints"}
    ]


@pytest.mark.parametrize(
    ("retention", "owned"),
    [
        pytest.param({}, {"ownerReferences": [OWNER]}, id="goes-with-the-job"),
        pytest.param({"claimRetention": "Delete"}, {"ownerReferences": [OWNER]}, id="delete"),
        pytest.param({"claimRetention": "Keep"}, {}, id="keep"),
    ],
)
def test_the_claim_of_the_checkpoints(retention: dict[str, Any], owned: dict[str, Any]) -> None:
    checkpoint = {"path": "/checkpoints", "claimTemplate": CLAIM, **retention}
    assert manifests.checkpoint_claim(training_job({"checkpoint": checkpoint})) == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "mnist-checkpoints-u-1",
            "namespace": "ml",
            "labels": SELECTOR,
            **owned,
        },
        "spec": CLAIM,
    }
    assert manifests.checkpoint_claim(training_job()) is None


@pytest.mark.parametrize(
    ("retention", "owners"), [(None, None), ("Keep", None), ("Delete", [OWNER])]
)
def test_a_claim_with_a_name_stays_for_the_next_job_unless_it_is_to_go(
    retention: str | None, owners: Any
) -> None:
    checkpoint = {"path": "/checkpoints", "claimName": "mine", "claimTemplate": CLAIM}
    spec = {"checkpoint": {**checkpoint, **({"claimRetention": retention} if retention else {})}}
    claim = manifests.checkpoint_claim(training_job(spec))
    assert claim is not None
    assert claim["metadata"]["name"] == "mine"
    assert claim["metadata"].get("ownerReferences") == owners

"""What a child Job says of its TrainingJob when that is gone."""

from typing import Any

import pytest
from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core import manifests
from trainingjob_operator.core.owner_record import trainingjob
from trainingjob_operator.core.tracking_uris import Tracking

from tests.support.jobs import RUN, at, training_job

MLFLOW = {"experiment": "vision", "runName": "nightly", "tags": {"team": "vision"}}


def child_of(job: TrainingJob, **status: Any) -> dict[str, Any]:
    """A child Job as the API server gives it."""
    made = manifests.child_job(job, 3, RUN, Tracking("http://other", "vision"))
    given = {"uid": "j-3", "resourceVersion": "9", "creationTimestamp": "2026-01-01T00:00:01Z"}
    return {**made, "metadata": {**made["metadata"], **given}, "status": status}


def test_it_has_whose_it_is_and_where_its_run_is() -> None:
    found = trainingjob(child_of(training_job({"mlflow": MLFLOW})), at(60))
    assert found.model_dump(mode="json", exclude_defaults=True) == {
        "metadata": {
            "name": "mnist",
            "namespace": "ml",
            "uid": "u-1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "deletionTimestamp": "2026-01-01T00:01:00Z",
        },
        "spec": {
            "image": "none",
            "mlflow": {
                "trackingUri": "http://other",
                "experiment": "vision",
                "runName": "nightly",
                "workspace": "vision",
            },
        },
        "status": {
            "state": "Running",
            "attempt": 3,
            "attempts": [{"attempt": 3, "job": "mnist-3"}],
        },
    }


COMPLETE = {
    "completionTime": "2026-01-01T00:00:20Z",
    "conditions": [{"type": "Complete", "status": "True"}],
}


@pytest.mark.parametrize(
    ("deleted", "state"),
    [
        (None, "Succeeded"),
        ("2026-01-01T00:00:20Z", "Succeeded"),
        ("2026-01-01T00:00:19Z", "Running"),
    ],
)
def test_a_job_that_completed_before_it_was_deleted_has_succeeded(
    deleted: str | None, state: str
) -> None:
    raw = child_of(training_job(), **COMPLETE)
    if deleted:
        raw["metadata"]["deletionTimestamp"] = deleted
    assert trainingjob(raw, at(60)).status.state == state


@pytest.mark.parametrize(
    "annotations",
    [None, {}, {"trainingjob.dev/created": "soon", "trainingjob.dev/mlflow": "[" * 10_000}],
)
def test_whatever_somebody_made_of_the_annotations_can_be_read(annotations: Any) -> None:
    raw = child_of(training_job())
    raw["metadata"]["annotations"] = annotations
    found = trainingjob(raw, at(60))
    assert found.metadata.creation_timestamp is None
    assert found.spec.mlflow.experiment is None

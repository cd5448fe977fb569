from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from trainingjob_operator.api import (
    Condition,
    Mlflow,
    MlflowStatus,
    Monitoring,
    ObjectMeta,
    Progress,
    State,
    TrainingJob,
    TrainingJobSpec,
    TrainingJobStatus,
)

EXAMPLES = Path(__file__).parents[3] / "manifests/examples"


def example(name: str) -> TrainingJob:
    documents = yaml.safe_load_all((EXAMPLES / name).read_text())
    return next(
        TrainingJob.model_validate(document)
        for document in documents
        if document["kind"] == "TrainingJob"
    )


def test_mnist_example() -> None:
    assert example("mnist.yaml") == TrainingJob(
        metadata=ObjectMeta(name="mnist"),
        spec=TrainingJobSpec(
            image="docker.io/trainingjob/trainer:dev",
            image_pull_policy="IfNotPresent",
            args=["run", "mnist", "--epochs", "5"],
            resources_per_node={
                "requests": {"cpu": "250m", "memory": "1Gi"},
                "limits": {"memory": "3Gi"},
            },
            mlflow=Mlflow(experiment="mnist", run_name="mnist"),
            monitoring=Monitoring(interval_seconds=2),
        ),
    )


def test_two_nodes_example() -> None:
    spec = example("mnist-two-nodes.yaml").spec
    assert (spec.num_nodes, spec.num_proc_per_node) == (2, 1)


def test_fluent_script_example() -> None:
    spec = example("fluent-script.yaml").spec
    assert spec.volumes == [{"name": "scripts", "configMap": {"name": "fluent-script"}}]
    assert spec.mlflow.tracking_uri is None


def test_defaults() -> None:
    spec = TrainingJobSpec.model_validate({"image": "trainer"})
    assert spec.model_dump(mode="json", exclude_defaults=True) == {"image": "trainer"}
    assert (spec.num_nodes, spec.num_proc_per_node, spec.backoff_limit) == (1, "auto", 0)
    assert spec.termination_grace_period_seconds == 60
    assert spec.monitoring == Monitoring(enabled=True, interval_seconds=10, port=9400)


def test_fields_of_a_newer_release_are_ignored() -> None:
    body = {
        "metadata": {"name": "mnist", "managedFields": []},
        "spec": {"image": "trainer", "newField": {"a": 1}},
        "status": {"newField": 1},
    }
    assert TrainingJob.model_validate(body) == TrainingJob(
        metadata=ObjectMeta(name="mnist"), spec=TrainingJobSpec(image="trainer")
    )


def test_status_on_the_wire() -> None:
    status = TrainingJobStatus(
        state=State.RUNNING,
        conditions=[
            Condition(
                type="Running",
                status="True",
                reason="AllPodsRunning",
                observed_generation=1,
                last_transition_time=datetime(2026, 1, 1, tzinfo=UTC),
            )
        ],
        attempt=1,
        mlflow=MlflowStatus(experiment_id="1", run_id="0123", status="RUNNING"),
        progress=Progress(percentage=42, estimated_remaining_seconds=200),
    )
    wire = status.model_dump(mode="json", exclude_none=True)
    assert wire == {
        "state": "Running",
        "conditions": [
            {
                "type": "Running",
                "status": "True",
                "reason": "AllPodsRunning",
                "message": "",
                "observedGeneration": 1,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
        "attempt": 1,
        "attempts": [],
        "mlflow": {"experimentId": "1", "runId": "0123", "status": "RUNNING"},
        "progress": {
            "percentage": 42,
            "estimatedRemainingSeconds": 200,
            "metrics": {},
            "completed": "42%",
            "remaining": "3m20s",
        },
    }
    assert TrainingJobStatus.model_validate(wire) == status


@pytest.mark.parametrize("status", [{}, {"state": "Pending"}, {"mlflow": {}, "progress": {}}])
def test_partial_status_parses(status: dict[str, Any]) -> None:
    assert TrainingJobStatus.model_validate(status).attempt == 0


def test_times_are_whole_seconds_of_utc() -> None:
    local = datetime(2026, 1, 1, 2, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    status = TrainingJobStatus(start_time=local)
    assert status.start_time == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("9999-12-31T23:59:59-12:00", "2200-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+12:00", "1970-01-01T00:00:00Z"),
    ],
)
def test_times_are_such_that_seconds_can_be_added(stored: str, read: str) -> None:
    status = TrainingJobStatus.model_validate({"startTime": stored})
    assert status.model_dump(mode="json", by_alias=True)["startTime"] == read


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (60, "1m0s"), (3600, "1h0m"), (90061, "1d1h"), (None, None)],
)
def test_remaining_time_for_people(seconds: int | None, text: str | None) -> None:
    assert Progress(estimated_remaining_seconds=seconds).remaining == text

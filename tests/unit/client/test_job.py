from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob.core import job as jobs
from trainingjob.core.job import Attempt, Condition, Failure, Job, Progress
from trainingjob_operator.api import TrainingJob

from tests.unit.client.bodies import RUN, body, job

WRITTEN_BY_THE_OPERATOR = {
    **body(
        "Failed",
        {"numNodes": 2, "queueName": "gpus"},
        attempt=2,
        attempts=[
            {"attempt": 1, "outcome": "Disrupted", "reason": "Evicted"},
            {
                "attempt": 2,
                "outcome": "Failed",
                "reason": "CudaOutOfMemory",
                "exitCode": 3,
                "rank": 1,
            },
        ],
        failure={
            "reason": "CudaOutOfMemory",
            "message": "out of memory (train.py:7 in step)",
            "node": "gpu-4",
            "rank": 1,
            "globalRank": 9,
            "frame": "train.py:7 in step",
            "epoch": 2,
            "step": 40,
        },
        conditions=[{"type": "Failed", "status": "True", "reason": "OOM", "message": "so"}],
        progress={"percentage": 40, "estimatedRemainingSeconds": 90, "metrics": {"loss": 0.5}},
        mlflow=RUN,
    )
}


def test_all_that_the_operator_writes_is_read() -> None:
    wire = TrainingJob.model_validate(WRITTEN_BY_THE_OPERATOR).model_dump(
        mode="json", exclude_none=True
    )
    assert jobs.read(wire) == Job(
        name="mnist",
        namespace="ml",
        uid="u-1",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        deleting=False,
        num_nodes=2,
        queue="gpus",
        managed_by=None,
        image="trainer:1",
        state="Failed",
        attempt=2,
        attempts=(
            Attempt(1, "Disrupted", "Evicted", None, None, None),
            Attempt(2, "Failed", "CudaOutOfMemory", None, 3, 1),
        ),
        next_attempt=None,
        failure=Failure(
            "CudaOutOfMemory",
            "out of memory (train.py:7 in step)",
            "gpu-4",
            1,
            9,
            "train.py:7 in step",
            2,
            40,
        ),
        conditions={"Failed": Condition("True", "OOM", "so")},
        progress=Progress(40, None, None, 90, {"loss": 0.5}),
        tracking_uri="http://mlflow:5000",
        run_id="f00d",
        run_status="RUNNING",
        run_url="https://mlflow.example.com/#/experiments/7/runs/f00d",
    )


def test_a_job_that_no_operator_has_seen() -> None:
    assert (job().state, job().ended, job().attempts) == ("Unseen", False, ())


@pytest.mark.parametrize(
    ("state", "attempts", "code"),
    [
        ("Succeeded", [{"attempt": 1, "exitCode": 3}, {"attempt": 2}], 0),
        ("Failed", [{"attempt": 1, "exitCode": 3}], 3),
        ("Failed", [{"attempt": 1, "exitCode": 3}, {"attempt": 2, "exitCode": 137}], 137),
        ("Failed", [{"attempt": 1}], 1),  # its node refused the pod
        ("Failed", [], 1),
        ("Stopped", [{"attempt": 1, "exitCode": 143}], 143),
        ("Stopped", [], 1),
        ("Failed", [{"attempt": 1, "exitCode": 0}], 1),  # a failure is never 0
        ("Failed", [{"attempt": 1, "exitCode": 3221225477}], 1),  # no shell has such a code
    ],
)
def test_exit_code(state: str, attempts: list[dict[str, int]], code: int) -> None:
    assert job(state, attempts=attempts).exit_code == code


FOREIGN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(WRITTEN_BY_THE_OPERATOR["status"])), FOREIGN)
def test_a_field_of_another_release_is_no_error(field: str, value: object) -> None:
    status = {**WRITTEN_BY_THE_OPERATOR["status"], field: value}
    assert jobs.read({**WRITTEN_BY_THE_OPERATOR, "status": status}).name == "mnist"


@given(FOREIGN)
def test_anything_can_be_read(value: object) -> None:
    assert isinstance(jobs.read(value), Job)

"""Tables, and what is said while a job is followed."""

from typing import Any

import pytest
from trainingjob.core import gauges, tables, updates
from trainingjob.core.durations import duration, size
from trainingjob.core.job import read

from tests.unit.client.bodies import NOW, RUN, body, job

HALF = {
    "percentage": 50,
    "epoch": 3,
    "step": 120,
    "estimatedRemainingSeconds": 200,
    "metrics": {"val/loss": 0.7, "train/loss": 0.02134, "accuracy": 0.9},
}
UNSCHEDULABLE = {"reason": "Unschedulable", "message": "no node fits"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (59.9, "59s"), (200, "3m20s"), (7260, "2h1m"), (90000, "1d1h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (20 * 2**20, "20 MiB"),
        (2**40, "1024.0 GiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_a_table_has_its_columns_below_each_other() -> None:
    rows = [
        tables.HEADINGS,
        tables.row(job("Running", {"numNodes": 12}, attempt=1, progress=HALF, mlflow=RUN), NOW),
        tables.row(job(), NOW),
        tables.row(job("Failed", attempt=2, failure={"reason": "Evicted"}, progress=HALF), NOW),
    ]
    assert tables.lines(rows) == [
        "NAME    STATE     PROGRESS   ETA     ATTEMPT   NODES   AGE    RUN    REASON",
        "mnist   Running   50%        3m20s   1         12      1h0m   f00d   -",
        "mnist   Unseen    -          -       -         1       1h0m   -      -",
        "mnist   Failed    50%        -       2         1       1h0m   -      Evicted",
    ]
    assert tables.lines([]) == []


def test_metrics_are_those_of_the_training_and_then_of_each_node() -> None:
    assert gauges.rows(
        {
            "system/10/cpu": 1.0,
            "system/2/gpu_0_utilization_percentage": 97.123456789,
            "train/loss": 0.5,
            "system/2/cpu": 2e9,
        }
    ) == [
        ("-", "train/loss", "0.5"),
        ("2", "cpu", "2e+09"),
        ("2", "gpu_0_utilization_percentage", "97.1235"),
        ("10", "cpu", "1"),
    ]
    assert gauges.rows({"system/cpu": 1.0}) == [("0", "cpu", "1")]


def test_the_details_of_a_job_are_what_is_known() -> None:
    found = job("Failed", attempt=1, progress=HALF, failure=UNSCHEDULABLE, mlflow=RUN)
    assert tables.details(found, NOW) == [
        ("name", "ml/mnist"),
        ("state", "Failed"),
        ("age", "1h0m"),
        ("image", "trainer:1"),
        ("nodes", "1"),
        ("attempt", "1"),
        ("progress", "50%"),
        ("epoch", "3"),
        ("step", "120"),
        ("accuracy", "0.9"),
        ("train/loss", "0.02134"),
        ("val/loss", "0.7"),
        ("run", "f00d"),
        ("run status", "RUNNING"),
        ("run page", "https://mlflow.example.com/#/experiments/7/runs/f00d"),
        ("cause", "Unschedulable: no node fits"),
    ]


def test_json_has_the_names_of_the_api() -> None:
    found = job("Starting", failure=UNSCHEDULABLE)
    assert tables.summary(found) == {
        "name": "mnist",
        "namespace": "ml",
        "uid": "u-1",
        "state": "Starting",
        "createdAt": "2026-01-01T00:00:00+00:00",
        "numNodes": 1,
        "attempt": 0,
        "percentage": None,
        "epoch": None,
        "step": None,
        "estimatedRemainingSeconds": None,
        "metrics": {},
        "runId": None,
        "runStatus": None,
        "runUrl": None,
        "failure": {
            "reason": "Unschedulable",
            "message": "no node fits",
            "node": None,
            "rank": None,
            "frame": None,
        },
    }


STALLED = [{"type": "Stalled", "status": "True", "message": "no step for 600 s"}]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (None, body(), ["waits for the operator"]),
        (body(), body("Starting"), ["Starting"]),
        (body("Starting"), body("Starting", mlflow=RUN), [f"run {RUN['url']}"]),
        (None, body("Starting", mlflow={"runId": "f00d"}), ["run f00d", "Starting"]),
        (
            body("Starting"),
            body("Starting", failure=UNSCHEDULABLE),
            ["Starting: Unschedulable: no node fits"],
        ),
        (body("Running"), body("Running", progress=HALF), []),
        (body("Running"), body("Running", conditions=STALLED), ["stalled: no step for 600 s"]),
        (body("Running", conditions=STALLED), body("Running", conditions=STALLED), []),
        (body("Running", attempt=1), body("Running", attempt=2), ["Running, attempt 2"]),
        # The end is explained by itself.
        (body("Running"), body("Failed", failure=UNSCHEDULABLE), ["Failed"]),
    ],
)
def test_news(before: Any, after: Any, lines: list[str]) -> None:

    assert updates.news(read(before) if before else None, read(after)) == lines


def test_progress_is_that_of_the_training_with_its_loss() -> None:
    assert updates.progress(job("Running", progress=HALF)) == (
        "epoch 3, step 120, train/loss 0.02134, 3m20s to go"
    )
    assert updates.progress(job("Running")) == ""


@pytest.mark.parametrize(
    ("before", "percentage", "line"),
    [(None, 3, "3%"), (3, 9, None), (9, 10, "10%"), (10, 10, None), (19, 55, "55%")],
)
def test_without_a_terminal_each_tenth_is_a_line(
    before: int | None, percentage: int, line: str | None
) -> None:
    last = None if before is None else job("Running", progress={"percentage": before})
    now = job("Running", progress={"percentage": percentage})
    assert updates.progress_line(last, now) == line

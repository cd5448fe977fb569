"""Which run a process of a script logs to, and as which rank."""

from pathlib import Path

import pytest
from torch import distributed
from trainingjob_agent.supervisor.__main__ import script_environment
from trainingjob_agent.supervisor.jobs_run import JobsRun, rank_of_process, tell_run_id

from tests.support.processes import free_port

POD = {
    "MLFLOW_TRACKING_URI": "http://mlflow:5000",
    "MLFLOW_EXPERIMENT_ID": "7",
    "MLFLOW_RUN_ID": "abc",
    "TRAININGJOB_MLFLOW_RUN_ID": "abc",
    "TRAININGJOB_UID": "0b1c",
}


def test_a_script_may_change_what_mlflow_reads_and_the_jobs_run_is_still_known() -> None:
    environment = script_environment(POD, Path("/tmp/script"))  # noqa: S108 - a name only
    changed = {**environment, "MLFLOW_TRACKING_URI": "sqlite:///mine.db", "MLFLOW_RUN_ID": "xyz"}

    assert JobsRun.from_environment(changed) == JobsRun(
        directory=Path("/tmp/script"),  # noqa: S108 - as above
        tracking_uri="http://mlflow:5000",
        run_id="abc",
        experiment_id="7",
        uid="0b1c",
        every_rank=False,
    )


@pytest.mark.parametrize(
    "missing",
    [
        {"MLFLOW_TRACKING_URI"},
        {"MLFLOW_RUN_ID", "TRAININGJOB_MLFLOW_RUN_ID", "TRAININGJOB_UID"},
    ],
)
def test_without_a_server_or_a_run_mlflow_is_left_as_it_is(missing: set[str]) -> None:
    pod = {name: value for name, value in POD.items() if name not in missing}

    assert JobsRun.from_environment(script_environment(pod, Path("/tmp/script"))) is None  # noqa: S108


def test_a_run_that_is_not_known_yet_has_an_id_that_stands_for_it(tmp_path: Path) -> None:
    job = JobsRun(tmp_path, "http://mlflow", uid="0b1c")
    assert (job.pending_id, job.known_id()) == ("pending-0b1c", None)

    tell_run_id(tmp_path, "abc")

    assert job.known_id() == "abc"
    assert [job.has_id(one) for one in ("abc", "pending-0b1c", "xyz")] == [True, True, False]


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        pytest.param({}, 0, id="alone"),
        pytest.param({"RANK": "3", "LOCAL_RANK": "1", "GROUP_RANK": "1"}, 3, id="torchrun"),
        pytest.param({"NODE_RANK": "1", "LOCAL_RANK": "0"}, 1, id="Lightning, second node"),
        pytest.param({"LOCAL_RANK": "1"}, 1, id="Lightning, second process"),
        pytest.param({"TRAININGJOB_NODE_RANK": "1"}, 1, id="plain python on the second node"),
        pytest.param(
            {"NODE_RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}, 5, id="of eight"
        ),
        pytest.param({"RANK": "none", "LOCAL_RANK": ""}, 0, id="no numbers"),
    ],
)
def test_the_rank_of_a_process(environment: dict[str, str], rank: int) -> None:
    assert rank_of_process(environment) == rank


def test_the_rank_that_torch_knows_counts() -> None:
    distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{free_port()}", world_size=1, rank=0
    )
    try:
        assert rank_of_process({"RANK": "3"}) == 0
    finally:
        distributed.destroy_process_group()


def test_a_line_is_said_once_by_all_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        JobsRun(tmp_path, "http://mlflow", "abc").say_once("ranks", "rank 0 alone logs")

    assert capsys.readouterr().err == "trainingjob-exec: rank 0 alone logs\n"

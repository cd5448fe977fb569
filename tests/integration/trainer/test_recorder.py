"""Ranks that wait for another one in vain say what all did last."""

import json
import os
import pickle
from pathlib import Path

import pytest
from trainingjob_agent.contract import Contract
from trainingjob_trainer.node_log import run_with_node_log
from trainingjob_trainer.recorder import write_to

from tests.integration.trainer.attempts import Attempts
from tests.support.processes import MlflowServer

VARIABLE = "TORCH_FR_DUMP_TEMP_FILE"


def test_a_rank_that_comes_too_late_ends_the_others_which_write_their_records(
    tmp_path: Path,
) -> None:
    environment: dict[str, str] = {}
    records = tmp_path / "records"
    records.mkdir()
    write_to(environment, records)
    options = ("--epochs", "1", "--batch-size", "6", "--collective-seconds", "2")
    late = Attempts(tmp_path, options, ranks=2, task="late_task:LateTask")

    assert late.run(**environment) == [1, 1]

    termination = json.loads((tmp_path / "termination-log").read_text())
    assert termination["reason"] == "CollectiveTimeout"
    record = pickle.loads((records / "rank_0").read_bytes())  # noqa: S301 - torch has just written it
    assert "gloo:all_reduce" in {entry["profiling_name"] for entry in record["entries"]}


@pytest.mark.parametrize(("code", "kept"), [(1, ["rank_0", "rank_1"]), (143, [])])
def test_the_records_of_a_node_are_artifacts_of_a_failed_attempt(
    mlflow_server: MlflowServer,
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kept: list[str],
) -> None:
    for variable in (VARIABLE, "TRAININGJOB_NODE_LOG_KEPT"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)

    def ranks() -> int:
        for rank in range(2):
            Path(f"{os.environ[VARIABLE]}{rank}").write_bytes(b"record")
        return code

    contract = Contract(tracking_uri=mlflow_server.uri, run_id=run_id, attempt=3)
    assert run_with_node_log(contract, ranks) == code

    found = mlflow_server.client.list_artifacts(run_id, "flight_recorder/attempt-3")
    assert [one.path for one in found] == [f"flight_recorder/attempt-3/{name}" for name in kept]


def test_another_place_that_a_user_has_chosen_stays() -> None:
    environment = {VARIABLE: "/data/rank_"}

    write_to(environment, Path("/elsewhere"))

    assert environment == {VARIABLE: "/data/rank_"}

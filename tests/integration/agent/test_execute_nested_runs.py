"""Nested runs that a script opens and logs to while MLflow is away, on a real server."""

from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from trainingjob_agent.delivery.bundles import Bundles, Call
from trainingjob_agent.delivery.late_calls import make_calls
from trainingjob_agent.supervisor import asking
from trainingjob_agent.supervisor.artifacts import JobsArtifacts

from tests.integration.agent.asking import QUIET
from tests.integration.agent.executing import ended, go_on, next_line, script
from tests.integration.agent.test_execute_models import Away
from tests.support.faults import FaultyServer
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer, free_port


def test_nested_runs_of_an_outage_are_made_later(
    trainer: Trainer, mlflow_server: MlflowServer, job: str
) -> None:
    """Of three trials one is open when the server goes, and one when it is back."""
    away = Away()
    with FaultyServer(away.serve, mlflow_server.uri) as proxy:
        process = trainer.execute(
            *script("nested_script.py"),
            MLFLOW_TRACKING_URI=proxy.uri,
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
            **QUIET,
        )
        for trial in ("before", "during", "after"):
            line = next_line(process)
            assert line == f"{trial}\n".encode(), ended(process)[2]
            if trial == "before":
                away.now.set()
            elif trial == "during":
                away.now.clear()
            go_on(process)
        code, output, errors = ended(process)

    assert (code, output) == (0, "done\n"), errors
    assert errors.count("what goes to further runs is kept, to be logged later") == 1
    client = mlflow_server.client
    experiment = client.get_run(job).info.experiment_id
    trials = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{job}'")
    runs = {run.info.run_name: run for run in trials}
    assert sorted(runs) == ["after", "before", "during"]
    for name, run in runs.items():
        run_id = run.info.run_id
        assert (run.info.status, run.data.tags["mlflow.parentRunId"]) == ("FINISHED", job)
        assert (run.data.params, run.data.tags["trial"]) == ({"lr": "0.1"}, name)
        history = client.get_metric_history(run_id, "loss")
        assert sorted((one.step, one.value) for one in history) == [
            (0, 1.0),
            (1, 0.5),
            (2, 1 / 3),
            (3, 0.1),
        ]
        assert Path(client.download_artifacts(run_id, "notes/name.txt")).read_text() == name
        [below] = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
        assert (below.info.run_name, below.info.status) == (f"{name}, once more", "FINISHED")
        assert below.data.metrics == {"loss": 0.05}


def test_a_call_about_a_run_that_is_gone_does_not_hold_up_those_behind_it(
    mlflow_server: MlflowServer, job: str, tmp_path: Path
) -> None:
    bundles = Bundles(tmp_path / "bundles")
    other = mlflow_server.create_run()
    for run_id in ("0" * 32, other):
        body = {"run_id": run_id, "key": "trial", "value": "3"}
        bundles.append(Call("POST", "/api/2.0/mlflow/runs/set-tag", body))
    [journal] = bundles.take(ended=False)
    assert list(bundles.take(ended=False)) == [], "it is on its way"

    make_calls(mlflow_server.client, job, journal, bundles, "pending-u-1")

    assert mlflow_server.client.get_run(other).data.tags["trial"] == "3"
    assert (journal.calls(), list(bundles.take(ended=True))) == ([], [journal])


@pytest.mark.parametrize("place", [f"{'a' * 32}/artifacts", "models/m-7/artifacts"])
def test_a_file_for_another_server_is_not_kept_for_that_of_the_job(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("TRAININGJOB_SCRIPT_DIR", str(tmp_path / "shared"))
    monkeypatch.setenv("TRAININGJOB_MLFLOW_TRACKING_URI", "http://mlflow:5000")
    monkeypatch.setenv("TRAININGJOB_MLFLOW_RUN_ID", "b" * 32)
    monkeypatch.setattr(asking.REACH, "is_away", lambda _: True)
    (tmp_path / "words.txt").write_text("words")

    repository = JobsArtifacts(f"mlflow-artifacts:/0/{place}", tracking_uri=other)
    with pytest.raises(MlflowException):
        repository.log_artifact(str(tmp_path / "words.txt"))

    assert not (tmp_path / "shared").exists()

"""Models and data sets that a script logs while MLflow is away, on a real server."""

import threading
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from trainingjob_agent.delivery.bundles import Bundles, Call
from trainingjob_agent.delivery.late_calls import make_calls

from tests.integration.agent.asking import QUIET
from tests.integration.agent.executing import ended, go_on, next_line, script
from tests.support.faults import Answer, FaultyServer, Request
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer


class Away:
    """A server that answers until `pattern` is in the path of a call, and again when it is back."""

    def __init__(self, pattern: str = "") -> None:
        self.pattern = pattern
        self.now = threading.Event()

    def serve(self, request: Request, forward: Callable[[], Answer]) -> Answer:
        if self.pattern and self.pattern in request.path:
            self.now.set()
        return Answer(503, b"<html>no</html>") if self.now.is_set() else forward()


def assert_all_is_logged(server: MlflowServer, run_id: str) -> None:
    """What `model_script.py` logs is in the run, and the model can be loaded."""
    client = server.client
    run = client.get_run(run_id)
    assert run.inputs is not None
    assert run.outputs is not None
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["zeros"]
    [output] = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (model.name, model.status, model.source_run_id) == ("double", "READY", run_id)
    assert (model.params["factor"], model.tags["stage"]) == ("2", "candidate")
    assert run.data.metrics["accuracy"] == 1
    mlflow.set_tracking_uri(server.uri)
    files = Path(mlflow.artifacts.download_artifacts(f"models:/{model.model_id}"))
    assert f"model_id: {model.model_id}" in (files / "MLmodel").read_text()
    assert mlflow.pyfunc.load_model(str(files)).predict(["ab"]) == ["abab"]
    words = server.client.download_artifacts(run_id, "notes/words.txt")
    assert Path(words).read_text() == "words"


@pytest.mark.parametrize(
    "pattern",
    ["", "/artifacts/0/models/"],
    ids=["all the time", "from the first file of the model"],
)
def test_a_model_and_a_data_set_of_an_outage_are_logged_later(
    trainer: Trainer, mlflow_server: MlflowServer, job: str, pattern: str
) -> None:
    away = Away(pattern)
    with FaultyServer(away.serve, mlflow_server.uri) as proxy:
        process = trainer.execute(
            *script("model_script.py"),
            MLFLOW_TRACKING_URI=proxy.uri,
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
            **QUIET,
        )
        assert next_line(process) == b"started\n"
        if not pattern:
            away.now.set()
        go_on(process)
        line = next_line(process)
        away.pattern = ""
        away.now.clear()
        code, _, errors = ended(process)

    assert (code, line) == (0, b"logged\n"), errors
    assert errors.count("models are kept, to be logged later") == 1
    assert_all_is_logged(mlflow_server, job)


def test_they_are_logged_to_a_run_that_is_created_later(
    trainer: Trainer, own_server: MlflowServer, mlflow_server: MlflowServer
) -> None:
    """The operator could not create the run before the pod started, so the pod has no id of it."""
    process = trainer.execute(
        *script("model_script.py"),
        MLFLOW_TRACKING_URI=own_server.uri,
        TRAININGJOB_UID="u-model",
        **QUIET,
    )
    assert next_line(process) == b"started\n"
    go_on(process)
    line = next_line(process)
    own_server.start()
    run_id = mlflow_server.create_run("u-model", "digits")
    code, _, errors = ended(process)

    assert (code, line) == (0, b"logged\n"), errors
    assert_all_is_logged(mlflow_server, run_id)


def test_a_model_that_nobody_finalized_is_logged_as_far_as_it_came(
    mlflow_server: MlflowServer, job: str, tmp_path: Path
) -> None:
    """As its script was killed while it logged a model; the operator closes it with the run."""
    bundles = Bundles(tmp_path / "bundles")
    bundle = bundles.open("m-kept-1")
    body = {"name": "half", "experiment_id": "0", "source_run_id": "pending-u-1"}
    bundle.add_call(Call("POST", "/api/2.0/mlflow/logged-models", body))
    (tmp_path / "weights.bin").write_text("weights")
    bundle.add_file(tmp_path / "weights.bin", "data")

    client = mlflow_server.client
    make_calls(client, job, bundle, bundles, "pending-u-1")

    [model] = client.search_logged_models(["0"], filter_string="name = 'half'")
    assert (model.status, model.source_run_id) == ("PENDING", job)
    [file] = client.list_logged_model_artifacts(model.model_id, "data")
    assert file.path == "data/weights.bin"
    assert not bundle.place.exists()


def test_a_model_that_waits_for_the_server_is_reported_when_it_is_given_up(
    trainer: Trainer, mlflow_server: MlflowServer, job: str
) -> None:
    away = Away()
    with FaultyServer(away.serve, mlflow_server.uri) as proxy:
        process = trainer.execute(
            *script("model_script.py"),
            MLFLOW_TRACKING_URI=proxy.uri,
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
            **QUIET,
        )
        assert next_line(process) == b"started\n"
        away.now.set()
        go_on(process)
        assert next_line(process) == b"logged\n"
        process.terminate()
        code, _, errors = ended(process)

    assert code == 143
    assert "not uploaded in time: " in errors
    assert "the model double" in errors
    assert "a call of runs/log-inputs" in errors

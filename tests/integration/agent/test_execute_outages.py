"""MLflow is away while a script under `trainingjob-exec` logs, on a real server."""

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.agent.asking import QUIET, log, points, started, steps
from tests.integration.agent.delivering import history
from tests.integration.agent.executing import SCRIPTS, ended, go_on, next_line
from tests.support.faults import Answer, FaultyServer, Request
from tests.support.frameworks import FRAMEWORKS
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer, free_port
from tests.support.waiting import wait_for


def test_a_script_goes_on_through_outages_and_every_point_arrives_once(
    trainer: Trainer, own_server: MlflowServer, mlflow_server: MlflowServer, job: str
) -> None:
    """MLflow is away at the start, in the middle, and when the run ends."""
    process = started(trainer, MLFLOW_TRACKING_URI=own_server.uri)
    log(process, 1, 100)
    own_server.start()
    log(process, 101, 1_500)
    own_server.end(signal.SIGKILL)
    log(process, 1_501, 3_000)
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None
    assert next_line(process) == b"done\n"
    back = threading.Thread(target=own_server.start)
    back.start()
    code, _, errors = ended(process)
    back.join()

    assert code == 0, errors
    assert points(mlflow_server, job) == steps(1, 3_000)
    moments = [point.timestamp for point in history(mlflow_server, job)]
    assert moments == sorted(moments)


def test_the_next_attempt_delivers_what_was_logged_in_an_outage(
    trainer: Trainer, own_server: MlflowServer, mlflow_server: MlflowServer, job: str
) -> None:
    process = started(trainer, MLFLOW_TRACKING_URI=own_server.uri)
    log(process, 1, 100)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143
    assert points(mlflow_server, job) == []

    process = started(trainer)
    log(process, 101, 200)
    code, _, errors = ended(process)

    assert code == 0, errors
    assert points(mlflow_server, job) == steps(1, 200)


def test_a_script_logs_to_the_run_that_is_created_when_mlflow_is_back(
    trainer: Trainer, own_server: MlflowServer, mlflow_server: MlflowServer
) -> None:
    """The operator could not create the run before the pod started, so the pod has no id of it."""
    process = started(trainer, MLFLOW_TRACKING_URI=own_server.uri, TRAININGJOB_UID="u-late")
    log(process, 1, 100)
    own_server.start()
    run_id = mlflow_server.create_run("u-late", "digits")
    wait_for("points", lambda: points(mlflow_server, run_id), 120, poll=1)
    log(process, 101, 200)
    code, _, errors = ended(process)

    assert code == 0, errors
    assert points(mlflow_server, run_id) == steps(1, 200)
    assert mlflow_server.client.get_run(run_id).info.status == "RUNNING", "as the operator left it"


@pytest.mark.parametrize(
    ("name", "metric", "count"),
    [("lightning_script.py", "train_loss", 4), ("transformers_script.py", "loss", 4)],
)
def test_mlflow_is_away_while_a_framework_trains(
    trainer: Trainer, mlflow_server: MlflowServer, job: str, name: str, metric: str, count: int
) -> None:
    """From the moment at which the framework has its run, until its script has ended."""
    away = threading.Event()

    def serve(request: Request, forward: Callable[[], Answer]) -> Answer:
        if away.is_set():
            return Answer(503, b"<html>no</html>")
        if "runs/get" in request.path:
            away.set()
        return forward()

    with FaultyServer(serve, mlflow_server.uri) as proxy:
        process = trainer.execute(
            sys.executable,
            "-c",
            f"import runpy; runpy.run_path({str(SCRIPTS / name)!r}, run_name='__main__')\n"
            "print('trained', flush=True)",
            PYTHONPATH=str(FRAMEWORKS),
            MLFLOW_TRACKING_URI=proxy.uri,
            **QUIET,
        )
        while (line := next_line(process)) not in (b"trained\n", b""):
            pass
        assert away.is_set()
        away.clear()
        proxy.script = lambda _, forward: forward()
        code, _, errors = ended(process)

    assert (code, line) == (0, b"trained\n"), errors
    points = mlflow_server.client.get_metric_history(job, metric)
    assert len({point.step for point in points}) == len(points) == count


def test_files_that_mlflow_does_not_take_now_are_uploaded_later(
    trainer: Trainer, mlflow_server: MlflowServer, job: str, tmp_path: Path
) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    for name in ("a.txt", "deep/b.txt"):
        (tmp_path / "tree" / name).write_text(name)
    away = threading.Event()

    def serve(request: Request, forward: Callable[[], Answer]) -> Answer:
        return Answer(503, b"<html>no</html>") if away.is_set() else forward()

    with FaultyServer(serve, mlflow_server.uri) as proxy:
        process = trainer.execute(
            sys.executable,
            "-c",
            "import mlflow, sys\n"
            "with mlflow.start_run():\n"
            "  mlflow.log_text('first', 'notes/first.txt')\n"
            "  print('started', flush=True)\n"
            "  sys.stdin.readline()\n"
            "  mlflow.log_text('second', 'notes/second.txt')\n"
            f"  mlflow.log_artifacts({str(tmp_path / 'tree')!r})\n"
            "print('logged', flush=True)\n",
            MLFLOW_TRACKING_URI=proxy.uri,
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
            **QUIET,
        )
        assert next_line(process) == b"started\n"
        away.set()
        go_on(process)
        assert next_line(process) == b"logged\n"
        away.clear()
        code, _, errors = ended(process)

    assert code == 0, errors
    assert errors.count("files for the job's run are kept, to be uploaded later") == 1
    there = Path(mlflow_server.client.download_artifacts(job, ""))
    files = {file.relative_to(there).as_posix() for file in there.rglob("*.txt")}
    log = "logs/attempt-0/node-0.txt"
    assert files == {"notes/first.txt", "notes/second.txt", "a.txt", "deep/b.txt", log}
    assert (there / "notes/second.txt").read_text() == "second"


def test_a_server_that_nobody_listens_on_fails_the_script_as_it_does_without_us(
    trainer: Trainer, job: str
) -> None:
    program = (
        "import mlflow\n"
        f"mlflow.set_tracking_uri('http://127.0.0.1:{free_port()}')\n"
        "mlflow.start_run()\n"
    )
    retries = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}

    code, _, errors = ended(trainer.execute(sys.executable, "-c", program, **QUIET, **retries))

    assert code == 1
    assert "as it has chosen" in errors
    assert "Connection refused" in errors

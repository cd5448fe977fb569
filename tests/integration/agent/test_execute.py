"""`trainingjob-exec` with scripts as users have them, against a real MLflow server."""

import json
import os
import re
import signal
import sys
import urllib.request
from pathlib import Path

import pytest
from trainingjob_agent.contract import OPENED_BY_TAG

from tests.integration.agent.executing import (
    SCRIPTS,
    ended,
    script,
    termination,
    torchrun,
)
from tests.support.frameworks import FRAMEWORKS
from tests.support.pod_process import Trainer, wait_until
from tests.support.processes import MlflowServer, free_port
from tests.support.waiting import wait_for


def status(server: MlflowServer, run_id: str) -> tuple[str, int | None]:
    info = server.client.get_run(run_id).info
    return info.status, info.end_time


def runs(server: MlflowServer) -> set[str]:
    return {run.info.run_id for run in server.client.search_runs(list(experiments(server)))}


def experiments(server: MlflowServer) -> set[str]:
    return {one.experiment_id for one in server.client.search_experiments()}


@pytest.mark.parametrize(
    ("name", "metric", "parameter"),
    [
        ("fluent_script.py", "train/loss", ("learning_rate", "0.05")),
        ("lightning_script.py", "train_loss", ("width", "1")),
        ("transformers_script.py", "loss", ("hidden_size", "8")),
    ],
)
def test_an_unmodified_script_logs_to_the_run_of_the_job_and_leaves_its_status(
    trainer: Trainer,
    mlflow_server: MlflowServer,
    tmp_path: Path,
    job: str,
    name: str,
    metric: str,
    parameter: tuple[str, str],
) -> None:
    before = runs(mlflow_server), experiments(mlflow_server)

    code, output, errors = ended(
        trainer.execute(
            *script(name),
            PYTHONPATH=str(FRAMEWORKS),
            TRAININGJOB_OPTION_MONITOR_LEVEL="full",
        )
    )

    assert code == 0, errors
    log = mlflow_server.client.download_artifacts(job, "logs/attempt-0/node-0.txt", str(tmp_path))
    kept = Path(log).read_text()
    assert [line for line in output.splitlines() if line not in kept] == []
    run = mlflow_server.client.get_run(job)
    assert {metric, "system/cpu_utilization_percentage"} <= run.data.metrics.keys()
    assert "system/rank_0_memory_usage_megabytes" in run.data.metrics
    assert parameter in run.data.params.items()
    assert status(mlflow_server, job) == ("SCHEDULED", None)
    assert (runs(mlflow_server), experiments(mlflow_server)) == before, "no second run"
    assert not trainer.termination_log.exists()


@pytest.mark.parametrize(
    "chosen", ["experiment_name='absent'", "experiment_name='{name}'", "experiment_id='{id}'"]
)
def test_a_script_that_sets_an_experiment_logs_to_the_run_of_the_job_and_finds_earlier_runs(
    trainer: Trainer, mlflow_server: MlflowServer, job: str, chosen: str
) -> None:
    client = mlflow_server.client
    name = f"pretraining of {job}"
    experiment_id = client.create_experiment(name)
    earlier = client.create_run(experiment_id).info.run_id
    before = runs(mlflow_server), experiments(mlflow_server)

    code, output, errors = ended(
        trainer.execute(
            sys.executable,
            "-c",
            "import mlflow\n"
            f"mlflow.set_experiment({chosen.format(name=name, id=experiment_id)})\n"
            f"[run] = mlflow.search_runs(experiment_names=['{name}'], output_format='list')\n"
            "print(run.info.run_id)\n"
            "mlflow.log_metric('train/loss', 1)\n",
            MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
        )
    )

    assert (code, output) == (0, f"{earlier}\n"), errors
    assert "train/loss" in client.get_run(job).data.metrics
    assert (runs(mlflow_server), experiments(mlflow_server)) == before
    assert errors.count("spec.mlflow.experiment is the place for its name") == 1


def test_each_run_that_a_script_opens_besides_has_the_tag_by_which_the_operator_closes_it(
    trainer: Trainer, mlflow_server: MlflowServer, job: str
) -> None:
    before = runs(mlflow_server)
    code, _, errors = ended(
        trainer.execute(
            sys.executable,
            "-c",
            "import mlflow\n"
            "with mlflow.start_run():\n"
            "    mlflow.start_run(nested=True)\n"
            "    mlflow.end_run()\n"
            "mlflow.start_run(run_name='other')\n"
            "mlflow.end_run()\n"
            "mlflow.MlflowClient().create_run('0', run_name='another')\n",
            TRAININGJOB_UID="u-1",
            MLFLOW_RUN_CONTEXT=json.dumps({OPENED_BY_TAG: "u-1"}),
        )
    )
    assert code == 0, errors
    client = mlflow_server.client
    opened = [client.get_run(run_id).data.tags for run_id in runs(mlflow_server) - before]
    assert [tags[OPENED_BY_TAG] for tags in opened] == ["u-1"] * 3
    assert [tags.get("mlflow.parentRunId") for tags in opened].count(job) == 1
    assert OPENED_BY_TAG not in client.get_run(job).data.tags


def test_output_passes_unchanged_and_at_once_and_metrics_are_served(
    trainer: Trainer, job: str
) -> None:
    port = free_port()
    process = trainer.execute(
        *script("fluent_script.py"),
        "--wait",
        TRAININGJOB_METRICS_PORT=str(port),
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
    )
    assert process.stderr is not None
    errors = b""
    while b"a progress bar\rwithout a newline at its end" not in errors:
        errors += (data := os.read(process.stderr.fileno(), 4096))
        assert data, errors

    def served() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as reply:
            return str(reply.read().decode())

    wait_until(lambda: 'trainingjob_process_threads{attempt="0",job="digits"' in served())
    assert "trainingjob_steps" not in served(), "what a script does is not known"
    code, output, _ = ended(process)

    assert (code, output) == (0, "step 1\nstep 2\nstep 3\n")


@pytest.mark.parametrize("end", ["well", "by an error"])
def test_after_sigterm_the_script_may_save_and_it_is_no_success(
    trainer: Trainer, tmp_path: Path, end: str
) -> None:
    checkpoint = tmp_path / "checkpoint"
    process = trainer.execute(
        *script("stopping_script.py"), end, CHECKPOINT=str(checkpoint), TRAININGJOB_NODE_RANK="1"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    process.send_signal(signal.SIGTERM)
    code, _, errors = ended(process)

    assert code == 143, errors
    assert checkpoint.read_text() == "saved"
    told = termination(trainer)
    assert (told["reason"], told["message"], told["rank"]) == ("Signal", "stopped by SIGTERM", 1)
    assert "Traceback" not in errors
    assert ("stopped by InterruptedError: asked to stop" in errors) == (end == "by an error")


def test_torchrun_and_all_its_ranks_stop_on_sigterm(trainer: Trainer, tmp_path: Path) -> None:
    process = trainer.execute(
        *torchrun(str(SCRIPTS / "stopping_script.py"), "well"), CHECKPOINT=str(tmp_path / "saved")
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2

    process.send_signal(signal.SIGTERM)
    code, _, errors = ended(process)

    assert code == 143, errors
    assert termination(trainer)["message"] == "stopped by SIGTERM"
    assert "Traceback" not in errors


@pytest.mark.parametrize("ranks", [1, 2])
def test_after_sigterm_the_workers_of_a_loader_serve_until_the_checkpoint_is_written(
    trainer: Trainer, ranks: int
) -> None:
    command = script("loader_script.py")
    process = trainer.execute(*(command if ranks == 1 else torchrun(*command[1:])))
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(ranks)] == [b"ready\n"] * ranks

    process.send_signal(signal.SIGTERM)
    code, output, errors = ended(process)

    assert (code, output) == (143, "saved\n" * ranks), errors


def test_stacks_of_all_processes_when_asked_by_sigquit_also_of_one_in_native_code(
    trainer: Trainer, mlflow_server: MlflowServer, job: str, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(
        "import ctypes, os, sys\n"
        "def hang():\n"
        "  wait = ctypes.PyDLL(None).sigsuspend  # with the interpreter's lock\n"
        "  print('ready', flush=True)\n"
        "  while True:\n"
        "    wait(bytes(128))\n"
        "hang()\n"
    )
    process = trainer.execute(sys.executable, f"{tmp_path}/script.py")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    client = mlflow_server.client
    name = "system/disk_usage_percentage"
    wait_for(name, lambda: client.get_run(job).data.metrics.get(name), 300, poll=1)

    process.send_signal(signal.SIGQUIT)
    [artifact] = wait_for(
        "stacks", lambda: client.list_artifacts(job, "stacks/node-0"), 300, poll=1
    )
    process.send_signal(signal.SIGTERM)
    code, _, errors = ended(process)

    assert code == 143
    kept = Path(client.download_artifacts(job, artifact.path, str(tmp_path))).read_text()
    assert kept in errors
    assert re.search(r'script.py", line 6 in hang\n  File ".*script.py", line 7', kept)


def test_the_code_of_tj_is_kept_in_the_run(
    trainer: Trainer, mlflow_server: MlflowServer, job: str, tmp_path: Path
) -> None:
    """A ConfigMap is mounted as links into the directory of its version."""
    folder, texts = tmp_path / "mounted", {"code.tar.gz": "packed", "job.yaml": "kind: TrainingJob"}
    (folder / "..2026_01_01").mkdir(parents=True)
    (folder / "..data").symlink_to("..2026_01_01")
    for name, text in texts.items():
        (folder / "..data" / name).write_text(text)
        (folder / name).symlink_to(f"..data/{name}")
    code, _, errors = ended(
        trainer.execute(sys.executable, "-c", "", TRAININGJOB_CODE_DIR=str(folder))
    )
    assert code == 0, errors
    kept = Path(mlflow_server.client.download_artifacts(job, "code", str(tmp_path)))
    assert {file.name: file.read_text() for file in kept.iterdir()} == texts

"""A training that hangs says so, and where, and is not disturbed."""

import os
import re
import threading
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from trainingjob_agent.contract import Contract
from trainingjob_agent.exporter import TrainingMetrics
from trainingjob_agent.stacks.collecting import collect, stacks_file
from trainingjob_agent.stacks.on_signal import write_stacks_when_asked
from trainingjob_trainer.watchdog import Watchdog

from tests.support.pod_process import Trainer, wait_until
from tests.support.processes import MlflowServer, free_port
from tests.support.waiting import wait_for


@dataclass
class Kept:
    """Takes what a watchdog reports."""

    metrics: list[tuple[str, float, int]] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        self.metrics += [(name, value, step) for name, value in metrics.items()]

    def upload(self, file: Path, directory: str) -> None:
        self.files.append((directory, file.read_text()))


def test_a_hang_is_reported_once_more_when_it_has_doubled_and_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stacks_file()
    write_stacks_when_asked()
    kept, metrics = Kept(), TrainingMetrics()
    watchdog = Watchdog(0.5, kept, metrics, Contract(node_rank=1), lambda: 7)

    with watchdog:
        wait_until(lambda: len(kept.files) == 2)
        watchdog.alive()
        wait_until(lambda: kept.metrics[-1:] == [("progress/stalled_seconds", 0.0, 7)])
        text = generate_latest(metrics.registry).decode()

    names, silences, steps = zip(*kept.metrics, strict=True)
    assert set(names) == {"progress/stalled_seconds"}
    assert set(steps) == {7}
    first, second, *_ = silences
    assert (first >= 0.5, second > first) == (True, True)
    [directory, stacks] = kept.files[0]
    assert directory == "stacks/node-1"
    assert "in test_a_hang_is_reported_once_more" in stacks
    assert stacks in caplog.text
    assert "trainingjob_hangs_total 1.0" in text
    assert "training goes on after more than" in caplog.text


def test_steps_in_time_are_no_hang(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    watchdog = Watchdog(600, kept, TrainingMetrics(), Contract(), lambda: 1)

    with watchdog:
        for _ in range(1_000):
            watchdog.alive()

    assert (kept.metrics, kept.files, caplog.messages) == ([], [], [])


def test_the_main_thread_of_a_process_with_more_threads_than_faulthandler_shows() -> None:
    stacks_file()
    write_stacks_when_asked()
    end = threading.Event()
    others = [threading.Thread(target=end.wait) for _ in range(101)]
    for other in others:
        other.start()

    stacks = collect(stacks_file(), [("here", os.getpid())])
    end.set()
    for other in others:
        other.join()

    assert "\n...\n" in stacks
    assert "in test_the_main_thread_of_a_process" in stacks


def test_a_process_that_would_die_of_the_question_is_not_asked() -> None:
    stacks = collect(stacks_file(), [("init", 1), ("nobody", 2**22 + 1)])

    assert re.fullmatch(
        r"== init, process 1\ngives no stacks: \S+, . \(\w+\)\n\n"
        r"== nobody, process 4194305\nhas ended\n",
        stacks,
    )


def test_the_stacks_of_all_ranks_of_a_training_that_hangs_in_native_code(
    trainer: Trainer, mlflow_server: MlflowServer, run_id: str, tmp_path: Path
) -> None:
    pipe, port = tmp_path / "pipe", free_port()
    os.mkfifo(pipe)
    process = trainer.start(
        *("hanging_task:HangingTask", "--epochs", "1", "--batch-size", "5"),
        *("--hang-seconds", "5"),
        MLFLOW_TRACKING_URI=mlflow_server.uri,
        TRAININGJOB_MLFLOW_RUN_ID=run_id,
        TRAININGJOB_METRICS_PORT=str(port),
        PET_NPROC_PER_NODE="2",
        TINY_RECORD=str(tmp_path),
        HANG_PIPE=str(pipe),
    )
    client = mlflow_server.client

    def stacks_of_the_hang() -> str | None:
        """On a busy machine a slow first step may be the first alarm."""
        for artifact in client.list_artifacts(run_id, "stacks/node-0"):
            text = Path(client.download_artifacts(run_id, artifact.path, str(tmp_path))).read_text()
            if "in hang\n" in text:
                return text
        return None

    stacks = wait_for("stacks of the hang", stacks_of_the_hang, 300, poll=1)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as reply:
        served = reply.read().decode()

    with pipe.open("wb") as release:
        release.write(b"x")
    output, _ = process.communicate(timeout=300)

    assert process.returncode == 0, output
    rank_0, rank_1 = stacks.split("== rank ")[1:]
    assert rank_0.startswith("0, process ")
    assert "loop.py" in rank_0
    assert rank_1.startswith("1, process ")
    assert re.search(r'hanging_task.py", line \d+ in hang\n', rank_1)
    assert stacks in output
    assert re.search(r"trainingjob_hangs_total\{[^}]*\} [1-9]", served)
    history = client.get_metric_history(run_id, "progress/stalled_seconds")
    silences = [point.value for point in history]
    assert max(silences) >= 5
    assert silences[-1] == 0

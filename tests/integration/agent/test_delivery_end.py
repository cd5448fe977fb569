"""The end of a process: by itself, by a signal, by SIGKILL."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from trainingjob_agent.delivery.records import scan

from tests.integration.agent.delivering import all_of, history, log_steps, sender_to
from tests.support.faults import Answer, FaultyServer, Request
from tests.support.pod_process import Trainer, wait_until
from tests.support.processes import MlflowServer


def test_the_deadline_holds_when_the_server_hangs_and_the_rest_stays(
    mlflow_server: MlflowServer, run_id: str, tmp_path: Path
) -> None:
    def hang(request: Request, forward: Callable[[], Answer]) -> Answer:
        never.wait(60)
        return Answer(503)

    never = threading.Event()
    with FaultyServer(hang) as proxy:
        sender = sender_to(proxy.uri, run_id, tmp_path)
        sender.start()
        log_steps(sender, 1, 5_000)
        wait_until(lambda: len(proxy.requests) == 1)
        began = time.monotonic()
        assert not sender.close(within_seconds=1)
        assert time.monotonic() - began < 30
        never.set()
        wait_until(lambda: not sender._delivery.is_alive())

    sender._spool.close()  # as the end of the process does
    following = sender_to(mlflow_server.uri, run_id, tmp_path)
    following.start()
    assert following.close(within_seconds=300)
    assert history(mlflow_server, run_id) == all_of(1, 5_000)
    assert list(tmp_path.iterdir()) == []


def stored(directory: Path) -> int:
    """Points on disk, read without touching anything."""
    files = directory.glob("mlflow-spool/*/*.spool")
    return sum(record.points for file in files for record in scan(file.read_bytes()))


def test_killed_attempts_leave_no_hole(
    mlflow_server: MlflowServer, own_server: MlflowServer, run_id: str, tmp_path: Path
) -> None:
    """Three attempts are killed by SIGKILL, the server away or not; the fourth delivers it all."""
    for attempt, up in enumerate([False, True, False]):
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("logging_forever.py"))],
            env={
                **os.environ,
                "MLFLOW_TRACKING_URI": mlflow_server.uri if up else own_server.uri,
                "TRAININGJOB_MLFLOW_RUN_ID": run_id,
                "TRAININGJOB_CHECKPOINT_DIR": str(tmp_path),
                "TRAININGJOB_ATTEMPT": str(attempt),
            },
        )
        first, before = attempt * 1_000_000, stored(tmp_path)

        def under_way(first: int = first, before: int = before, up: bool = up) -> bool:
            if up:
                return any(m.step > first + 500 for m in history(mlflow_server, run_id))
            return stored(tmp_path) > before + 500

        wait_until(under_way, 300)
        process.kill()
        process.wait()

    last = sender_to(mlflow_server.uri, run_id, tmp_path)
    last.start()
    assert last.close(within_seconds=300)

    steps = [m.step for m in history(mlflow_server, run_id)]
    assert all(m.value == m.step / 7 for m in history(mlflow_server, run_id))
    for attempt in range(3):
        first = attempt * 1_000_000 + 1
        of_attempt = [step for step in steps if step // 1_000_000 == attempt]
        assert of_attempt == list(range(first, first + len(of_attempt)))
        assert len(of_attempt) > 100


@pytest.fixture
def ended_during_an_outage(
    trainer: Trainer, own_server: MlflowServer, run_id: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A command that is over, whose metrics wait for a server that is away, and say so."""
    process = trainer.execute(
        "true",
        MLFLOW_TRACKING_URI=own_server.uri,
        TRAININGJOB_MLFLOW_RUN_ID=run_id,
    )
    assert process.stderr is not None
    reported = (re.search(rb"points wait for MLflow; (\d+) s are left", n) for n in process.stderr)
    left = next((int(found[1]) for found in reported if found), 0)
    assert left > 600, "an outage of ten minutes is nothing special"
    yield process
    process.kill()
    process.communicate()


def test_an_outage_at_the_natural_end_is_outlasted(
    ended_during_an_outage: "subprocess.Popen[bytes]",
    own_server: MlflowServer,
    mlflow_server: MlflowServer,
    run_id: str,
) -> None:
    own_server.start()
    _, errors = ended_during_an_outage.communicate(timeout=300)

    assert ended_during_an_outage.returncode == 0, errors
    metrics = mlflow_server.client.get_run(run_id).data.metrics
    assert "system/disk_usage_percentage" in metrics


def test_sigterm_cuts_the_wait_at_the_natural_end_short(
    ended_during_an_outage: "subprocess.Popen[bytes]",
) -> None:
    ended_during_an_outage.send_signal(signal.SIGTERM)
    _, errors = ended_during_an_outage.communicate(timeout=300)

    assert ended_during_an_outage.returncode == 0, "the command had ended well"
    assert b"the next attempt delivers them" in errors

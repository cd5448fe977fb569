import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from localcluster.plan import Component, Health, Plan

from localcluster import processes

DEADLINE_SECONDS = 30


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class


@pytest.fixture
def health() -> Iterator[Health]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Health(url=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def eventually(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "not in time"
        threading.Event().wait(0.05)
    return value


class Running:
    """A supervisor with one component that sleeps."""

    def __init__(self, directory: Path, health: Health) -> None:
        sleeper = Component("sleeper", ("sleep", "600"), health)
        self.stopped_file = directory / "stopped"
        plan = Plan(
            str(directory),
            str(directory / "health.json"),
            str(self.stopped_file),
            ((sleeper,),),
        )
        self.plan_file = directory / "plan.json"
        self.plan_file.write_text(plan.to_json())
        self.directory = directory
        argv = [sys.executable, "-m", processes.SUPERVISOR_MODULE, str(self.plan_file)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE)

    def sleeper(self) -> dict[str, Any]:
        try:
            known = json.loads((self.directory / "health.json").read_text())
        except FileNotFoundError:
            return {}
        component: dict[str, Any] = known["components"]["sleeper"]
        return component if known["ready"] and component["healthy"] else {}

    def reported_sleeper(self) -> dict[str, Any]:
        """What the health file says of it, healthy or not."""
        component: dict[str, Any] = json.loads((self.directory / "health.json").read_text())[
            "components"
        ]["sleeper"]
        return component

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def running(tmp_path: Path, health: Health) -> Iterator[Running]:
    supervisor = Running(tmp_path, health)
    yield supervisor
    supervisor.close()


def is_gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody has waited for yet counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_it_is_found_and_stopped_with_its_components(running: Running) -> None:
    sleeper = eventually(running.sleeper)
    assert processes.supervisor_pid(running.plan_file) == running.process.pid
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(DEADLINE_SECONDS) == 0
    assert is_gone(sleeper["pid"])
    assert processes.supervisors(running.plan_file) == []


def test_killing_it_kills_its_components(running: Running) -> None:
    sleeper = eventually(running.sleeper)
    running.process.kill()
    eventually(lambda: is_gone(sleeper["pid"]))


def test_a_component_that_ends_is_started_again(running: Running) -> None:
    first = eventually(running.sleeper)
    os.kill(first["pid"], signal.SIGKILL)
    again = eventually(lambda: (running.sleeper().get("restarts") == 1) and running.sleeper())
    assert again["pid"] != first["pid"]


def test_a_component_that_is_to_stop_stays_away_until_it_may_run(running: Running) -> None:
    first = eventually(running.sleeper)
    running.stopped_file.write_text("sleeper\n")
    eventually(lambda: running.reported_sleeper()["pid"] == 0)
    assert is_gone(first["pid"])
    reported = (running.directory / "health.json").stat().st_mtime_ns
    eventually(lambda: (running.directory / "health.json").stat().st_mtime_ns > reported)
    assert running.reported_sleeper() == {
        "pid": 0,
        "healthy": False,
        "restarts": 0,
        "detail": "ended with -15",
    }
    running.stopped_file.unlink()
    assert eventually(running.sleeper)["pid"] != first["pid"]

"""Starts a cluster's components in order, keeps them running, ends them together.

For a node it is process 1 of the node's own namespaces, so whatever ends it ends everything
inside; elsewhere its children ask the kernel to be killed with it. It reads one plan, knows
nothing of Kubernetes and never leaves anything to clean up but files.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster.plan import Component, Health, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

START_DEADLINE_SECONDS = 120.0
START_RESTARTS = 5
STOP_DEADLINE_SECONDS = 3.0
RESTART_DELAY_SECONDS = 1.0
CHECK_TIMEOUT_SECONDS = 2.0
POLL_SECONDS = 0.1
CHECK_EVERY_SECONDS = 3.0
HANDLED = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class StartError(Exception):
    """A component was not healthy in time."""


@dataclass
class Known:
    """What is known of one component; written to the health file."""

    pid: int = 0
    healthy: bool = False
    restarts: int = 0
    detail: str = "not started"


def problem(health: Health) -> str:
    """Why the check fails; empty if it passes."""
    try:
        if health.socket:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(CHECK_TIMEOUT_SECONDS)
                client.connect(health.socket)
            return ""
        context = None
        if health.authority:
            context = ssl.create_default_context(cafile=health.authority)
            context.load_cert_chain(health.certificate, health.key)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(health.url, timeout=CHECK_TIMEOUT_SECONDS):
            return ""
    except (OSError, ssl.SSLError, urllib.error.URLError) as error:
        return str(error)


def read_stopped(file: Path) -> set[str]:
    """The components that are not to run."""
    try:
        return set(file.read_text().splitlines())
    except FileNotFoundError:
        return set()


class Supervisor:
    """Runs one plan; every method is called from the main thread."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known = {component.name: Known() for component in plan.components}
        self._started: list[Component] = []
        self._restart_at: dict[str, float] = {}
        self._stopping = False
        self._ready = False

    def run(self) -> None:
        """Start everything, then watch until a stop is requested.

        Raises:
            StartError: a component was not healthy in time; all are stopped then.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            self._prepare()
            for stage in self._plan.stages:
                if self._stopping:
                    break
                for component in stage:
                    self._start(component)
                self._await_healthy(stage)
            if not self._stopping:
                self._ready = True
                self._report()
                say("all components are healthy")
            self._watch()
        finally:
            self._stop()

    def _prepare(self) -> None:
        link = self._plan.wait_for_link
        if link:
            self._await(lambda: link in dict(enumerate_links()).values(), f"link {link}")
        for argv in self._plan.setup:
            subprocess.run(argv, check=True)

    def _start(self, component: Component) -> None:
        log_path = Path(self._plan.log_directory) / f"{component.name}.log"
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                component.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_in_child,
            )
        known = self._known[component.name]
        known.pid, known.healthy, known.detail = process.pid, False, "starting"
        process.returncode = 0  # this process reaps by pid itself; Popen must not wait
        if component not in self._started:
            self._started.append(component)
        say(f"started {component.name} (pid {process.pid})")

    def _await_healthy(self, stage: tuple[Component, ...]) -> None:
        names = " ".join(component.name for component in stage)
        self._await(lambda: all(self._check(component) for component in stage), names)

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while not self._stopping and not condition():
            restarts = sum(known.restarts for known in self._known.values())
            if time.monotonic() > deadline or restarts > START_RESTARTS:
                self._report()
                raise StartError(f"not healthy in time or ends again and again: {what}")
            self._handle_signals(POLL_SECONDS)

    def _watch(self) -> None:
        next_check = time.monotonic()
        while not self._stopping:
            self._handle_signals(RESTART_DELAY_SECONDS)
            if time.monotonic() >= next_check:
                for component in self._started:
                    self._check(component)
                self._report()
                next_check = time.monotonic() + CHECK_EVERY_SECONDS

    def _check(self, component: Component) -> bool:
        known = self._known[component.name]
        if known.pid:
            known.detail = problem(component.health)
            known.healthy = not known.detail
        return known.healthy

    def _handle_signals(self, timeout: float) -> None:
        received = signal.sigtimedwait(HANDLED, timeout)
        if received and received.si_signo in {signal.SIGTERM, signal.SIGINT}:
            if not self._stopping:
                say("stop requested")
            self._stopping = True
        self._reap()
        if self._stopping:
            return
        now, stopped = time.monotonic(), read_stopped(Path(self._plan.stopped_file))
        for component in self._started:
            known = self._known[component.name]
            if component.name in stopped:
                if known.pid:
                    os.kill(known.pid, signal.SIGTERM)
            elif self._restart_at.get(component.name, now + 1) <= now:
                del self._restart_at[component.name]
                known.restarts += 1
                self._start(component)

    def _reap(self) -> None:
        names = {known.pid: name for name, known in self._known.items() if known.pid}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in names:
                name = names[pid]
                code = os.waitstatus_to_exitcode(status)
                say(f"{name} (pid {pid}) ended with {code}")
                restarts = self._known[name].restarts
                self._known[name] = Known(restarts=restarts, detail=f"ended with {code}")
                self._restart_at[name] = time.monotonic() + RESTART_DELAY_SECONDS

    def _report(self) -> None:
        target = Path(self._plan.health_file)
        known = {name: asdict(state) for name, state in self._known.items()}
        unfinished = target.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({"ready": self._ready, "components": known}))
        unfinished.replace(target)

    def _stop(self) -> None:
        self._stopping = True
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + STOP_DEADLINE_SECONDS
        while self._running() and time.monotonic() < deadline:
            self._handle_signals(POLL_SECONDS)
        self._signal_all(signal.SIGKILL)
        while self._running():
            self._handle_signals(POLL_SECONDS)
        say("stopped")

    def _running(self) -> list[int]:
        return [known.pid for known in self._known.values() if known.pid]

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._running():
            os.kill(pid, number)


def enumerate_links() -> list[tuple[int, str]]:
    """Network links of this network namespace."""
    return socket.if_nameindex()


def say(message: str) -> None:
    """One line in the supervisor's log."""
    print(f"{time.strftime('%H:%M:%S')} {message}", flush=True)


def _in_child() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Run the plan whose path is the only argument."""
    plan = Plan.from_json(Path(sys.argv[1]).read_text())
    try:
        Supervisor(plan).run()
    except (StartError, subprocess.CalledProcessError) as error:
        say(f"giving up: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

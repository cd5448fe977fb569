"""Watches the command of the user from its start to its end."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from trainingjob_agent.causes.reasons import GPU_REASONS
from trainingjob_agent.causes.termination import Termination, blame_gpus, write_termination_message
from trainingjob_agent.companions import (
    FLUSH_AFTER_FAILURE_SECONDS,
    FLUSH_AFTER_SIGNAL_SECONDS,
    FLUSH_SECONDS,
    Companions,
)
from trainingjob_agent.contract import Contract
from trainingjob_agent.exporter import SystemMetrics
from trainingjob_agent.monitor.cgroup import Cgroup
from trainingjob_agent.monitor.processes import ProcessReader
from trainingjob_agent.monitor.sampler import SystemSampler
from trainingjob_agent.supervisor.child import STOPPING, Child
from trainingjob_agent.supervisor.outcome import Ending, exit_code, explain
from trainingjob_agent.supervisor.records import read_records
from trainingjob_agent.supervisor.stack_watch import StackWatch

_logger = logging.getLogger("trainingjob-exec")


class Supervisor:
    """Runs beside a command that has been started."""

    def __init__(
        self, child: Child, command: Sequence[str], contract: Contract, directory: Path
    ) -> None:
        self._child = child
        self._command = command
        self._contract = contract
        self._directory = directory
        self._cgroup = Cgroup.of_this_process()
        self._kills_before = self._cgroup.out_of_memory_kills()
        system = SystemMetrics()
        self._companions = Companions(
            contract,
            [system],
            system.show,
            SystemSampler({"processes": lambda: ProcessReader(child.pid)}),
        )
        self._stacks = StackWatch(child, directory, self._keep_stacks)

    def run(self) -> int:
        """Wait for the end, tell its cause, deliver everything; return the exit code."""
        try:
            self._companions.start()
        except Exception:
            _logger.exception("the script goes on without all that is beside it")
        self._stacks.start()
        code = self._child.wait()
        self._stacks.join()
        ending = self._ending(code)
        termination = explain(ending)
        if termination is not None:
            self._report(termination)
        threading.Thread(target=self._shorten_when_stopped, name="stop", daemon=True).start()
        self._companions.close(_flush_seconds(ending))
        return exit_code(ending)

    def _shorten_when_stopped(self) -> None:
        while self._child.news.get() not in STOPPING:
            continue
        self._companions.shorten(FLUSH_AFTER_SIGNAL_SECONDS)

    def _ending(self, code: int) -> Ending:
        return Ending(
            self._command,
            code,
            self._child.stop_signal,
            self._child.tail(),
            read_records(self._directory),
            self._cgroup.out_of_memory_kills() > self._kills_before,
            self._contract.node_rank,
        )

    def _report(self, termination: Termination) -> None:
        if termination.reason in GPU_REASONS and self._child.stop_signal is None:
            termination = blame_gpus(termination, self._companions.gpu_faults())
        _logger.error(
            "%s: %s%s",
            termination.reason,
            termination.message,
            f" ({termination.frame})" if termination.frame else "",
        )
        write_termination_message(termination, self._contract.termination_log)

    def _keep_stacks(self, file: Path) -> None:
        directory = f"stacks/node-{self._contract.node_rank}"
        self._companions.upload(file, directory)


def _flush_seconds(ending: Ending) -> float:
    if ending.stop_signal is not None:
        return FLUSH_AFTER_SIGNAL_SECONDS
    return FLUSH_SECONDS if ending.code == 0 else FLUSH_AFTER_FAILURE_SECONDS

"""Watches the command of the user from its start to its end."""

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from trainingjob_agent.delivery.batch import Batch, fit_key
from trainingjob_agent.delivery.bundles import Bundles
from trainingjob_agent.delivery.kept_files import KeptFiles
from trainingjob_agent.delivery.outbox import Intake
from trainingjob_agent.exporter import ScriptMetrics, SystemMetrics
from trainingjob_agent.logs.keeper import LogKeeper
from trainingjob_agent.logs.masking import mask_text
from trainingjob_agent.logs.output import Output
from trainingjob_agent.monitor.cgroup import Cgroup
from trainingjob_agent.monitor.processes import ProcessReader
from trainingjob_agent.monitor.sampler import SystemSampler
from trainingjob_agent.place import place_of
from trainingjob_agent.supervisor.child import STOPPING, Child
from trainingjob_agent.supervisor.jobs_run import (
    bundles_in,
    kept_files_in,
    outbox_in,
    pending_id_of,
    tell_run_id,
)
from trainingjob_agent.supervisor.node_watch import NodeWatch
from trainingjob_agent.supervisor.outcome import Ending, exit_code, explain
from trainingjob_agent.supervisor.records import read_last_start, read_records
from trainingjob_agent.supervisor.stack_watch import StackWatch

_logger = logging.getLogger("trainingjob-exec")


class Supervisor:
    """Runs beside a command that has been started."""

    def __init__(
        self,
        child: Child,
        command: Sequence[str],
        contract: Contract,
        directory: Path,
        output: Output,
    ) -> None:
        self._child = child
        self._command = command
        self._contract = contract
        self._directory = directory
        self._cgroup = Cgroup.of_this_process()
        self._kills_before = self._cgroup.out_of_memory_kills()
        self._intake = Intake(outbox_in(directory))
        self._kept_files = KeptFiles(kept_files_in(directory))
        self._bundles = Bundles(bundles_in(directory))
        self._script_ended = False
        self._logged = ScriptMetrics()
        self._told_run_id = contract.run_id is not None
        system = SystemMetrics()
        self._companions = Companions(
            contract,
            [system, self._logged],
            system.show,
            SystemSampler({"processes": lambda: ProcessReader(child.pid)}),
            self._collect,
        )
        self._stacks = StackWatch(child, directory, self._keep_stacks)
        self._nodes: NodeWatch | None = None
        if contract.num_nodes > 1:
            self._nodes = NodeWatch(directory, contract, self._companions.set_tags)
        self._logs: LogKeeper | None = None
        if self._companions.connection:
            self._logs = LogKeeper(output, contract, self._companions.connection, directory)

    def run(self) -> int:
        """Wait for the end, report its cause, deliver everything; return the exit code."""
        try:
            self._companions.start()
        except Exception:
            _logger.exception("the script goes on without all that is beside it")
        self._keep_code()
        self._stacks.start()
        for beside in (self._nodes, self._logs):
            if beside is not None:
                beside.start()
        code = self._child.wait()
        seconds = time.time()
        self._script_ended = True
        self._stacks.join()
        if self._nodes:
            self._nodes.end()
        ending = self._ending(code, seconds)
        termination = explain(ending)
        if termination is not None:
            self._report(termination)
        if self._logs and self._logs.end():
            self._companions.upload(self._logs.file, self._logs.folder)
        threading.Thread(target=self._shorten_when_stopped, name="stop", daemon=True).start()
        self._companions.close(_flush_seconds(ending))
        return exit_code(ending)

    def _collect(self) -> Iterator[Batch]:
        """Hand on what the script has logged, and show it to Prometheus."""
        connection = self._companions.connection
        if not self._told_run_id and connection is not None and connection.run_id is not None:
            tell_run_id(self._directory, connection.run_id)
            self._told_run_id = True
        for file, path in self._kept_files.take():
            self._companions.upload(file, path, then_delete=True)
        self._companions.make_calls(
            self._bundles, pending_id_of(self._contract.uid), ended=self._script_ended
        )
        for batch in self._intake.take():
            for point in batch.points:
                self._logged.show(fit_key(point.key), point.value, point.step)
            yield batch

    def _shorten_when_stopped(self) -> None:
        while self._child.news.get() not in STOPPING:
            continue
        self._companions.shorten(FLUSH_AFTER_SIGNAL_SECONDS)

    def _ending(self, code: int, seconds: float) -> Ending:
        return Ending(
            self._command,
            code,
            self._child.stop_signal,
            self._child.tail(),
            read_records(self._directory),
            self._cgroup.out_of_memory_kills() > self._kills_before,
            self._contract.node_rank,
            pid=self._child.pid,
            place=place_of(os.environ),
            seconds=seconds,
            last_start_seconds=read_last_start(self._directory),
            pipes=self._child.pipes,
        )

    def _report(self, termination: Termination) -> None:
        if termination.reason in GPU_REASONS and self._child.stop_signal is None:
            termination = blame_gpus(termination, self._companions.gpu_faults())
        # It goes where more people can read than the log.
        masked = mask_text(termination.message, os.environ)
        termination = replace(termination, message=masked)
        _logger.error(
            "%s: %s%s",
            termination.reason,
            termination.message,
            f" ({termination.frame})" if termination.frame else "",
        )
        write_termination_message(termination, self._contract.termination_log)

    def _keep_code(self) -> None:
        """Keep in the run what it trains, so that it can be trained again when the job is gone."""
        if self._contract.node_rank == 0:
            for file in sorted(self._contract.code_dir.glob("*")):
                if file.is_file():
                    self._companions.upload(file, "code")

    def _keep_stacks(self, file: Path) -> None:
        directory = f"stacks/node-{self._contract.node_rank}"
        self._companions.upload(file, directory)


def _flush_seconds(ending: Ending) -> float:
    if ending.stop_signal is not None:
        return FLUSH_AFTER_SIGNAL_SECONDS
    return FLUSH_SECONDS if ending.code == 0 else FLUSH_AFTER_FAILURE_SECONDS

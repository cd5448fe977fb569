"""What all ranks of a node print, kept for the run by the process that starts them."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from trainingjob_agent.causes.termination import EXIT_TERMINATED
from trainingjob_agent.companions import FLUSH_AFTER_FAILURE_SECONDS, FLUSH_AFTER_SIGNAL_SECONDS
from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.uploader import Uploader
from trainingjob_agent.logs.keeper import LogKeeper
from trainingjob_agent.logs.output import Output

from trainingjob_trainer import recorder

KEPT = "TRAININGJOB_NODE_LOG_KEPT"
"""Set for the ranks of a node whose output is kept already."""
_READ_BYTES = 64 * 1024
_REST_SECONDS = 2.0
"""For what is still in the pipes, which a process that was left behind may keep open."""

_logger = logging.getLogger(__name__)


def run_with_node_log(contract: Contract, start_ranks: Callable[[], int]) -> int:
    """Keep in the run what this process and its ranks write, while it passes on; return their code.

    This process runs no code of a user, so that what is in its pipes reaches the pod's log whatever
    becomes of a rank.
    """
    if not contract.tracked:
        return start_ranks()
    try:
        place = TemporaryDirectory(prefix="trainingjob-log-")
    except OSError as error:
        _logger.warning("the log of this attempt will not be in the run: %s", error)
        return start_ranks()
    output, uploader = Output(os.environ), Uploader(connection := RunConnection(contract))
    os.environ[KEPT] = "true"
    with place as directory:
        keeper = LogKeeper(output, contract, connection, Path(directory))
        keeper.start()
        uploader.start()
        recorder.write_to(os.environ, Path(directory))
        with _copied(output):
            code = start_ranks()
        if keeper.end():
            uploader.file(keeper.file, keeper.folder)
        stopped = code == EXIT_TERMINATED
        folder = f"flight_recorder/attempt-{contract.attempt}"
        for file in [] if stopped else recorder.files_of(os.environ):
            uploader.file(file, folder)
        uploader.close(FLUSH_AFTER_SIGNAL_SECONDS if stopped else FLUSH_AFTER_FAILURE_SECONDS)
        return code


@contextmanager
def _copied(output: Output) -> Iterator[None]:
    """Put a pipe in place of standard output and of standard error."""
    streams = (sys.stdout, sys.stderr)
    originals = [os.dup(stream.fileno()) for stream in streams]
    pumps = []
    for stream, original in zip(streams, originals, strict=True):
        source, sink = os.pipe()
        os.dup2(sink, stream.fileno())
        os.close(sink)
        pump = threading.Thread(target=_pass_on, args=(source, original, output), daemon=True)
        pump.start()
        pumps.append(pump)
    try:
        yield
    finally:
        for stream, original in zip(streams, originals, strict=True):
            stream.flush()
            os.dup2(original, stream.fileno())
        for pump in pumps:
            pump.join(_REST_SECONDS)


def _pass_on(source: int, original: int, output: Output) -> None:
    while data := os.read(source, _READ_BYTES):
        output.add(data)
        view = memoryview(data)
        with suppress(OSError):  # nobody reads the pod's log any more; the ranks still may write
            while view:
                view = view[os.write(original, view) :]

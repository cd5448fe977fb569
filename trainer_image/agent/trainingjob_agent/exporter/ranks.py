"""How the first rank of a node gets the metrics of the others: by a socket that has no file.

An abstract Unix socket belongs to the pod's network, like its ports, and goes with its process: a
rank that died shows no old values.
"""

import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from socketserver import BaseRequestHandler, ThreadingUnixStreamServer
from threading import Thread

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_ANSWER_SECONDS = 1.0
"""A rank that takes longer, because something holds Python's lock, is left out of a scrape."""

_logger = logging.getLogger(__name__)


def _address(local_rank: int) -> str:
    """The ranks of one node have the same parent."""
    return f"\0trainingjob-trainer-{os.getppid()}-{local_rank}"


class RankServer:
    """Gives the metrics of a rank to the first one of its node."""

    def __init__(self, local_rank: int, registry: CollectorRegistry) -> None:
        self._local_rank = local_rank
        self._registry = registry
        self._server: ThreadingUnixStreamServer | None = None

    def start(self) -> None:
        """Listen; without the socket this rank is left out, and training goes on."""
        registry = self._registry

        class Answer(BaseRequestHandler):
            def handle(self) -> None:
                self.request.sendall(generate_latest(registry))

        try:
            self._server = ThreadingUnixStreamServer(_address(self._local_rank), Answer)
        except OSError as error:
            _logger.warning("no Prometheus metrics of this rank: %s", error)
            return
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, name="rank-metrics", daemon=True).start()

    def stop(self) -> None:
        """Close the socket."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()


class OtherRanks(Collector):
    """The present metrics of the other ranks of this node."""

    def __init__(self, local_ranks: Iterable[int]) -> None:
        self._local_ranks = tuple(local_ranks)

    def collect(self) -> Iterator[Metric]:
        """Query all of them at the same time; a rank that does not answer is left out."""
        if not self._local_ranks:
            return
        with ThreadPoolExecutor(len(self._local_ranks)) as threads:
            for text in threads.map(_ask, self._local_ranks):
                yield from text_string_to_metric_families(text)


def _ask(local_rank: int) -> str:
    deadline = time.monotonic() + _ANSWER_SECONDS
    chunks = []
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(_ANSWER_SECONDS)
            asking.connect(_address(local_rank))
            while chunk := asking.recv(1 << 16):
                chunks.append(chunk)
                asking.settimeout(max(0.001, deadline - time.monotonic()))
    except OSError as error:
        # At the start and at the end of a training this is no error: the rank is not there.
        _logger.debug("no metrics of local rank %d: %s", local_rank, error)
        return ""
    return b"".join(chunks).decode()

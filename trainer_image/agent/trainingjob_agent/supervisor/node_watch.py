"""Reports a node that trains without the others: in the log, and as a tag of the run."""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from trainingjob_agent.contract import Contract
from trainingjob_agent.supervisor.first_step import LONE

WARNING_TAG = "trainingjob.warning"
NODES_NOT_JOINED = "NodesNotJoined"

_POLL_SECONDS = 5.0

_logger = logging.getLogger("trainingjob-exec")


class NodeWatch(threading.Thread):
    """Waits until a process of the script notes that it trains alone; says so once."""

    def __init__(
        self, directory: Path, contract: Contract, set_tags: Callable[[Mapping[str, str]], None]
    ) -> None:
        super().__init__(name="node-watch", daemon=True)
        self._note = directory / LONE
        self._contract = contract
        self._set_tags = set_tags
        self._ended = threading.Event()

    def run(self) -> None:
        """Look every few seconds, and once more at the end of the script."""
        while not self._note.exists():
            if self._ended.wait(_POLL_SECONDS):
                break
        if self._note.exists():
            self._report(self._note.read_text(encoding="utf-8"))

    def end(self) -> None:
        """Look for the last time."""
        self._ended.set()
        self.join()

    def _report(self, ranks: str) -> None:
        nodes = self._contract.num_nodes
        message = (
            f"the {nodes} nodes do not train together: node {self._contract.node_rank} trains with "
            f"{ranks}, and the model is trained {nodes} times. Start the script by torchrun, or "
            "give your launcher the variables of the pod (docs/trainer/launchers.md)"
        )
        _logger.warning("%s: %s", NODES_NOT_JOINED, message)
        self._set_tags({WARNING_TAG: f"{NODES_NOT_JOINED}: {message}"})

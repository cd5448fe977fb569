"""What ``up`` made, for the commands that come after it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class State:
    """A running cluster.

    ``node_address`` serves the NodePorts; ``host_link`` and ``cgroup`` are removed by ``down``.
    All three are empty where there is none. ``unfinished`` is true until ``up`` has done all that
    it does; a cluster whose ``up`` was killed is not used.
    """

    engine: str
    node_address: str = ""
    host_link: str = ""
    cgroup: str = ""
    unfinished: bool = False

    def write(self, path: Path) -> None:
        """Store it at ``path``, at once or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        incomplete = path.with_suffix(".incomplete")
        incomplete.write_text(json.dumps(asdict(self)))
        incomplete.replace(path)

    @classmethod
    def read(cls, path: Path) -> State | None:
        """What is stored at ``path``; None if nothing is."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None

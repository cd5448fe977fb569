"""What a supervisor has to start: plain data, stored as JSON between ``up`` and the supervisor."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Health:
    """A URL that answers 200 when the component works, or the path of a socket that accepts.

    ``authority``, ``certificate`` and ``key`` are paths for HTTPS.
    """

    url: str = ""
    socket: str = ""
    authority: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class Component:
    """One program of the cluster: its name is that of its log file."""

    name: str
    argv: tuple[str, ...]
    health: Health


@dataclass(frozen=True)
class Plan:
    """Commands that prepare the machine, then stages; a stage starts when the last is healthy.

    A component whose name is a line of ``stopped_file`` does not run while it stands there.
    """

    log_directory: str
    health_file: str
    stopped_file: str
    stages: tuple[tuple[Component, ...], ...]
    setup: tuple[tuple[str, ...], ...] = ()
    wait_for_link: str = ""

    @property
    def components(self) -> tuple[Component, ...]:
        """All components in the order of their start."""
        return tuple(component for stage in self.stages for component in stage)

    def to_json(self) -> str:
        """This plan as JSON."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that :meth:`to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        stages = tuple(
            tuple(
                Component(part["name"], tuple(part["argv"]), Health(**part["health"]))
                for part in stage
            )
            for stage in fields.pop("stages")
        )
        setup = tuple(tuple(argv) for argv in fields.pop("setup"))
        return cls(stages=stages, setup=setup, **fields)

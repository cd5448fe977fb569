"""An initializer as its container runs it, and what it leaves."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from trainingjob_agent.initializers import __main__ as initialize


@dataclass
class Initializer:
    """The environment of a pod, with a volume and a termination log in a directory."""

    directory: Path
    environment: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        self.termination_log.touch()
        self.set(TRAININGJOB_TERMINATION_LOG=str(self.termination_log), TRAININGJOB_UID="u-1")

    @property
    def termination_log(self) -> Path:
        return self.directory / "termination-log"

    @property
    def volume(self) -> Path:
        return self.directory / "volume"

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self.environment.setenv(name, value)

    def run(self, source: str, *options: str) -> int:
        return initialize.main(["data", source, str(self.volume), *options])

    @property
    def files(self) -> dict[str, bytes]:
        """What the training finds: without the marks."""
        return {
            str(file.relative_to(self.volume)): file.read_bytes()
            for file in self.volume.rglob("*")
            if file.is_file() and not file.name.startswith(".trainingjob-")
        }

    @property
    def failure(self) -> tuple[str, str]:
        """The reason and the message for the job's status."""
        reported: dict[str, Any] = json.loads(self.termination_log.read_text())
        return reported["reason"], reported["message"]

"""Calls of a script that MLflow did not get, with their files, until they are sent."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

STAND_IN = "m-kept-"
"""How the id of a model begins that MLflow, being away, could not give one."""

RUN_STAND_IN = "run-kept-"
"""The same for a further run."""
CREATE_RUN = ("POST", "/api/2.0/mlflow/runs/create")
STAND_IN_FIELD = "stand_in"
"""Of the body of that call, for us: what stands for the run's id."""

_COMPLETE = "complete"
_KNOWN = "known"
_CALL = "call-"
_RUN = "run"
_JOURNAL = "runs-"


def place_of(stand_in: str) -> str:
    """Return the address that the artifacts of such a model or run seem to have."""
    kind = "further-runs" if stand_in.startswith(RUN_STAND_IN) else "kept-models"
    return f"mlflow-artifacts:/{kind}/{stand_in}"


class Call(NamedTuple):
    """A call of MLflow's REST API; the endpoint begins with /api."""

    method: str
    endpoint: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Bundle:
    """The calls about one model with its files, one call about the job's run, or one file.

    Those of a process about further runs are a journal: it is sent from its beginning while the
    script still writes to it, so that their order stays.
    """

    place: Path

    @property
    def name(self) -> str:
        """Which it is."""
        return self.place.name

    @property
    def description(self) -> str:
        """What people know it by."""
        if self.is_journal:
            return "calls about further runs"
        for file in self.calls():
            call = Call(*json.loads(file.read_text(encoding="utf-8")))
            if call.body.get("name"):
                return f"the model {call.body['name']}"
            if self.name.startswith(_CALL):
                return f"a call of {call.endpoint.partition('/mlflow/')[2]}"
        run_id = self.run_id
        return f"the model {self.name}" if run_id is None else f"a file of the run {run_id}"

    @property
    def is_journal(self) -> bool:
        """Whether more may follow behind what is sent."""
        return self.name.startswith(_JOURNAL)

    @property
    def run_id(self) -> str | None:
        """The further run whose file this is; None for all else."""
        file = self.place / _RUN
        return file.read_text(encoding="utf-8") if file.exists() else None

    @property
    def files(self) -> Path:
        """Where files lie, as they shall lie among the artifacts; it may be missing."""
        return self.place / "files"

    def add_call(self, call: Call) -> None:
        """Put a call behind the others.

        Raises:
            OSError: there is no room for it.
        """
        calls = self.place / "calls"
        calls.mkdir(exist_ok=True)
        file = calls / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.json"
        part = file.with_suffix(".part")
        part.write_text(json.dumps(call), encoding="utf-8")
        part.replace(file)

    def add_file(self, file: Path, artifact_path: str) -> None:
        """Copy a file.

        Raises:
            OSError: there is no room for it, or it cannot be read.
        """
        directory = self.files / artifact_path
        directory.mkdir(parents=True, exist_ok=True)
        target = directory / file.name
        try:
            shutil.copyfile(file, target)
        except OSError:
            target.unlink(missing_ok=True)  # half of a file is none
            raise

    def complete(self) -> None:
        """Let it be sent: nothing will be added."""
        (self.place / _COMPLETE).touch()

    def calls(self) -> list[Path]:
        """Return the remaining calls, oldest first."""
        return sorted(self.place.glob("calls/*.json"))

    def delete(self) -> None:
        """Remove what has been sent."""
        shutil.rmtree(self.place, ignore_errors=True)


class Bundles:
    """A directory that all processes of a script put bundles into, and one process takes from."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._taken: set[str] = set()

    def open(self, name: str) -> Bundle:
        """Begin a bundle, or go on with one that is not complete.

        Raises:
            OSError: there is no room for it.
        """
        bundle = Bundle(self._directory / name)
        bundle.place.mkdir(parents=True, exist_ok=True)
        return bundle

    def is_open(self, name: str) -> bool:
        """Whether there is one that something may be added to."""
        place = self._directory / name
        return place.exists() and not (place / _COMPLETE).exists()

    def append(self, call: Call) -> None:
        """Put a call behind the others of this process about further runs.

        Raises:
            OSError: there is no room for it.
        """
        self.open(f"{_JOURNAL}{os.getpid()}").add_call(call)

    def put(self, call: Call) -> None:
        """Put one call as a whole bundle.

        Raises:
            OSError: there is no room for it.
        """
        bundle = self.open(f"{_CALL}{uuid.uuid4().hex}")
        bundle.add_call(call)
        bundle.complete()

    def put_file(self, run_id: str, file: Path, artifact_path: str) -> None:
        """Put a file of a further run as a whole bundle.

        Raises:
            OSError: there is no room for it, or it cannot be read.
        """
        bundle = self.open(f"{_CALL}{uuid.uuid4().hex}")
        (bundle.place / _RUN).write_text(run_id, encoding="utf-8")
        try:
            bundle.add_file(file, artifact_path)
        except OSError:
            bundle.delete()
            raise
        bundle.complete()

    def take(self, *, ended: bool) -> Iterator[Bundle]:
        """Yield each bundle that is complete and was not taken, or all of them after the end.

        Raises:
            OSError: the directory cannot be read now.
        """
        if not self._directory.exists():
            return
        known = {*self._taken, _KNOWN}
        places = [place for place in self._directory.iterdir() if place.name not in known]
        for place in sorted(places, key=lambda one: one.stat().st_mtime_ns):
            bundle = Bundle(place)
            if ended or (place / _COMPLETE).exists() or (bundle.is_journal and bundle.calls()):
                self._taken.add(place.name)
                yield bundle

    def done_with(self, bundle: Bundle) -> None:
        """Remove what has been sent; a journal may be taken again."""
        if bundle.is_journal:
            self._taken.discard(bundle.name)
        else:
            bundle.delete()

    def note(self, stand_in: str, its_id: str, artifact_uri: str) -> None:
        """Note the id and the place of a model or a run that was created late.

        Raises:
            OSError: there is no room for it.
        """
        (self._directory / _KNOWN).mkdir(exist_ok=True)
        known = json.dumps([its_id, artifact_uri])
        (self._directory / _KNOWN / stand_in).write_text(known, encoding="utf-8")

    def with_ids(self, text: str) -> str:
        """Return `text` with what models and runs have in place of what stood for that."""
        for file in self._directory.glob(f"{_KNOWN}/*"):
            its_id, artifact_uri = json.loads(file.read_text(encoding="utf-8"))
            text = text.replace(place_of(file.name), artifact_uri).replace(file.name, its_id)
        return text

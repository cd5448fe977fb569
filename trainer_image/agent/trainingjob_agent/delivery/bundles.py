"""Calls of a script that MLflow did not get, with their files, until they are sent."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

STAND_IN = "m-kept-"
"""How the id of a model begins that MLflow, being away, could not give one."""

_COMPLETE = "complete"
_MODELS = "models"
_CALL = "call-"


def place_of(stand_in: str) -> str:
    """Return the address that the artifacts of such a model seem to have."""
    return f"mlflow-artifacts:/kept-models/{stand_in}"


class Call(NamedTuple):
    """A call of MLflow's REST API; the endpoint begins with /api."""

    method: str
    endpoint: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Bundle:
    """The calls about one model, or one call about the run, with the model's files."""

    place: Path

    @property
    def name(self) -> str:
        """Which it is."""
        return self.place.name

    @property
    def description(self) -> str:
        """What people know it by."""
        for file in self.calls():
            call = Call(*json.loads(file.read_text(encoding="utf-8")))
            if call.body.get("name"):
                return f"the model {call.body['name']}"
            if self.name.startswith(_CALL):
                return f"a call of {call.endpoint.partition('/mlflow/')[2]}"
        return f"the model {self.name}"

    @property
    def files(self) -> Path:
        """Where the model's files lie, as they shall lie in its artifacts; it may be missing."""
        return self.place / "files"

    def add_call(self, call: Call) -> None:
        """Put a call behind the others.

        Raises:
            OSError: there is no room for it.
        """
        calls = self.place / "calls"
        calls.mkdir(exist_ok=True)
        file = calls / f"{time.time_ns():020d}.json"
        file.write_text(json.dumps(call), encoding="utf-8")

    def add_file(self, file: Path, artifact_path: str) -> None:
        """Copy a file of the model.

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

    def put(self, call: Call) -> None:
        """Put one call as a whole bundle.

        Raises:
            OSError: there is no room for it.
        """
        bundle = self.open(f"{_CALL}{uuid.uuid4().hex}")
        bundle.add_call(call)
        bundle.complete()

    def take(self, *, ended: bool) -> Iterator[Bundle]:
        """Yield each bundle that is complete and was not taken, or all of them after the end.

        Raises:
            OSError: the directory cannot be read now.
        """
        if not self._directory.exists():
            return
        known = {*self._taken, _MODELS}
        places = [place for place in self._directory.iterdir() if place.name not in known]
        for place in sorted(places, key=lambda one: one.stat().st_mtime):
            if ended or (place / _COMPLETE).exists():
                self._taken.add(place.name)
                yield Bundle(place)

    def note_model(self, stand_in: str, model_id: str, artifact_uri: str) -> None:
        """Note the id and the place of a model that was created late.

        Raises:
            OSError: there is no room for it.
        """
        (self._directory / _MODELS).mkdir(exist_ok=True)
        known = json.dumps([model_id, artifact_uri])
        (self._directory / _MODELS / stand_in).write_text(known, encoding="utf-8")

    def with_ids(self, text: str) -> str:
        """Return `text` with what models have in place of what stood for that."""
        for file in self._directory.glob(f"{_MODELS}/*"):
            model_id, artifact_uri = json.loads(file.read_text(encoding="utf-8"))
            text = text.replace(place_of(file.name), artifact_uri).replace(file.name, model_id)
        return text

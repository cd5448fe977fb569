"""The directory of a job's checkpoints.

    step_000000120/__0_0.distcp     tensors that all ranks have in common: the share of rank 0
    step_000000120/__1_0.distcp     … of rank 1
    step_000000120/.metadata        where each tensor is, written by rank 0
    step_000000120/shared.pt        the rest of what all have in common, written by rank 0
    step_000000120/rank_00000.pt    what is rank 0's own
    step_000000120/rank_00000.json  record: checksums of rank 0's files, written last
    step_000000120/rank_00001.pt    …
    best/step_000000080/…           the best model so far, in the same way

A checkpoint is complete when the record of every rank is there: a kill at any moment leaves the
earlier checkpoints as they were.
"""

import json
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from trainingjob_trainer.checkpoint.files import Digest, digest_of, write_atomically
from trainingjob_trainer.checkpoint.shares import join, split

_FORMAT = 4
_SHARED = "shared.pt"
_BEST = "best"
_STEP = re.compile(r"step_(\d{9,})")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """What one rank writes: its own state, and its share of what all ranks have in common.

    `skeleton` is the common state without its tensors, None but on rank 0.
    """

    own: Mapping[str, Any]
    skeleton: Mapping[str, Any] | None
    tensors: Mapping[str, Tensor]


class CheckpointStore:
    """Writes, finds, checks and removes checkpoints; each is named by its step."""

    def __init__(self, directory: Path, keep: int) -> None:
        self.directory = directory
        self._keep = keep

    def write(
        self,
        step: int,
        part: Part,
        *,
        rank: int = 0,
        world_size: int = 1,
        group: ProcessGroup | None = None,
    ) -> None:
        """Write one rank's part. All ranks of `group` write theirs at the same time.

        Raises:
            OSError: the disk is full, say, here or for another rank.
        """
        from trainingjob_trainer.checkpoint.tensors import write_tensors

        directory = self._of(step)
        files = write_tensors(directory, part.tensors, group)
        files[_own(rank)] = _save(directory / _own(rank), part.own)
        if part.skeleton is not None:
            files[_SHARED] = _save(directory / _SHARED, part.skeleton)
        record = {
            "format": _FORMAT,
            "step": step,
            "world_size": world_size,
            "files": {name: asdict(digest) for name, digest in files.items()},
        }
        text = json.dumps(record, indent=2).encode()
        write_atomically(directory / _record(rank), lambda file: file.write(text))

    def steps(self) -> list[int]:
        """Return the steps of all checkpoints, complete or not, newest first."""
        if not self.directory.is_dir():
            return []
        found = (self.step_of(entry.name) for entry in self.directory.iterdir())
        return sorted((step for step in found if step is not None), reverse=True)

    def problem(self, step: int, rank: int, among: int = 1) -> str | None:
        """Say why this rank cannot use a checkpoint; None if it can.

        Of what all ranks read it looks at a part, so that `among` ranks together look at all of it.

        Raises:
            OSError: something is there but cannot be read now; another attempt may succeed.
        """
        world_size = self._world_size(step)
        missing = [r for r in range(world_size) if not self._record(step, r)]
        if world_size == 0 or missing:
            return f"incomplete: rank {missing[0] if missing else 0} did not finish it"
        for writer in range(world_size):
            for name, expected in self._record(step, writer)["files"].items():
                if writer != rank if name == _own(writer) else (writer - rank) % among:
                    continue
                try:
                    digest = digest_of(self._of(step) / name)
                except FileNotFoundError:
                    return f"{name} is missing"
                if digest != Digest(**expected):
                    return f"{name} is corrupt: its checksum is wrong"
        return None

    def about(self, step: int) -> dict[str, Any]:
        """Return what is shared, with marks in the place of its tensors."""
        return _load(self._of(step) / _SHARED)

    def read(
        self, step: int, rank: int, into: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Return what is shared, and what is `rank`'s own if there was such a rank.

        The tensors of `into`, by their paths, are filled; no more is read of them than that.
        """
        from trainingjob_trainer.checkpoint.tensors import read_tensors

        directory = self._of(step)
        own = directory / _own(rank)
        tensors = read_tensors(directory, into)
        shared: dict[str, Any] = join(self.about(step), tensors)
        return shared, _load(own) if own.exists() else None

    def read_model(self, step: int) -> dict[str, Any]:
        """Return the weights of the model, as one process without shards would have them."""
        from trainingjob_trainer.checkpoint.tensors import read_tensors

        tensors = read_tensors(self._of(step), below="/model/")
        weights: dict[str, Any] = join(self.about(step)["model"], tensors)
        return weights

    def load_model(self, step: int, model: nn.Module) -> None:
        """Read the weights of one process without shards into the tensors of a model."""
        _, into = split({"model": model.state_dict()})
        shared, _ = self.read(step, rank=0, into=into)
        # What is in the model's tensors by now, and the rest.
        model.load_state_dict(shared["model"])

    @staticmethod
    def step_of(name: str) -> int | None:
        """Return the step of a checkpoint by the name of its directory; None: it is none."""
        found = _STEP.fullmatch(name)
        return int(found[1]) if found else None

    @property
    def best(self) -> "CheckpointStore":
        """Where the best model is kept: a checkpoint of the model alone, named by its step."""
        return CheckpointStore(self.directory / _BEST, keep=1)

    def read_best(self) -> dict[str, Any] | None:
        """Return the best model with what was known of it; None if there is no whole one."""
        step = self.best_step()
        return None if step is None else self.best.read(step, rank=0)[0]

    def best_step(self) -> int | None:
        """Return the step of the best model; None if there is no whole one."""
        best = self.best
        for step in best.steps():
            problem = best.problem(step, rank=0)
            if problem is None:
                return step
            _logger.warning("best model of step %d: %s", step, problem)
        return None

    def clean_up(self, step: int) -> None:
        """Remove what a writing that failed left, and make room if there is none for the next one.

        Then one checkpoint fewer is kept from now on, but always one.

        Raises:
            OSError: the disk cannot be read.
        """
        complete = self._complete_steps()
        if step not in complete:
            self._remove([step])
        # Not by the error: of a full volume torch may say no more than "unexpected pos 704".
        if complete and shutil.disk_usage(self.directory).free < self._bytes(complete[0]):
            self._keep = max(1, min(self._keep, len(complete)) - 1)
            _logger.warning(
                "%s has no room for another checkpoint: %d kept from now on; one more must fit in",
                self.directory,
                self._keep,
            )
            self.prune()

    def prune(self) -> None:
        """Keep the newest complete checkpoints, and what is newer than these."""
        complete = self._complete_steps()
        if len(complete) >= self._keep:
            oldest = complete[self._keep - 1]
            self._remove(step for step in self.steps() if step < oldest)

    def discard_after(self, step: int) -> None:
        """Remove what is newer than the checkpoint that training goes on from: it is unusable."""
        self._remove(found for found in self.steps() if found > step)

    def _remove(self, steps: Any) -> None:
        for step in steps:
            shutil.rmtree(self._of(step), ignore_errors=True)

    def _complete_steps(self) -> list[int]:
        return [step for step in self.steps() if self._complete(step)]

    def _bytes(self, step: int) -> int:
        return sum(file.stat().st_size for file in self._of(step).iterdir())

    def _complete(self, step: int) -> bool:
        world_size = self._world_size(step)
        return world_size > 0 and all(self._record(step, rank) for rank in range(world_size))

    def _world_size(self, step: int) -> int:
        return int(self._record(step, 0).get("world_size", 0))

    def _record(self, step: int, rank: int) -> dict[str, Any]:
        """Return a rank's record, empty if it is missing or damaged."""
        try:
            record = json.loads((self._of(step) / _record(rank)).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        if not isinstance(record, dict) or record.get("format") != _FORMAT:
            return {}
        return record

    def _of(self, step: int) -> Path:
        return self.directory / f"step_{step:09d}"


def _own(rank: int) -> str:
    return f"rank_{rank:05d}.pt"


def _record(rank: int) -> str:
    return f"rank_{rank:05d}.json"


def _save(path: Path, state: Mapping[str, Any]) -> Digest:
    return write_atomically(path, lambda file: torch.save(state, file))


def _load(path: Path) -> dict[str, Any]:
    # weights_only: a checkpoint is data, it must not be able to run code.
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state

"""Counts steps and means of one training. Pure: the clock is handed in."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(slots=True)
class Means:
    """Means of named values over samples; tensors stay on their device until asked for."""

    samples: int = 0
    _sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, values: dict[str, Tensor], samples: int) -> None:
        """Add the means of one batch of `samples` samples."""
        # Half precision has no room for sums: at 16,384 bf16 goes in steps of 128.
        weighted = {name: value.detach().float() * samples for name, value in values.items()}
        self._add(weighted, samples)

    def include(self, other: "Means") -> None:
        """Add all that `other` has."""
        self._add(other.state_dict()["sums"], other.samples)

    def sums(self) -> dict[str, float]:
        """Return each mean times the number of samples."""
        return {name: float(total) for name, total in self._sums.items()}

    def means(self) -> dict[str, float]:
        """Return each mean; waits for the device."""
        return {name: total / self.samples for name, total in self.sums().items()}

    def clear(self) -> None:
        """Begin anew."""
        self.samples, self._sums = 0, {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold."""
        return {"samples": self.samples, "sums": self._sums}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.samples, self._sums = state_dict["samples"], dict(state_dict["sums"])

    def _add(self, weighted: dict[str, Tensor], samples: int) -> None:
        for name, value in weighted.items():
            # A checkpoint's are on the CPU.
            sums = self._sums.get(name)
            self._sums[name] = value if sums is None else sums.to(value.device) + value
        self.samples += samples


@dataclass(slots=True)
class Progress:
    """How far training is. `epoch` and `step` count from 1, 0 is before the first.

    `batches` of this rank and `samples` of all ranks are done in this epoch; with `validated` the
    epoch is over.
    """

    epochs: int
    steps_per_epoch: int
    started_seconds: float
    epoch: int = 0
    step: int = 0
    batches: int = 0
    samples: int = 0
    validated: bool = False
    total_steps: int = 0
    _first_step: int = 0

    def __post_init__(self) -> None:
        self.total_steps = self.epochs * self.steps_per_epoch

    def begin_epoch(self, epoch: int) -> None:
        """Start `epoch` at its first batch."""
        self.epoch, self.batches, self.samples, self.validated = epoch, 0, 0, False

    def expect(self, steps_left: int) -> None:
        """Take the number of steps left in this epoch; it differs after a change of ranks."""
        later = (self.epochs - self.epoch) * self.steps_per_epoch
        self.total_steps = self.step + steps_left + later

    def end_early(self) -> None:
        """Nothing is left to do."""
        self.total_steps = self.step

    @property
    def percentage(self) -> float:
        """Share of steps done, 0…100."""
        return 100.0 * self.step / self.total_steps if self.total_steps else 100.0

    def remaining_seconds(self, now_seconds: float) -> float:
        """Time that the other steps take at the mean pace so far; 0 before the first step."""
        done = self.step - self._first_step
        if done == 0:
            return 0.0
        elapsed = now_seconds - self.started_seconds
        return elapsed / done * (self.total_steps - self.step)

    def metrics(self, now_seconds: float) -> dict[str, float]:
        """Name the values as the operator reads them from the run."""
        return {
            "progress/percentage": round(self.percentage, 2),
            "progress/epoch": self.epoch,
            "progress/step": self.step,
            "progress/estimated_remaining_seconds": round(self.remaining_seconds(now_seconds), 1),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "batches": self.batches,
            "samples": self.samples,
            "validated": self.validated,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.epoch, self.step = state_dict["epoch"], state_dict["step"]
        self.batches, self.samples = state_dict["batches"], state_dict["samples"]
        self.validated = state_dict["validated"]
        self._first_step = self.step


def check_same_batches(batches: Sequence[int]) -> None:
    """Compare how many batches each rank has left of an epoch.

    Raises:
        ValueError: one has more than another; it would wait for ever for the gradients.
    """
    fewest, most = min(batches), max(batches)
    if fewest != most:
        raise ValueError(
            f"the training loaders differ: rank {batches.index(fewest)} has {fewest} batches left "
            f"in this epoch, rank {batches.index(most)} has {most}. Give them a ResumableSampler, "
            "or leave out what not every rank has"
        )

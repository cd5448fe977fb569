"""Which epoch was the best, and whether to go on. Pure."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(slots=True)
class BestEpoch:
    """Follows one validation metric over the epochs.

    `patience` is the number of epochs without improvement after which training ends; None: never.
    """

    metric: str
    mode: Literal["min", "max"]
    patience: int | None = None
    value: float | None = None
    epoch: int = 0
    step: int = 0
    epochs_since: int = 0

    def update(self, value: float, epoch: int, step: int) -> bool:
        """Take the value of an epoch; return whether it is the best so far. NaN never is."""
        if math.isfinite(value) and (self.value is None or self._better(value, self.value)):
            self.value, self.epoch, self.step, self.epochs_since = value, epoch, step, 0
            return True
        self.epochs_since += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether the metric has not improved for `patience` epochs."""
        return self.patience is not None and self.epochs_since >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold."""
        return asdict(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint; the options of now hold, and another metric starts anew."""
        if (state_dict["metric"], state_dict["mode"]) == (self.metric, self.mode):
            self.value, self.epoch = state_dict["value"], state_dict["epoch"]
            self.step, self.epochs_since = state_dict["step"], state_dict["epochs_since"]

    def _better(self, value: float, than: float) -> bool:
        return value < than if self.mode == "min" else value > than

"""The model as it was after the best epoch."""

import copy
import logging
from typing import Any

from torch import nn

from trainingjob_trainer.best import BestEpoch
from trainingjob_trainer.checkpoint import CheckpointStore, Snapshot

_logger = logging.getLogger(__name__)


class BestModel:
    """Keeps a copy in memory, for a training without checkpoints; otherwise it is on the disk."""

    def __init__(self) -> None:
        self._snapshot = Snapshot()
        self._kept: dict[str, Any] | None = None

    def keep(self, best: BestEpoch, model: nn.Module) -> None:
        """Copy the model, which is the best so far."""
        self._kept = self._snapshot.take({**best.state(), "model": model.state_dict()})

    def load(
        self, best: BestEpoch, step: int, model: nn.Module, store: CheckpointStore | None
    ) -> nn.Module | dict[str, Any] | None:
        """Return the best model; None if it is that of `step`, or nothing is left of it.

        Of a model that cannot be copied these are the weights.
        """
        if best.value is None or best.step == step:
            return None
        kept = store.read_best() if store else self._kept
        if kept is None or kept["step"] != best.step:
            _logger.warning("the best model, that of step %d, is not to be found", best.step)
            return None
        try:
            copied = copy.deepcopy(model)
        except Exception as error:  # noqa: BLE001 - whatever a user's model holds: a lock, a file
            _logger.warning("the model cannot be copied: %s", error)
            weights: dict[str, Any] = kept["model"]
            return weights
        copied.load_state_dict(kept["model"])
        return copied

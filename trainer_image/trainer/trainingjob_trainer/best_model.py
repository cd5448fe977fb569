"""The model as it was after the best epoch."""

import copy
import logging
from typing import Any

from torch import nn

from trainingjob_trainer.best import BestEpoch
from trainingjob_trainer.checkpoint import CheckpointStore, Snapshot
from trainingjob_trainer.parallel import Parallel, Weights

_logger = logging.getLogger(__name__)


class BestModel:
    """Keeps a copy in memory, for a training without checkpoints; otherwise it is on the disk."""

    def __init__(self) -> None:
        self._snapshot = Snapshot()
        self._kept: dict[str, Any] | None = None

    def keep(self, best: BestEpoch, weights: Weights) -> None:
        """Copy what this rank has of the model, which is the best so far."""
        self._kept = self._snapshot.take({**best.state_dict(), "model": weights})

    def load(
        self,
        best: BestEpoch,
        step: int,
        model: nn.Module | None,
        store: CheckpointStore | None,
        parallel: Parallel,
    ) -> nn.Module | Weights | None:
        """Return the best model, on rank 0; None if it is that of `step`, or nothing is left of it.

        Of a model that cannot be copied these are the weights. All ranks come here.

        Args:
            best: which epoch it is.
            step: that `model` was trained to.
            model: the trained one, on rank 0.
            store: where the best one is; None: in memory.
            parallel: puts together what the ranks have in memory.
        """
        if best.value is None or best.step == step:
            return None
        kept = self._kept
        if store is not None:
            kept = store.read_best() if model is not None else None
        elif kept is not None:
            kept = {**kept, "model": parallel.whole_weights(kept["model"])}
        if model is None:
            return None
        if kept is None or kept["step"] != best.step:
            _logger.warning("the best model, that of step %d, is not to be found", best.step)
            return None
        weights: Weights = kept["model"]
        try:
            copied = copy.deepcopy(model)
        except Exception as error:  # noqa: BLE001 - whatever a user's model holds: a lock, a file
            _logger.warning("the model cannot be copied: %s", error)
            return weights
        copied.load_state_dict(weights)
        return copied

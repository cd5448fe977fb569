"""The model as it was after the best epoch."""

import logging
from collections.abc import Callable
from functools import partial
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

    def find(
        self,
        best: BestEpoch,
        step: int,
        store: CheckpointStore | None,
        parallel: Parallel,
        *,
        first: bool,
    ) -> Callable[[nn.Module], None] | None:
        """Return what makes the final model the best one, on rank 0.

        None: the model of `step` is the best, or nothing is left of the best. All ranks come here.

        Args:
            best: which epoch it is.
            step: that the model was trained to.
            store: where the best one is; None: in memory.
            parallel: puts together what the ranks have in memory.
            first: whether this is rank 0, which reads the disk.
        """
        if best.value is None or best.step == step:
            return None
        if store is not None:
            if not first:
                return None
            if store.best_step() == best.step:
                return partial(store.best.load_model, best.step)
        elif self._kept is not None:
            weights = parallel.whole_weights(self._kept["model"])
            if weights is None:
                return None
            if self._kept["step"] == best.step:
                return partial(_load, weights)
        _logger.warning("the best model, that of step %d, is not to be found", best.step)
        return None


def _load(weights: Weights, model: nn.Module) -> None:
    model.load_state_dict(weights)

"""What MLflow can take of what is logged, and one line of the log for each key that it cannot."""

import logging
from collections.abc import Iterable

from trainingjob_agent.delivery.batch import Batch, fit_key, fit_text

_logger = logging.getLogger(__name__)


class Fitting:
    """Fits batches; remembers the keys that it has said something about."""

    def __init__(self) -> None:
        self._told_of: set[str] = set()

    def fit(self, batch: Batch) -> Batch:
        """Return the batch with keys and texts that MLflow can take."""
        return Batch(
            tuple(point._replace(key=self._key(point.key)) for point in batch.points),
            tuple(self._pairs(batch.params)),
            tuple(self._pairs(batch.tags)),
        )

    def _pairs(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(self._key(key), fit_text(value)) for key, value in pairs]

    def _key(self, key: str) -> str:
        fitted = fit_key(key)
        if fitted != key and key not in self._told_of:
            self._told_of.add(key)
            _logger.warning("MLflow cannot take the key %.120r: it becomes %r", key, fitted)
        return fitted

"""How many losses are not finite, and how many may be."""

from trainingjob_trainer.distributed import Ranks


class NotFiniteError(ArithmeticError):
    """The loss is NaN or infinite, again and again."""


class FiniteLosses:
    """Counts the batches of all ranks without a finite loss in this attempt; `most` may be."""

    def __init__(self, most: int, ranks: Ranks) -> None:
        self._most = most
        self._ranks = ranks
        self._counted = 0

    def count(self, found: int, step: int) -> int:
        """Add what this rank has found up to `step`; return the sum. All ranks come here.

        Raises:
            NotFiniteError: these are too many.
        """
        self._counted += sum(self._ranks.of_all(found))
        if self._counted > self._most:
            raise NotFiniteError(
                f"{self._counted} batches had no finite loss up to step {step}: "
                "a smaller --learning-rate or --clip-norm may help; --max-not-finite "
                "allows more"
            )
        return self._counted

"""How the ranks share one model: the one place that knows of DDP and of FSDP2."""

from trainingjob_trainer.parallel.seam import Parallel, Weights, parallel_by
from trainingjob_trainer.parallel.together import OfFirstRank, drawn_alike, in_step

__all__ = ["OfFirstRank", "Parallel", "Weights", "drawn_alike", "in_step", "parallel_by"]

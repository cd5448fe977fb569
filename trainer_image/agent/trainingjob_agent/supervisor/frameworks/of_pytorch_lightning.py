"""The callback for scripts that import `pytorch_lightning`, whose classes are others."""

from pytorch_lightning.callbacks import Callback

from trainingjob_agent.supervisor.frameworks.fit import FitProgress


class Progress(FitProgress, Callback):
    """Reports the progress of `fit`."""

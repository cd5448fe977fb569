"""The callback for scripts that import `lightning`; a class that can be pickled by its name."""

from lightning.pytorch.callbacks import Callback

from trainingjob_agent.supervisor.frameworks.fit import FitProgress


class Progress(FitProgress, Callback):
    """Reports the progress of `fit`."""

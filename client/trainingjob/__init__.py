"""Starts and follows TrainingJobs: `Client`, `Run`, `job`; on the command line `tj`."""

from typing import TYPE_CHECKING

from trainingjob.errors import JobFailed, UserError
from trainingjob.functions import job

if TYPE_CHECKING:
    from trainingjob.client import Client
    from trainingjob.run import Run

__all__ = ["Client", "JobFailed", "Run", "UserError", "job"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import the Kubernetes client only for those who use it."""
    if name in ("Client", "Run"):
        from trainingjob import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Delivery to the job's MLflow run, off the path of the training step."""

from trainingjob_trainer.tracking.backoff import Backoff, Closing
from trainingjob_trainer.tracking.connection import RunConnection, RunNotFoundError
from trainingjob_trainer.tracking.outage import is_outage
from trainingjob_trainer.tracking.sender import Sender
from trainingjob_trainer.tracking.spool import Spool
from trainingjob_trainer.tracking.uploader import Uploader

__all__ = [
    "Backoff",
    "Closing",
    "RunConnection",
    "RunNotFoundError",
    "Sender",
    "Spool",
    "Uploader",
    "is_outage",
]

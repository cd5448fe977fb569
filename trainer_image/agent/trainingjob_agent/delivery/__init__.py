"""Delivery to the job's MLflow run, off the path of the training step."""

from trainingjob_agent.delivery.backoff import Backoff, Closing
from trainingjob_agent.delivery.bundles import Bundles
from trainingjob_agent.delivery.connection import RunConnection, RunNotFoundError
from trainingjob_agent.delivery.kept_files import KeptFiles
from trainingjob_agent.delivery.outage import is_outage
from trainingjob_agent.delivery.outbox import Intake, Outbox
from trainingjob_agent.delivery.sender import Sender
from trainingjob_agent.delivery.spool import Spool
from trainingjob_agent.delivery.uploader import Uploader

__all__ = [
    "Backoff",
    "Bundles",
    "Closing",
    "Intake",
    "KeptFiles",
    "Outbox",
    "RunConnection",
    "RunNotFoundError",
    "Sender",
    "Spool",
    "Uploader",
    "is_outage",
]

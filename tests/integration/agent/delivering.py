"""What the tests of the delivery have in common: numbered points, and what became of them."""

from collections.abc import Callable
from pathlib import Path

from mlflow.entities import Metric
from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.sender import Sender
from trainingjob_agent.delivery.spool import Spool

from tests.support.faults import Answer, Request
from tests.support.processes import MlflowServer

Script = Callable[[Request, Callable[[], Answer]], Answer]


def sender_to(uri: str, run_id: str, checkpoint_dir: Path | None = None) -> Sender:
    contract = Contract(tracking_uri=uri, run_id=run_id, checkpoint_dir=checkpoint_dir)
    return Sender(RunConnection(contract), Spool.of(contract))


def log_steps(sender: Sender, first: int, last: int) -> None:
    for step in range(first, last + 1):
        sender.log_metrics({"train/loss": 1 / step}, step=step, timestamp_milliseconds=step)


def history(server: MlflowServer, run_id: str) -> list[Metric]:
    return list(server.client.get_metric_history(run_id, "train/loss"))


def all_of(first: int, last: int) -> list[Metric]:
    return [Metric("train/loss", 1 / step, step, step) for step in range(first, last + 1)]


def delivered(sender: Sender) -> float:
    return float(sender.delivered._value.get())

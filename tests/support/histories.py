"""The statuses of runs one after the other, as MLflow's database had them."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from tests.support.processes import MlflowServer
from tests.support.waiting import beside


@contextmanager
def run_histories(mlflow: MlflowServer, experiment: str) -> Iterator[dict[str, list[str]]]:
    """The statuses of each run of an experiment by its name.

    From SCHEDULED on: MLflow makes every run RUNNING, which the operator changes at once.
    """
    seen: dict[str, list[str]] = {}
    query = (
        "SELECT runs.name, status FROM runs JOIN experiments USING (experiment_id) "
        "WHERE experiments.name = ?"
    )

    def follow(ended: threading.Event) -> None:
        address = f"file:{mlflow.database}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            while not ended.wait(0.05):
                for name, status in connection.execute(query, (experiment,)):
                    history = seen.setdefault(name, [])
                    if history[-1:] != [status] and (history or status == "SCHEDULED"):
                        history.append(status)

    with beside(follow):
        yield seen

"""The job's run as the server shows it, or, while it is away, as far as it is known without it."""
# mypy: allow-untyped-calls

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos import service_pb2
from mlflow.utils.proto_json_utils import parse_dict
from mlflow.utils.rest_utils import http_request, verify_rest_response

from trainingjob_agent.delivery.rest import credentials_of
from trainingjob_agent.supervisor.jobs_run import JobsRun

KEPT_RUN = "/kept-run"
"""Where the artifacts of the job's run seem to be as long as nobody knows."""

_ENDPOINT = "/api/2.0/mlflow/runs/get"
_RETRIES = 2
_TIMEOUT_SECONDS = 10
_WORKS_SECONDS = 5.0
_AWAY_SECONDS = 60.0
"""For which the server counts as working, or as away, before it is asked again."""
_NO_OUTAGE = frozenset({400, 401, 403, 404})


def ask_run(host_creds: Any, run_id: str, retries: int = _RETRIES) -> Run:
    """Get a run (runs/get), within seconds rather than the minutes that MLflow's client takes.

    Raises:
        MlflowException: no answer, or an error.
    """
    response = http_request(
        host_creds,
        _ENDPOINT,
        "GET",
        max_retries=retries,
        backoff_factor=1,
        raise_on_status=False,
        timeout=_TIMEOUT_SECONDS,
        params={"run_id": run_id},
    )
    verify_rest_response(response, _ENDPOINT)
    message = service_pb2.GetRun.Response()
    parse_dict(response.json(), message)
    return Run.from_proto(message.run)


def is_outage(error: MlflowException) -> bool:
    """Whether the same question may be answered later."""
    return int(error.get_http_status_code()) not in _NO_OUTAGE


class Reach:
    """Whether the job's server answers, as this process knows from its last question."""

    def __init__(self, ask: Callable[[JobsRun], bool]) -> None:
        self._ask = ask
        self._due_seconds = float("-inf")
        self._away = False

    def is_away(self, job: JobsRun) -> bool:
        """Whether there is no answer, by what was seen lately."""
        if time.monotonic() >= self._due_seconds:
            self.saw(away=not self._ask(job))
        return self._away

    def saw(self, *, away: bool) -> None:
        """Note whether the server has answered."""
        self._away = away
        self._due_seconds = time.monotonic() + (_AWAY_SECONDS if away else _WORKS_SECONDS)


def _answers(job: JobsRun) -> bool:
    run_id = job.known_id()
    if run_id is None:
        return False
    try:
        ask_run(credentials_of(job.tracking_uri), run_id, retries=1)
    except MlflowException as error:
        return not is_outage(error)
    return True


REACH = Reach(_answers)
"""One for all that asks in this process."""


def unanswered_run(job: JobsRun) -> Run:
    """Return what is known of the job's run without a server that answers.

    Where its artifacts are is not known: files for it are kept.
    """
    message = service_pb2.Run()
    info = message.info
    info.run_id = info.run_uuid = job.known_id() or job.pending_id
    info.experiment_id = job.experiment_id or ""
    info.status = service_pb2.RUNNING
    info.start_time = time.time_ns() // 1_000_000
    info.lifecycle_stage = "active"
    info.artifact_uri = f"mlflow-artifacts:{KEPT_RUN}"
    return Run.from_proto(message)

"""The job's run as the server shows it, or, while it is away, as far as it is known without it."""
# mypy: allow-untyped-calls

import time
from typing import TYPE_CHECKING, Any

from mlflow.entities import Run
from mlflow.protos import service_pb2
from mlflow.utils.proto_json_utils import parse_dict
from mlflow.utils.rest_utils import http_request, verify_rest_response

from trainingjob_agent.supervisor.jobs_run import JobsRun

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

_ENDPOINT = "/api/2.0/mlflow/runs/get"
_RETRIES = 2
_TIMEOUT_SECONDS = 10
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


def is_outage(error: "MlflowException") -> bool:
    """Whether the same question may be answered later."""
    return int(error.get_http_status_code()) not in _NO_OUTAGE


def unanswered_run(job: JobsRun) -> Run:
    """Return what is known of the job's run without a server that answers.

    Where its artifacts are is not known; the scheme says why, for those who log one.
    """
    message = service_pb2.Run()
    info = message.info
    info.run_id = info.run_uuid = job.known_id() or job.pending_id
    info.experiment_id = job.experiment_id or ""
    info.status = service_pb2.RUNNING
    info.start_time = time.time_ns() // 1_000_000
    info.lifecycle_stage = "active"
    info.artifact_uri = f"mlflow-does-not-answer:/{info.run_id}"
    return Run.from_proto(message)

"""Further runs of a script, above all nested ones, that do not wait for MLflow while it is away.

Each call of an outage becomes one that the process beside the script makes later, in their order;
see `delivery/bundles.py`.
"""
# mypy: allow-untyped-calls

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from mlflow.protos import service_pb2
from mlflow.utils.proto_json_utils import parse_dict

from trainingjob_agent.delivery.bundles import (
    CREATE_RUN,
    RUN_STAND_IN,
    STAND_IN_FIELD,
    Bundles,
    Call,
    place_of,
)
from trainingjob_agent.supervisor.jobs_run import JobsRun

RUNS_ARE_KEPT = "MLflow is away: what goes to further runs is kept, to be logged later"
_WRITES = {
    "LogBatch": "log-batch",
    "LogMetric": "log-metric",
    "LogParam": "log-parameter",
    "SetTag": "set-tag",
    "DeleteTag": "delete-tag",
    "UpdateRun": "update",
}
_INFO = ("experiment_id", "run_name", "start_time")


class KeptRuns:
    """Answers in place of the server while it is away; of a run that was made then, for good."""

    def __init__(self, job: JobsRun, bundles: Bundles, away: Callable[[], bool]) -> None:
        self._job = job
        self._bundles = bundles
        self._away = away
        self._runs: dict[str, Any] = {}

    def answer(self, api: Any, body: dict[str, Any]) -> Any:
        """Keep a call and return its answer; None for one that the server is to get now.

        Raises:
            OSError: there is no room for it.
        """
        run_id = body.get("run_id", "")
        asked = api.__name__ == "GetRun" and run_id in self._runs
        if not asked and not self._takes(api):
            return None
        if not self.is_kept(run_id):
            return None
        if not asked:
            return self.keep(api, body)
        response = api.Response()
        response.run.CopyFrom(self._runs[run_id])
        return response

    def is_kept(self, run_id: str) -> bool:
        """Whether a call about this run, a new one or one of the script's, is not for now."""
        return run_id.startswith(RUN_STAND_IN) or self._away()

    def remember(self, api: Any, response: Any) -> None:
        """Take in what the server has answered about a run: where its files go, above all."""
        if api.__name__ in ("CreateRun", "GetRun"):
            self._runs[response.run.info.run_id] = response.run

    def keep(self, api: Any, body: dict[str, Any]) -> Any:
        """Keep a call at any rate; None for one that is not kept, or is about the job's run."""
        run_id = body.get("run_id", "")
        if not self._takes(api) or self._job.has_id(run_id):
            return None
        self._job.say_once("runs", RUNS_ARE_KEPT)
        if api.__name__ == "CreateRun":
            return self._create(api, body)
        self._bundles.append(Call("POST", f"/api/2.0/mlflow/runs/{_WRITES[api.__name__]}", body))
        response = api.Response()
        if api.__name__ == "UpdateRun":
            response.run_info.CopyFrom(self._updated(run_id, body))
        return response

    def _takes(self, api: Any) -> bool:
        return api.__name__ == "CreateRun" or api.__name__ in _WRITES

    def _create(self, api: Any, body: dict[str, Any]) -> Any:
        run_id = f"{RUN_STAND_IN}{uuid.uuid4().hex}"
        self._bundles.append(Call(*CREATE_RUN, {**body, STAND_IN_FIELD: run_id}))
        info = {name: body[name] for name in _INFO if name in body}
        info |= {"run_id": run_id, "run_uuid": run_id, "artifact_uri": place_of(run_id)}
        info |= {"status": "RUNNING", "lifecycle_stage": "active"}
        response = api.Response()
        parse_dict({"run": {"info": info, "data": {"tags": body.get("tags", [])}}}, response)
        self._runs[run_id] = response.run
        return response

    def _updated(self, run_id: str, body: dict[str, Any]) -> Any:
        run = self._runs.get(run_id, service_pb2.Run())
        changes = {name: value for name, value in body.items() if name != "run_uuid"}
        parse_dict({**changes, "run_uuid": run_id}, run.info)
        return run.info

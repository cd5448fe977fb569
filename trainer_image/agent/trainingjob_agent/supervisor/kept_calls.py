"""Calls about models, data sets and further runs that do not wait for MLflow while it is away.

The process beside the script makes them when the server is back; see `delivery/bundles.py`.
"""
# mypy: allow-untyped-calls

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from mlflow.protos import service_pb2
from mlflow.utils.proto_json_utils import parse_dict

from trainingjob_agent.delivery.bundles import STAND_IN, Bundles, Call, place_of
from trainingjob_agent.supervisor.jobs_run import JobsRun
from trainingjob_agent.supervisor.kept_runs import KeptRuns

MODELS_ARE_KEPT = "MLflow is away: models are kept, to be logged later"

_MODELS = "/api/2.0/mlflow/logged-models"
_OF_RUN = {
    "LogInputs": "/api/2.0/mlflow/runs/log-inputs",
    "LogOutputs": "/api/2.0/mlflow/runs/outputs",
}
_TELL_OF_MODEL = ("CreateLoggedModel", "GetLoggedModel")
_OF_MODEL = {
    "FinalizeLoggedModel": "PATCH",
    "LogLoggedModelParamsRequest": "POST",
    "SetLoggedModelTags": "PATCH",
    "DeleteLoggedModelTag": "DELETE",
}


class KeptCalls:
    """Answers in place of the server what the server can get later.

    That is all that creates a model or a further run, or changes one, while `away` says that the
    server does not answer, and the inputs and outputs of the job's run at any time.
    """

    def __init__(self, job: JobsRun, away: Callable[[], bool]) -> None:
        self._job = job
        self._away = away
        self._bundles = Bundles(job.bundles)
        self._models: dict[str, Any] = {}
        self._runs = KeptRuns(job, self._bundles, away)

    @property
    def makes_model(self) -> bool:
        """Whether this process makes a model that the server does not know yet."""
        return any(self._bundles.is_open(model_id) for model_id in self._models)

    def remember(self, api: Any, response: Any) -> None:
        """Take in what the server has answered about a model or a run."""
        if api.__name__ in _TELL_OF_MODEL:
            self._models[response.model.info.model_id] = response.model
        self._runs.remember(api, response)

    def answer(self, api: Any, json_body: str | None, endpoint: str | None) -> Any:
        """Keep a call and return its answer; None for one that the server is to get now.

        Raises:
            OSError: there is no room for it.
        """
        name, body = api.__name__, json.loads(json_body or "{}")
        if name == "CreateLoggedModel":
            return self._create(api, body)
        run_id = body.get("run_id", "")
        if name in _OF_RUN and (self._job.has_id(run_id) or self._runs.is_kept(run_id)):
            return self._add_to_run(api, body)
        if endpoint is not None and endpoint.startswith(f"{_MODELS}/"):
            return self._about_model(api, body, endpoint)
        return self._runs.answer(api, body)

    def keep(self, api: Any, json_body: str | None) -> Any:
        """Keep a call that the server, being away, did not take; None for one that is not kept.

        Raises:
            OSError: there is no room for it.
        """
        return self._runs.keep(api, json.loads(json_body or "{}"))

    def _create(self, api: Any, body: dict[str, Any]) -> Any:
        run_id = body.get("source_run_id", "")
        if not run_id or not self._runs.is_kept(run_id):
            return None
        model_id = f"{STAND_IN}{uuid.uuid4().hex}"
        self._bundles.open(model_id).add_call(Call("POST", _MODELS, body))
        response = api.Response()
        info, now = response.model.info, time.time_ns() // 1_000_000
        info.model_id, info.artifact_uri = model_id, place_of(model_id)
        info.name = body.get("name") or model_id
        info.source_run_id = body["source_run_id"]
        info.experiment_id = body.get("experiment_id", "")
        info.creation_timestamp_ms = info.last_updated_timestamp_ms = now
        info.model_type, info.status = body.get("model_type", ""), service_pb2.LOGGED_MODEL_PENDING
        parse_dict({"params": body.get("params", [])}, response.model.data)
        parse_dict({"tags": body.get("tags", [])}, info)
        self._models[model_id] = response.model
        self._job.say_once("models", MODELS_ARE_KEPT)
        return response

    def _add_to_run(self, api: Any, body: dict[str, Any]) -> Any:
        call = Call("POST", _OF_RUN[api.__name__], body)
        model_ids = [model["model_id"] for model in body.get("models", [])]
        kept = next((one for one in model_ids if self._bundles.is_open(one)), None)
        if kept is None:
            self._bundles.put(call)
        else:
            self._bundles.open(kept).add_call(call)
        return api.Response()

    def _about_model(self, api: Any, body: dict[str, Any], endpoint: str) -> Any:
        name, model_id = api.__name__, endpoint[len(f"{_MODELS}/") :].partition("/")[0]
        opened = self._bundles.is_open(model_id)
        if not opened and not model_id.startswith(STAND_IN) and not self._away():
            return None
        if name == "GetLoggedModel" and model_id in self._models:
            response = api.Response()
            response.model.CopyFrom(self._models[model_id])
            return response
        if name not in _OF_MODEL:
            return None
        call = Call(_OF_MODEL[name], endpoint, body)
        if not opened:
            self._bundles.put(call)
        else:
            bundle = self._bundles.open(model_id)
            bundle.add_call(call)
            if name == "FinalizeLoggedModel":
                bundle.complete()
        return self._answered(api, model_id, body)

    def _answered(self, api: Any, model_id: str, body: dict[str, Any]) -> Any:
        """Return the answer to a change of a model: the model, where that is the end of it."""
        response = api.Response()
        if api.__name__ == "FinalizeLoggedModel":
            model = self._models.get(model_id, service_pb2.LoggedModel())
            model.info.model_id = model_id
            model.info.status = service_pb2.LoggedModelStatus.Value(body["status"])
            response.model.CopyFrom(model)
        return response

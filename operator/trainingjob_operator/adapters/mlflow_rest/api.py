"""The calls of MLflow's REST API (2.0) that the operator needs."""

from __future__ import annotations

import copy
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from trainingjob_operator.adapters.mlflow_rest import answers
from trainingjob_operator.adapters.mlflow_rest.transport import Transport
from trainingjob_operator.adapters.mlflow_rest.values import (
    Login,
    MlflowError,
    ModelInfo,
    RunInfo,
)
from trainingjob_operator.core.contract import TAG_UID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

JsonObject = dict[str, Any]

IDS_PER_SEARCH = 100
PAGE_SIZE = 1000
# A server whose pages never end is no MLflow.
PAGES_AT_MOST = 100
POINTS_PER_PAGE = 10_000
V3 = "3.0"


class MlflowApi:
    """A client of one server: at most `concurrency` calls at once, `timeout` seconds for each.

    All methods raise MlflowError. `on_call` gets (endpoint, outcome, seconds) of every call, the
    outcome being one of ok, refused, throttled, server_error, unexpected, timeout, connection.
    """

    def __init__(
        self,
        uri: str,
        login: Login,
        on_call: Callable[[str, str, float], None],
        concurrency: int = 8,
        timeout: float = 10.0,
        proxy: str | None = None,
    ) -> None:
        self.uri = uri.rstrip("/")
        self._transport = Transport(self.uri, login, on_call, concurrency, timeout, proxy)

    def in_workspace(self, workspace: str) -> MlflowApi:
        """A client for one workspace of the same server; "" is the default workspace.

        Both share connections and the limit of concurrent calls.
        """
        other = copy.copy(self)
        other._transport = self._transport.in_workspace(workspace)  # noqa: SLF001 - its own class's
        return other

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def experiment_id(self, name: str) -> str:
        """Return the id of an experiment, creating it if there is none.

        Endpoints experiments/get-by-name and experiments/create; whoever creates it first wins.
        """
        found = await self._experiment_by_name(name)
        if found is None:
            try:
                return await self._transport.post(
                    "experiments/create",
                    {"name": name},
                    answers.new_experiment,
                )
            except MlflowError as error:
                if error.code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = await self._experiment_by_name(name)
        if found is None or not found[1]:
            raise MlflowError(
                400,
                "EXPERIMENT_DELETED",
                f"experiment {name!r} is deleted on {self.uri}: restore it "
                "(mlflow experiments restore), delete it for good (mlflow gc) "
                "or use another name",
                retryable=False,
            )
        return found[0]

    async def find_runs(self, experiment_id: str, uid: str) -> list[RunInfo]:
        """Return the active runs with the tag trainingjob.uid = uid, the oldest first."""
        runs, _ = await self.search_runs(
            [experiment_id], f"tags.`{TAG_UID}` = '{uid}'", max_results=PAGE_SIZE
        )
        return sorted(runs, key=lambda run: (run.start_time_ms, run.run_id))

    async def create_run(
        self, experiment_id: str, name: str, start_time_ms: int, tags: Mapping[str, str]
    ) -> RunInfo:
        """Create a run (runs/create). MLflow always gives it the status RUNNING."""
        body = {
            "experiment_id": experiment_id,
            "run_name": name,
            "start_time": start_time_ms,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return await self._transport.post("runs/create", body, answers.run)

    async def get_run(self, run_id: str) -> RunInfo:
        """Return a run (runs/get), a deleted one too, by its lifecycle_stage."""
        read = answers.that_run(run_id, answers.run)
        return await self._transport.get("runs/get", {"run_id": run_id}, read)

    async def set_status(self, run_id: str, status: str, end_time_ms: int | None) -> RunInfo:
        """Write the status (runs/update) and return the run's info, without tags and metrics.

        An `end_time_ms` of None keeps what is there, 0 clears it. A status that MLflow does not
        know answers 200 and changes nothing, so an answer with another status is an error.
        """
        body: JsonObject = {"run_id": run_id, "status": status}
        if end_time_ms is not None:
            body["end_time"] = end_time_ms
        read = answers.that_run(run_id, answers.updated_run)
        run = await self._transport.post("runs/update", body, read)
        if run.status != status:
            raise MlflowError(
                200,
                "STATUS_NOT_SET",
                f"run {run_id} is {run.status} after writing {status}",
                retryable=True,
            )
        return run

    async def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Write tags in one call (runs/log-batch)."""
        entries = [{"key": key, "value": value} for key, value in tags.items()]
        await self._transport.post(
            "runs/log-batch", {"run_id": run_id, "tags": entries}, answers.nothing
        )

    async def point_times(
        self, run_id: str, metric: str, page_token: str | None
    ) -> answers.Page[int]:
        """Return the times of a page of a metric's points in milliseconds (metrics/get-history).

        MLflow orders them by time, the oldest first, and without a page size returns all points at
        once.
        """
        params = {"run_id": run_id, "metric_key": metric, "max_results": str(POINTS_PER_PAGE)}
        if page_token:
            params["page_token"] = page_token
        return await self._transport.get("metrics/get-history", params, answers.point_times)

    async def search_runs(
        self,
        experiment_ids: Iterable[str],
        filter_string: str,
        max_results: int = PAGE_SIZE,
        page_token: str | None = None,
        view: str = "ACTIVE_ONLY",
    ) -> answers.Page[RunInfo]:
        """Return one page of runs (runs/search), the newest first, and the next token.

        `view` is MLflow's ViewType: the active runs, or ALL with the deleted ones.
        """
        body: JsonObject = {
            "experiment_ids": list(experiment_ids),
            "filter": filter_string,
            "max_results": max_results,
            "run_view_type": view,
        }
        if page_token:
            body["page_token"] = page_token
        return await self._transport.post("runs/search", body, answers.run_page)

    async def all_runs(self, experiment_ids: Iterable[str], filter_string: str) -> list[RunInfo]:
        """Return the active runs of all pages (runs/search), a hundred thousand at most."""
        experiments, found = list(experiment_ids), list[RunInfo]()
        token: str | None = None
        for _ in range(PAGES_AT_MOST):
            runs, token = await self.search_runs(experiments, filter_string, page_token=token)
            found += runs
            if token is None:
                break
        return found

    async def runs_by_id(
        self, experiment_ids: Iterable[str], run_ids: Iterable[str]
    ) -> dict[str, RunInfo]:
        """Return those of at most IDS_PER_SEARCH runs that are in the experiments, by id.

        Deleted ones are among them.
        """
        ids = ", ".join(f"'{run_id}'" for run_id in run_ids)
        runs, _ = await self.search_runs(
            experiment_ids, f"attributes.run_id IN ({ids})", view="ALL"
        )
        return {run.run_id: run for run in runs}

    async def experiment_ids(self) -> list[str]:
        """Return the ids of all active experiments (experiments/search)."""
        found: list[str] = []
        body: JsonObject = {"max_results": PAGE_SIZE, "view_type": "ACTIVE_ONLY"}
        for _ in range(PAGES_AT_MOST):
            ids, token = await self._transport.post(
                "experiments/search", body, answers.experiment_page
            )
            found += ids
            if token is None:
                break
            body["page_token"] = token
        return found

    async def newest_experiment_ids(self) -> list[str]:
        """Return the ids of the newest active experiments (experiments/search), a thousand."""
        body: JsonObject = {
            "max_results": PAGE_SIZE,
            "view_type": "ACTIVE_ONLY",
            "order_by": ["creation_time DESC"],
        }
        ids, _ = await self._transport.post("experiments/search", body, answers.experiment_page)
        return ids

    async def workspaces(self) -> list[str]:
        """Return the workspaces that the login sees; none where the server has none.

        REST API 3.0, server-info and workspaces; both are unknown before MLflow 3.10, and one
        that has no workspaces answers the second as one that is down does.
        """
        try:
            if await self._transport.get("server-info", {}, answers.has_workspaces, V3):
                return await self._transport.get("workspaces", {}, answers.workspaces, V3)
        except MlflowError as error:
            if error.status not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                raise
        return []

    async def models_of(
        self, experiment_ids: Iterable[str], run_ids: Iterable[str]
    ) -> list[ModelInfo]:
        """Return the LoggedModels of at most IDS_PER_SEARCH runs (logged-models/search).

        An MLflow before version 3 has none.
        """
        ids = ", ".join(f"'{run_id}'" for run_id in run_ids)
        return await self._models(experiment_ids, f"source_run_id IN ({ids})")

    async def models_with_tag(
        self, experiment_ids: Iterable[str], tag: str, comparison: str, since_ms: int
    ) -> list[ModelInfo]:
        """Return the LoggedModels made since then whose tag compares so (logged-models/search)."""
        return await self._models(
            experiment_ids, f"tags.`{tag}` {comparison} AND creation_timestamp >= {since_ms}"
        )

    async def _models(self, experiment_ids: Iterable[str], filter_string: str) -> list[ModelInfo]:
        body: JsonObject = {"experiment_ids": list(experiment_ids), "filter": filter_string}
        found: list[ModelInfo] = []
        for _ in range(PAGES_AT_MOST):
            try:
                models, token = await self._transport.post(
                    "logged-models/search", body, answers.model_page
                )
            except MlflowError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return []
                raise
            found += models
            if token is None:
                break
            body["page_token"] = token
        return found

    async def fail_model(self, model_id: str) -> None:
        """Mark a LoggedModel whose files are incomplete as failed (PATCH logged-models/ID)."""
        body = {"model_id": model_id, "status": "LOGGED_MODEL_UPLOAD_FAILED"}
        await self._transport.patch("logged-models", model_id, body, answers.nothing)

    async def _experiment_by_name(self, name: str) -> tuple[str, bool] | None:
        """Return an experiment's id and whether it is active."""
        params = {"experiment_name": name}
        try:
            return await self._transport.get("experiments/get-by-name", params, answers.experiment)
        except MlflowError as error:
            if error.code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

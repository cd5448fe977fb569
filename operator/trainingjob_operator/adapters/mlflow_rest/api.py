"""The calls of MLflow's REST API (2.0) that the operator needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainingjob_operator.adapters.mlflow_rest.transport import Transport
from trainingjob_operator.adapters.mlflow_rest.values import (
    Credentials,
    MlflowError,
    RunInfo,
    decode_run,
)
from trainingjob_operator.core.contract import TAG_UID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

JsonObject = dict[str, Any]

IDS_PER_SEARCH = 100
PAGE_SIZE = 1000


class MlflowApi:
    """A client of one server: at most `concurrency` calls at once, `timeout` seconds for each.

    All methods raise MlflowError. `on_call` is told (endpoint, outcome, seconds) of every call,
    the outcome being one of ok, refused, throttled, server_error, unexpected, timeout,
    connection.
    """

    def __init__(
        self,
        uri: str,
        credentials: Credentials,
        on_call: Callable[[str, str, float], None],
        concurrency: int = 8,
        timeout: float = 10.0,
        proxy: str | None = None,
    ) -> None:
        self.uri = uri.rstrip("/")
        self._transport = Transport(self.uri, credentials, on_call, concurrency, timeout, proxy)

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
                created = await self._transport.post("experiments/create", {"name": name})
                return str(created["experiment_id"])
            except MlflowError as error:
                if error.code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = await self._experiment_by_name(name)
        if found is None or found["lifecycle_stage"] != "active":
            raise MlflowError(
                400,
                "EXPERIMENT_DELETED",
                f"experiment {name!r} is deleted on {self.uri}: restore it "
                "(mlflow experiments restore), delete it for good (mlflow gc) "
                "or use another name",
                retryable=False,
            )
        return str(found["experiment_id"])

    async def find_runs(self, experiment_id: str, uid: str) -> list[RunInfo]:
        """Return the active runs with the tag trainingjob.uid = uid, the oldest first."""
        runs, _ = await self.search_runs(
            [experiment_id], f"tags.`{TAG_UID}` = '{uid}'", max_results=PAGE_SIZE
        )
        return sorted(runs, key=lambda run: (run.start_time_ms, run.run_id))

    async def create_run(
        self, experiment_id: str, name: str, start_time_ms: int, tags: Mapping[str, str]
    ) -> RunInfo:
        """Create a run (runs/create). MLflow gives it status RUNNING whatever is asked for."""
        body = {
            "experiment_id": experiment_id,
            "run_name": name,
            "start_time": start_time_ms,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return decode_run((await self._transport.post("runs/create", body))["run"])

    async def get_run(self, run_id: str) -> RunInfo:
        """Return a run (runs/get), a deleted one too, by its lifecycle_stage."""
        return decode_run((await self._transport.get("runs/get", {"run_id": run_id}))["run"])

    async def set_status(self, run_id: str, status: str, end_time_ms: int | None) -> RunInfo:
        """Write the status (runs/update) and return the run's info, without tags and metrics.

        An `end_time_ms` of None keeps what is there, 0 clears it. A status that MLflow does not
        know answers 200 and changes nothing, so an answer with another status is an error.
        """
        body: JsonObject = {"run_id": run_id, "status": status}
        if end_time_ms is not None:
            body["end_time"] = end_time_ms
        run = decode_run({"info": (await self._transport.post("runs/update", body))["run_info"]})
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
        await self._transport.post("runs/log-batch", {"run_id": run_id, "tags": entries})

    async def last_point_ms(self, run_id: str, metric: str) -> int | None:
        """Return the time of a metric's newest point (metrics/get-history); None without one.

        The runs of a search have the point of the highest step instead, which an attempt that
        starts anew does not reach for a while.
        """
        params = {"run_id": run_id, "metric_key": metric}
        answer = await self._transport.get("metrics/get-history", params)
        return max((int(point["timestamp"]) for point in answer.get("metrics") or ()), default=None)

    async def search_runs(
        self,
        experiment_ids: Iterable[str],
        filter_string: str,
        max_results: int = PAGE_SIZE,
        page_token: str | None = None,
        view: str = "ACTIVE_ONLY",
    ) -> tuple[list[RunInfo], str | None]:
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
        answer = await self._transport.post("runs/search", body)
        runs = [decode_run(run) for run in answer.get("runs") or ()]
        return runs, answer.get("next_page_token") or None

    async def runs_by_id(self, experiment_id: str, run_ids: Iterable[str]) -> dict[str, RunInfo]:
        """Return those of the given runs that are in the experiment, deleted ones too, by id."""
        wanted = list(run_ids)
        found: dict[str, RunInfo] = {}
        for start in range(0, len(wanted), IDS_PER_SEARCH):
            ids = ", ".join(f"'{run_id}'" for run_id in wanted[start : start + IDS_PER_SEARCH])
            runs, _ = await self.search_runs(
                [experiment_id], f"attributes.run_id IN ({ids})", view="ALL"
            )
            found |= {run.run_id: run for run in runs}
        return found

    async def experiment_ids(self) -> list[str]:
        """Return the ids of all active experiments (experiments/search)."""
        found: list[str] = []
        body: JsonObject = {"max_results": PAGE_SIZE, "view_type": "ACTIVE_ONLY"}
        while True:
            answer = await self._transport.post("experiments/search", body)
            found += [str(one["experiment_id"]) for one in answer.get("experiments") or ()]
            if not answer.get("next_page_token"):
                return found
            body["page_token"] = answer["next_page_token"]

    async def _experiment_by_name(self, name: str) -> JsonObject | None:
        try:
            answer = await self._transport.get("experiments/get-by-name", {"experiment_name": name})
        except MlflowError as error:
            if error.code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        experiment: JsonObject = answer["experiment"]
        return experiment

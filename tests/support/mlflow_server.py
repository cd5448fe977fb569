"""An MLflow server of the tests' own: it keeps runs in memory and does what a test asks it to.

Only its answers are made up. The operator's client, its time limits and its reading of answers are
the real ones.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from trainingjob_operator.adapters.mlflow_rest import Credentials, MlflowApi

Body = dict[str, Any]
# Gives the answer to a call instead of the server's own, or None.
Intercept = Callable[[str, Body], web.Response | None]


class FakeMlflow:
    """The endpoints that the operator calls, over runs in memory; `calls` counts them."""

    def __init__(self) -> None:
        self.runs: dict[str, Body] = {}
        self.models: dict[str, Body] = {}
        self.points: dict[tuple[str, str], list[int]] = {}
        self.log: list[tuple[str, Body]] = []
        self.intercept: Intercept = lambda _endpoint, _body: None
        self.hangs = False
        self.ended = asyncio.Event()

    @property
    def calls(self) -> Counter[str]:
        """How often each endpoint was called."""
        return Counter(endpoint for endpoint, _ in self.log)

    def add(
        self, run_id: str, *, experiment: str = "7", status: str = "RUNNING", **tags: str
    ) -> Body:
        """A run; `tags` with __ in place of a dot."""
        made = {
            "info": {
                "run_id": run_id,
                "experiment_id": experiment,
                "status": status,
                "start_time": 0,
                "lifecycle_stage": "active",
            },
            "data": {
                "tags": [{"key": k.replace("__", "."), "value": v} for k, v in tags.items()],
                "metrics": [],
            },
        }
        self.runs[run_id] = made
        return made

    def status(self, run_id: str) -> str:
        """The status of a run."""
        reported: str = self.runs[run_id]["info"]["status"]
        return reported

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call."""
        endpoint = request.match_info["endpoint"]
        body = await request.json() if request.can_read_body else dict(request.query)
        self.log.append((endpoint, body))
        if self.hangs:
            await self.ended.wait()
        answer = self.intercept(endpoint, body)
        if answer is not None:
            return answer
        return self._answer(endpoint, body)

    def _answer(self, endpoint: str, body: Body) -> web.Response:
        match endpoint:
            case "experiments/get-by-name":
                found = {"experiment_id": "7", "lifecycle_stage": "active"}
                return web.json_response({"experiment": found})
            case "experiments/search":
                return web.json_response({"experiments": [{"experiment_id": "7"}]})
            case "runs/create":
                return self._create(body)
            case "runs/get" | "runs/update" | "runs/log-batch":
                return self._one(endpoint, body)
            case "runs/search":
                return self._search(body)
            case "logged-models/search":
                return self._search_models(body)
            case "metrics/get-history":
                return self._history(body)
            case _:
                name = endpoint.removeprefix("logged-models/")
                self.models[name]["info"]["status"] = body["status"]
                return web.json_response({"model": self.models[name]})

    def _create(self, body: Body) -> web.Response:
        made = self.add(f"run{len(self.runs)}", experiment=body["experiment_id"])
        made["info"]["start_time"] = body["start_time"]
        made["data"]["tags"] = body["tags"]
        return web.json_response({"run": made})

    def _one(self, endpoint: str, body: Body) -> web.Response:
        found = self.runs.get(body["run_id"])
        if found is None:
            gone = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}
            return web.json_response(gone, status=404)
        if endpoint == "runs/log-batch":
            tags = {one["key"]: one["value"] for one in found["data"]["tags"]}
            tags |= {one["key"]: one["value"] for one in body["tags"]}
            found["data"]["tags"] = [{"key": k, "value": v} for k, v in tags.items()]
            return web.json_response({})
        if endpoint == "runs/update":
            found["info"] |= {"status": body["status"], "end_time": body.get("end_time")}
            return web.json_response({"run_info": found["info"]})
        return web.json_response({"run": found})

    def _search(self, body: Body) -> web.Response:
        clauses = [_clause(text) for text in body["filter"].split(" AND ")]
        found = [
            run
            for run in self.runs.values()
            if run["info"]["experiment_id"] in body["experiment_ids"]
            and all(clause(run) for clause in clauses)
        ]
        return web.json_response({"runs": found} if found else {})

    def _search_models(self, body: Body) -> web.Response:
        first, _, _ = body["filter"].partition(" AND ")
        matches = _has_source(first) if first.startswith("source_run_id") else _clause(first)
        found = [model for model in self.models.values() if matches(model)]
        return web.json_response({"models": found} if found else {})

    def _history(self, body: Body) -> web.Response:
        times = self.points.get((body["run_id"], body["metric_key"]), [])
        start, size = int(body.get("page_token", 0)), int(body["max_results"])
        page = [{"timestamp": ms} for ms in times[start : start + size]]
        more = {"next_page_token": str(start + size)} if start + size < len(times) else {}
        return web.json_response({"metrics": page, **more})

    @asynccontextmanager
    async def serve(self, patience: float = 10.0) -> AsyncIterator[MlflowApi]:
        """Listen; gives a client of the operator's."""
        application = web.Application()
        application.router.add_route("*", "/api/2.0/mlflow/{endpoint:.*}", self.handle)
        async with TestServer(application) as listening:
            client = MlflowApi(
                str(listening.make_url("/")), Credentials(), lambda *_: None, timeout=patience
            )
            try:
                yield client
            finally:
                self.ended.set()
                await client.close()


def refuse(status: int, code: str) -> web.Response:
    """An error as MLflow answers it."""
    return web.json_response({"error_code": code, "message": "why"}, status=status)


def _has_source(text: str) -> Callable[[Body], bool]:
    return lambda model: f"'{model['info']['source_run_id']}'" in text


def _clause(text: str) -> Callable[[Body], bool]:
    """One comparison of a filter of runs/search, as far as the operator writes them."""
    if match := re.fullmatch(r"attributes\.run_id IN \((.*)\)", text):
        ids = json.loads(f"[{match[1]}]".replace("'", '"'))
        return lambda run: run["info"]["run_id"] in ids
    if match := re.fullmatch(r"attributes\.status = '(.*)'", text):
        status = match[1]
        return lambda run: bool(run["info"]["status"] == status)
    if match := re.fullmatch(r"attributes\.start_time >= (\d+)", text):
        since = int(match[1])
        return lambda run: bool(run["info"]["start_time"] >= since)
    [(key, _, value)] = re.findall(r"^tags\.`(.*)` (= '(.*)'|LIKE '%')$", text)

    def has_tag(found: Body) -> bool:
        """Of a run, or of a model."""
        reported = found["data"] if "data" in found else found["info"]
        tags = {one["key"]: one["value"] for one in reported.get("tags", [])}
        return key in tags and (not value or tags[key] == value)

    return has_tag

"""Ending a Job whose pods the operator's watch has yet to show."""

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from trainingjob_operator.adapters.kube import Kube
from trainingjob_operator.adapters.kube.transport import Transport
from trainingjob_operator.cluster.ends import Ends
from trainingjob_operator.core.intent import Action, ActionKind

from tests.unit.operator.cluster.test_departed import caches_with

END = Action(ActionKind.END_JOB, name="mnist-1")
NOW = {"spec": {"activeDeadlineSeconds": 1}}
JOB = ("jobs/mnist-1", NOW)


def pod(phase: str = "Running", node: str = "node-a", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "mnist-1-0-x", "namespace": "ml", "uid": "p"},
        "spec": {"nodeName": node, "containers": [], **spec},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("pods", "writes"),
    [
        pytest.param([], [JOB], id="it-has-none"),
        pytest.param([pod(node="")], [JOB], id="not-scheduled"),
        pytest.param([pod("Failed")], [JOB], id="ended"),
        pytest.param([pod()], [("pods/mnist-1-0-x", NOW)], id="runs"),
        pytest.param([pod(activeDeadlineSeconds=1)], [], id="is-ending"),
    ],
)
async def test_pods_that_run_are_ended_before_their_job(
    pods: list[dict[str, Any]], writes: list[tuple[str, dict[str, Any]]]
) -> None:
    seen = []

    async def listed(request: web.Request) -> web.Response:
        assert request.query["labelSelector"] == "batch.kubernetes.io/job-name=mnist-1"
        return web.json_response({"metadata": {}, "items": pods})

    async def patched(request: web.Request) -> web.Response:
        seen.append((request.path.split("/ml/")[1], json.loads(await request.text())))
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/ml/pods", listed)
    app.router.add_patch("/api/v1/namespaces/ml/pods/{name}", patched)
    app.router.add_patch("/apis/batch/v1/namespaces/ml/jobs/{name}", patched)
    async with TestServer(app) as server:
        configuration = Configuration(host=str(server.make_url("")).rstrip("/"))
        kube = Kube(Transport(ApiClient(configuration)))
        await Ends(kube, await caches_with()).carry_out("ml", END)
        await kube.close()
    assert seen == writes

"""An API server that is away makes the operator not ready, and never ends its process."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest_asyncio

from tests.support.api import Cluster, manifest
from tests.support.chaos.calls import Answer, Call, Server
from tests.support.chaos.proxy import Fault, Forward, Proxy
from tests.support.chaos.trial import kubeconfig_for
from tests.support.chaos.upstream import Upstream
from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer, OperatorProcess, answers
from tests.support.service_account import OperatorLogin, token_of
from tests.support.waiting import wait_for

KOPF_GIVES_UP = "kopf has failed, restarting"


class Away(Fault):
    """A proxy answers for a server that is not there: kopf bears this for 45 s."""

    async def answer(self, call: Call, forward: Forward) -> Answer:  # noqa: ARG002 - for others
        return Answer.api_error(503, "ServiceUnavailable")


@pytest_asyncio.fixture
async def proxy(kwok: Kwok, cluster: Cluster, mlflow: MlflowServer) -> AsyncIterator[Proxy]:
    async with (
        Upstream(kwok.kubeconfig, mlflow.uri) as upstream,
        Proxy(upstream, cluster.namespace) as found,
    ):
        yield found


@pytest_asyncio.fixture
async def behind(
    kwok: Kwok, cluster: Cluster, mlflow: MlflowServer, proxy: Proxy, tmp_path: Path
) -> AsyncIterator[OperatorProcess]:
    """The operator, ready, which reaches the API server through the proxy."""
    login = OperatorLogin(tmp_path / "kubeconfig")
    token = token_of(kwok.operator_login)
    login.write_text(kubeconfig_for(proxy.addresses["a", Server.API], token))
    operator = OperatorProcess(tmp_path, login, mlflow.uri)
    await asyncio.to_thread(operator.start)
    yield operator
    proxy.fault = Fault()
    await asyncio.to_thread(cluster.delete_all)
    await asyncio.to_thread(operator.end)


async def test_the_process_outlives_an_outage_of_the_api_server(
    cluster: Cluster, proxy: Proxy, behind: OperatorProcess
) -> None:
    def alive() -> bool:
        return answers(behind.url("/healthz"))

    def ready() -> bool:
        return answers(behind.url("/readyz"))

    def lost() -> bool:
        assert alive(), "a probe would have the process started again"
        return KOPF_GIVES_UP in behind.log.read_text() and not ready()

    process = psutil.Process(behind.pid)
    proxy.fault = Away()
    proxy.break_streams()
    cut = time.monotonic()
    await asyncio.to_thread(wait_for, "it is not ready", lambda: alive() and not ready(), 30)
    print(f"not ready after {time.monotonic() - cut:.0f} s")
    await asyncio.to_thread(wait_for, "kopf gives up", lost, 90)
    print(f"kopf gave up after {time.monotonic() - cut:.0f} s")

    proxy.fault = Fault()
    await asyncio.to_thread(wait_for, "it is ready again", ready, 90)
    assert process.is_running()
    cluster.apply(manifest("mine"))
    await asyncio.to_thread(
        wait_for, "a job ends", lambda: cluster.state("mine") == "Succeeded", 60
    )

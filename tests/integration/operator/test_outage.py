"""An API server that is away makes the operator not ready, and never ends its process."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest_asyncio

from tests.support.api import Cluster, manifest
from tests.support.chaos.calls import Answer, Call, Dropped, Server
from tests.support.chaos.proxy import Fault, Forward, Proxy
from tests.support.chaos.trial import kubeconfig_for
from tests.support.chaos.upstream import Upstream
from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer, OperatorProcess, answers
from tests.support.service_account import OperatorLogin, token_of
from tests.support.waiting import wait_for

# kopf gives up after 45 s of errors, and begins anew.
KOPF_GIVES_UP = "kopf has failed, beginning anew"


class Away(Fault):
    """The server closes every connection."""

    async def answer(self, call: Call, forward: Forward) -> Answer:  # noqa: ARG002 - for others
        raise Dropped


@pytest_asyncio.fixture
async def proxy(kwok: Kwok, cluster: Cluster, mlflow: MlflowServer) -> AsyncIterator[Proxy]:
    async with (
        Upstream(kwok.kubeconfig, mlflow.uri) as upstream,
        Proxy(upstream, cluster.namespace) as found,
    ):
        yield found


async def test_the_process_outlives_an_outage_of_the_api_server(
    kwok: Kwok, cluster: Cluster, mlflow: MlflowServer, proxy: Proxy, tmp_path: Path
) -> None:
    login = OperatorLogin(tmp_path / "kubeconfig")
    token = token_of(kwok.operator_login)
    login.write_text(kubeconfig_for(proxy.addresses["a", Server.API], token))
    operator = OperatorProcess(tmp_path, login, mlflow.uri)

    def alive() -> bool:
        return answers(operator.url("/healthz"))

    def ready() -> bool:
        return answers(operator.url("/readyz"))

    def lost() -> bool:
        assert alive(), "a probe would have the process started again"
        return KOPF_GIVES_UP in operator.log.read_text() and not ready()

    await asyncio.to_thread(operator.start)
    began = psutil.Process(operator.pid).create_time()
    proxy.fault = Away()
    proxy.break_streams()
    cut = time.monotonic()
    await asyncio.to_thread(wait_for, "it is not ready", lambda: alive() and not ready(), 30)
    print(f"not ready after {time.monotonic() - cut:.0f} s")
    await asyncio.to_thread(wait_for, "kopf gives up", lost, 90)

    proxy.fault = Fault()
    await asyncio.to_thread(wait_for, "it is ready again", ready, 90)
    assert psutil.Process(operator.pid).create_time() == began
    cluster.apply(manifest("mine"))
    await asyncio.to_thread(
        wait_for, "a job ends", lambda: cluster.state("mine") == "Succeeded", 60
    )
    await asyncio.to_thread(cluster.delete_all)
    await asyncio.to_thread(operator.end)

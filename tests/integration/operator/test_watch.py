"""kopf watches TrainingJobs: once, writing nothing; what its watch does not tell is found out."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.support.api import Cluster, manifest
from tests.support.chaos.calls import Server
from tests.support.chaos.proxy import EXPIRED, Proxy, Stream
from tests.support.chaos.trial import kubeconfig_for
from tests.support.chaos.upstream import Upstream
from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.service_account import OperatorLogin, token_of
from tests.support.waiting import wait_for

FOREVER = {"kwok.trainingjob.dev/run-seconds": "forever"}
ERROR_EVENT = (
    b'{"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "no leader"}}'
)


@dataclass
class Watched:
    """An operator that reaches the API server through a proxy."""

    proxy: Proxy
    operator: OperatorProcess

    def watches(self) -> list[Stream]:
        """The open watches of TrainingJobs."""
        return [one for one in self.proxy.streams if one.call.what == "GET trainingjobs"]

    def agents(self) -> list[str]:
        """Who has one."""
        return [one.call.headers["User-Agent"].partition("/")[0] for one in self.watches()]

    def errors(self) -> list[dict[str, Any]]:
        """What the operator logged as an error."""
        lines = [json.loads(line) for line in self.operator.log.read_text().splitlines()]
        return [line for line in lines if line["level"] == "ERROR"]

    async def until(self, what: str, condition: Callable[[], object], seconds: float) -> None:
        """Wait, while the proxy works on."""
        await asyncio.to_thread(wait_for, what, condition, seconds)


@pytest_asyncio.fixture
async def watched(
    kwok: Kwok, cluster: Cluster, mlflow: MlflowServer, tmp_path: Path
) -> AsyncIterator[Watched]:
    """The operator, ready."""
    async with (
        Upstream(kwok.kubeconfig, mlflow.uri) as upstream,
        Proxy(upstream, cluster.namespace) as proxy,
    ):
        login = OperatorLogin(tmp_path / "kubeconfig")
        token = token_of(kwok.operator_login)
        login.write_text(kubeconfig_for(proxy.addresses["a", Server.API], token))
        operator = OperatorProcess(tmp_path, login, mlflow.uri)
        await asyncio.to_thread(operator.start)
        yield Watched(proxy, operator)
        await asyncio.to_thread(cluster.delete_all)
        await asyncio.to_thread(operator.end)


async def test_there_is_one_watch_of_them_and_kopf_writes_nothing(
    cluster: Cluster, watched: Watched
) -> None:
    cluster.apply(manifest("mine"))
    await watched.until("it ended", lambda: cluster.state("mine") == "Succeeded", 60)
    cluster.delete("mine")
    await watched.until("it is gone", lambda: cluster.get("mine") is None, 60)
    assert watched.agents() == ["kopf"]
    writers = {call.headers["User-Agent"] for call in watched.proxy.writes}
    assert writers == {"trainingjob-operator"}
    assert watched.errors() == []


async def test_a_job_that_went_while_the_watch_had_expired_is_forgotten(
    cluster: Cluster, watched: Watched
) -> None:
    jobs = "trainingjob_operator_trainingjobs"
    cluster.apply(manifest("mine", annotations=FOREVER))
    await watched.until("it runs", lambda: cluster.state("mine") == "Running", 60)
    [stream] = watched.watches()
    stream.mute = True
    cluster.delete("mine")
    await watched.until("it is gone", lambda: cluster.get("mine") is None, 60)
    assert await asyncio.to_thread(watched.operator.metric, jobs) == 1
    await stream.say(EXPIRED)
    await watched.until("it is forgotten", lambda: watched.operator.metric(jobs) == 0, 30)
    assert watched.agents() == ["kopf"]


async def test_an_error_event_ends_kopf_which_is_back_within_seconds(
    cluster: Cluster, watched: Watched
) -> None:
    [stream] = watched.watches()
    await stream.say(ERROR_EVENT)

    def is_back() -> bool:
        return watched.agents() == ["kopf"] and watched.watches() != [stream]

    await watched.until("another watch", is_back, 20)
    assert "kopf has failed, restarting in 1 s" in [one["message"] for one in watched.errors()]
    assert "no leader" in watched.operator.log.read_text()
    cluster.apply(manifest("mine"))
    await watched.until("it ended", lambda: cluster.state("mine") == "Succeeded", 60)


async def test_a_signal_that_comes_while_kopf_fails_is_not_forgotten(watched: Watched) -> None:
    [stream] = watched.watches()
    await stream.say(ERROR_EVENT)
    await asyncio.to_thread(watched.operator.end)
    assert not watched.operator.running


YEAR_0 = "0000-01-01T00:00:00Z"


def test_a_job_that_cannot_be_read_says_so_and_can_be_deleted(
    cluster: Cluster, operator: OperatorProcess
) -> None:
    """The API server takes a time in the year 0, which Python has not."""
    cluster.apply(manifest("odd", annotations=FOREVER), manifest("other", annotations=FOREVER))
    wait_for("both run", lambda: set(cluster.states().values()) == {"Running"}, 60)
    start = cluster.status("odd")["startTime"]

    unreadable = 'trainingjob_operator_trainingjobs{state="Unreadable"}'
    cluster.patch_status("odd", startTime=YEAR_0)
    wait_for("it says so", lambda: _readable(cluster) == ("False", "UnreadableField"), 30)
    reported = cluster.condition("odd", "Readable")
    assert reported is not None
    assert reported["message"].startswith(
        "this release of the operator cannot read status.startTime: "
    )
    running = cluster.condition("odd", "Running")
    assert running is not None
    assert running["status"] == "True"
    assert len(cluster.core.list_namespaced_pod(cluster.namespace).items) == 2
    assert operator.metric(unreadable) == 1

    cluster.patch_status("odd", startTime=start)
    wait_for("it is read again", lambda: _readable(cluster) == ("True", "Read"), 30)

    cluster.patch_status("odd", startTime=YEAR_0)
    wait_for("it says so again", lambda: _readable(cluster) == ("False", "UnreadableField"), 30)
    cluster.delete("odd")
    wait_for("it is gone", lambda: not cluster.batch_jobs("odd"), 60)
    assert cluster.states() == {"other": "Running"}


def _readable(cluster: Cluster) -> tuple[str, str] | None:
    found = cluster.condition("odd", "Readable")
    return (found["status"], found["reason"]) if found else None

"""What a scraper and the kubelet see of the operator."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from trainingjob_operator.adapters.http import Content, HttpServer
from trainingjob_operator.adapters.metrics import OperatorMetrics


@pytest.fixture
def metrics() -> OperatorMetrics:
    return OperatorMetrics("1.2.3")


@pytest.fixture
def problems() -> dict[str, str | None]:
    return {"informer": None, "leader": None}


@pytest.fixture
async def url(metrics: OperatorMetrics, problems: dict[str, str | None]) -> AsyncIterator[str]:
    checks = {name: lambda name=name: problems[name] for name in problems}
    server = HttpServer("127.0.0.1", 0)
    server.show(Content(metrics.registry, healthy={"loop": lambda: None}, ready=checks))
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def scrape(url: str) -> dict[str, float]:
    """The samples by name and labels, without times that vary."""
    _, text = await get(f"{url}/metrics")
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("trainingjob_operator_")
        and not sample.name.endswith(("_bucket", "_created"))
    }


async def test_metrics(url: str, metrics: OperatorMetrics) -> None:
    metrics.observe_queue(lambda: 3)
    metrics.observe_informer("pods", lambda: 1.5)
    metrics.observe_leader(lambda: True)
    metrics.observe_foreign_namespaces(lambda: 2)
    metrics.observe_jobs(lambda: {"Running": 2, "Failed": 0})
    metrics.observe_goodput(lambda: {"productive": 60, "lost": 5})
    metrics.on_restart("OOMKilled", charged=True)
    metrics.on_restart("Evicted", charged=False)
    metrics.on_failure("OOMKilled")
    metrics.on_reconcile("ok", 0.5)
    metrics.on_reconcile("error", 0.25)
    metrics.on_request("patch", "trainingjobs", 409, 0.125)
    metrics.on_mlflow_call("runs/update", "timeout", 8.0)
    metrics.mlflow_status_corrections.labels("FINISHED", "FAILED").inc()
    call = "[('endpoint', 'runs/update')]"
    request = "[('resource', 'trainingjobs'), ('verb', 'patch')]"
    assert await scrape(url) == {
        "trainingjob_operator_build_info[('version', '1.2.3')]": 1,
        "trainingjob_operator_failures_total[('reason', 'OOMKilled')]": 1,
        "trainingjob_operator_foreign_namespaces[]": 2,
        "trainingjob_operator_goodput_seconds[('phase', 'lost')]": 5,
        "trainingjob_operator_goodput_seconds[('phase', 'productive')]": 60,
        "trainingjob_operator_informer_age_seconds[('resource', 'pods')]": 1.5,
        "trainingjob_operator_kube_request_duration_seconds_count" + request: 1,
        "trainingjob_operator_kube_request_duration_seconds_sum" + request: 0.125,
        "trainingjob_operator_kube_requests_total"
        "[('code', '409'), ('resource', 'trainingjobs'), ('verb', 'patch')]": 1,
        "trainingjob_operator_leader[]": 1,
        "trainingjob_operator_mlflow_call_duration_seconds_count" + call: 1,
        "trainingjob_operator_mlflow_call_duration_seconds_sum" + call: 8,
        "trainingjob_operator_mlflow_calls_total"
        "[('endpoint', 'runs/update'), ('outcome', 'timeout')]": 1,
        "trainingjob_operator_mlflow_status_corrections_total"
        "[('from', 'FINISHED'), ('to', 'FAILED')]": 1,
        "trainingjob_operator_orphaned_runs_total[]": 0,
        "trainingjob_operator_reconcile_duration_seconds_count[]": 2,
        "trainingjob_operator_reconcile_duration_seconds_sum[]": 0.75,
        "trainingjob_operator_errors_total[('loop', 'reconcile')]": 1,
        "trainingjob_operator_reconcile_total[('result', 'error')]": 1,
        "trainingjob_operator_reconcile_total[('result', 'ok')]": 1,
        "trainingjob_operator_restarts_total[('charged', 'false'), ('reason', 'Evicted')]": 1,
        "trainingjob_operator_restarts_total[('charged', 'true'), ('reason', 'OOMKilled')]": 1,
        "trainingjob_operator_trainingjobs[('state', 'Failed')]": 0,
        "trainingjob_operator_trainingjobs[('state', 'Running')]": 2,
        "trainingjob_operator_workqueue_depth[]": 3,
    }


async def test_checks_answer_503_with_all_problems(
    url: str, problems: dict[str, str | None]
) -> None:
    assert await get(f"{url}/readyz") == (200, "ok\n")
    problems.update(informer="pods: 200 s without contact", leader="no lease")
    assert await get(f"{url}/readyz") == (
        503,
        "informer: pods: 200 s without contact\nleader: no lease\n",
    )
    assert await get(f"{url}/healthz") == (200, "ok\n")


async def test_before_it_has_content_it_is_alive_and_not_ready() -> None:
    server = HttpServer("127.0.0.1", 0)
    await server.start()
    found = [await get(f"http://127.0.0.1:{server.port}/{path}") for path in ("healthz", "readyz")]
    await server.stop()
    assert found == [(200, "ok\n"), (503, "operator: is starting\n")]


@pytest.mark.parametrize(
    ("ipv6", "addresses"), [(True, ["127.0.0.1", "[::1]"]), (False, ["127.0.0.1"])]
)
async def test_without_a_host_it_listens_on_what_the_machine_has(
    monkeypatch: pytest.MonkeyPatch, ipv6: bool, addresses: list[str]
) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: ipv6)
    server = HttpServer("", 0)
    await server.start()
    found = [await get(f"http://{one}:{server.port}/healthz") for one in addresses]
    await server.stop()
    assert found == [(200, "ok\n")] * len(addresses)


async def test_a_machine_whose_ipv6_is_switched_off_is_served_by_ipv4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create = socket.create_server

    def refused(address: tuple[str, int], *, family: int = socket.AF_INET, **more: Any) -> Any:
        if family == socket.AF_INET6:
            raise OSError("Cannot assign requested address")
        return create(address, family=family, **more)

    monkeypatch.setattr(socket, "create_server", refused)
    server = HttpServer("", 0)
    await server.start()
    found = await get(f"http://127.0.0.1:{server.port}/healthz")
    await server.stop()
    assert found == (200, "ok\n")

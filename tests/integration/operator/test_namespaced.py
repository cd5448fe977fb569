"""An operator with Roles only, and several installations that would serve the same namespace."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen
from uuid import uuid4

import pytest

from tests.support import service_account
from tests.support.api import WRITES, Cluster, Runs, manifest
from tests.support.fixtures import Kwok
from tests.support.installation import Installation
from tests.support.pods import FOREVER
from tests.support.processes import MlflowServer, OperatorProcess, Process
from tests.support.waiting import wait_for

# A namespace is left to others this much sooner: claims last eight times as long as the Lease.
SOON = {"LEASE_SECONDS": "3"}
Start = Callable[..., OperatorProcess]


@pytest.fixture
def namespaces(kwok: Kwok) -> Iterator[list[Cluster]]:
    """Three namespaces, and one for an operator."""
    name = f"test-{uuid4().hex[:8]}"
    found = [Cluster(kwok.kubeconfig, f"{name}-{part}") for part in ("a", "b", "c", "system")]
    for one in found:
        one.create_namespace()
    yield found
    for one in found:
        one.delete_all()
        one.release_jobs()


@pytest.fixture
def start(kwok: Kwok, mlflow: MlflowServer, tmp_path: Path) -> Iterator[Start]:
    """Start operators that end with the test."""
    started: list[OperatorProcess] = []

    def run(installation: Installation, *, ready: bool = True) -> OperatorProcess:
        one = installation.operator(tmp_path, mlflow.uri, **SOON)
        started.append(one)
        if ready:
            one.start()
        else:
            Process.start(one)
        return one

    yield run
    for one in started:
        one.end()


def in_state(cluster: Cluster, name: str, state: str) -> bool:
    return cluster.state(name) == state


def ended(cluster: Cluster, name: str) -> None:
    wait_for(f"{name} ended", lambda: cluster.state(name) == "Succeeded", 60)


def writers(kwok: Kwok, cluster: Cluster, offset: int) -> set[str]:
    """The operators that wrote TrainingJobs, Jobs or pods in a namespace."""
    with kwok.audit_log.open() as lines:
        lines.seek(offset)
        entries = [json.loads(line) for line in lines]
    return {
        one["user"]["username"]
        for one in entries
        if one["objectRef"].get("namespace") == cluster.namespace
        and one["objectRef"]["resource"] in ("trainingjobs", "jobs", "pods")
        and one["verb"] in WRITES
        and one["userAgent"].startswith("trainingjob-operator")
    }


def forbidden(operator: OperatorProcess) -> list[str]:
    """The requests that the API server refused, as metrics."""
    with urlopen(operator.url("/metrics"), timeout=5) as reply:  # noqa: S310 - our own loopback
        lines = reply.read().decode().splitlines()
    return [line for line in lines if "kube_requests_total" in line and 'code="403"' in line]


def readiness(operator: OperatorProcess) -> str:
    try:
        with urlopen(operator.url("/readyz"), timeout=5) as reply:  # noqa: S310 - our own loopback
            return str(reply.read().decode())
    except HTTPError as answer:
        return answer.read().decode()
    except URLError as error:
        return str(error.reason)


def test_it_serves_its_namespaces_with_roles_only(
    kwok: Kwok, namespaces: list[Cluster], mlflow: MlflowServer, start: Start
) -> None:
    one, two, other, system = namespaces
    installation = Installation(kwok, system.namespace, (one.namespace, two.namespace))
    assert {role["kind"] for role in installation.rights} == {
        "ServiceAccount",
        "Role",
        "RoleBinding",
    }
    operator = start(installation)
    for cluster in (one, two, other):
        cluster.apply(manifest("single"), manifest("pair", nodes=2))
    for cluster in (one, two):
        ended(cluster, "single")
        ended(cluster, "pair")
        runs = Runs(mlflow.uri, cluster.namespace).all()
        uid = system.core.read_namespace(system.namespace).metadata.uid
        reported = {(run.info.status, run.data.tags["trainingjob.cluster"]) for run in runs}
        assert reported == {("FINISHED", uid)}
    assert other.status("single") == {}
    assert operator.metric('trainingjob_operator_trainingjobs{state="Succeeded"}') == 4
    assert operator.metric("trainingjob_operator_errors_total") == 0
    assert forbidden(operator) == []


def test_a_namespace_whose_role_is_taken_away_costs_the_others_nothing(
    kwok: Kwok, namespaces: list[Cluster], start: Start
) -> None:
    stays, closed, _, system = namespaces
    installation = Installation(kwok, system.namespace, (stays.namespace, closed.namespace))
    operator = start(installation)
    for cluster in (stays, closed):
        cluster.apply(manifest("runs", annotations=FOREVER))
        wait_for("it runs", partial(in_state, cluster, "runs", "Running"), 60)
    kwok.kubectl(
        *("delete", "rolebinding", "trainingjob-operator-jobs"),
        f"--namespace={closed.namespace}",
    )
    reported = f"skipped until they exist and are readable: {closed.namespace}"
    wait_for("the operator leaves it out", lambda: reported in operator.log.read_text(), 120)
    wait_for("it is ready", lambda: readiness(operator) == "ok\n", 60)
    stays.apply(manifest("next"))
    ended(stays, "next")
    assert [cluster.state("runs") for cluster in (stays, closed)] == ["Running", "Running"]

    installation.give_rights()
    closed.apply(manifest("next"))
    ended(closed, "next")


def test_whoever_comes_second_does_nothing_until_the_first_is_gone(
    kwok: Kwok, namespaces: list[Cluster], start: Start
) -> None:
    shared, free, _, system = namespaces
    offset = kwok.audit_log.stat().st_size
    first = start(Installation(kwok, "trainingjob-system"))
    shared.apply(manifest("before", annotations=FOREVER))
    wait_for("it runs", lambda: shared.state("before") == "Running", 60)

    installation = Installation(kwok, system.namespace, (shared.namespace, free.namespace))
    second = start(installation, ready=False)
    reported = (
        f"namespaces: served by another installation: {shared.namespace} by "
        "trainingjob-system/trainingjob-operator\n"
    )
    wait_for("the second one says so", lambda: readiness(second) == reported, 60)
    assert second.metric("trainingjob_operator_foreign_namespaces") == 1
    for cluster in (shared, free):
        cluster.apply(manifest("beside"))
        ended(cluster, "beside")
    assert writers(kwok, shared, offset) == {service_account.USER}
    assert writers(kwok, free, offset) == {installation.user}

    first.end()
    wait_for("the second one serves both", lambda: readiness(second) == "ok\n", 60)
    shared.apply(manifest("after"))
    ended(shared, "after")
    assert writers(kwok, shared, offset) == {service_account.USER, installation.user}


def test_an_operator_of_the_cluster_leaves_a_namespace_to_the_one_that_has_it(
    kwok: Kwok, namespaces: list[Cluster], start: Start
) -> None:
    theirs, free, _, system = namespaces
    offset = kwok.audit_log.stat().st_size
    installation = Installation(kwok, system.namespace, (theirs.namespace,))
    start(installation)
    wide = start(Installation(kwok, "trainingjob-system"))
    for cluster in (theirs, free):
        cluster.apply(manifest("job"))
        ended(cluster, "job")
    assert writers(kwok, theirs, offset) == {installation.user}
    assert writers(kwok, free, offset) == {service_account.USER}
    reported = (
        f"namespace {theirs.namespace} is served by another installation, "
        f"{system.namespace}/trainingjob-operator"
    )
    wait_for("it says so", lambda: reported in wide.log.read_text(), 60)
    assert readiness(wide) == "ok\n"

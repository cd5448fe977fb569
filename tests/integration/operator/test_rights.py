"""The operator has the rights that manifests/operator.yaml gives it, and no others."""

import json

import pytest

from tests.support import service_account
from tests.support.api import Cluster, manifest
from tests.support.fixtures import Kwok
from tests.support.processes import OperatorProcess
from tests.support.waiting import wait_for


def test_it_writes_as_its_service_account(
    kwok: Kwok, cluster: Cluster, operator: OperatorProcess
) -> None:
    cluster.apply(manifest("mine"))
    wait_for("the job ended", lambda: cluster.state("mine") == "Succeeded", 60)
    entries = [json.loads(line) for line in kwok.audit_log.read_text().splitlines()]
    writers = {
        one["user"]["username"]
        for one in entries
        if one["objectRef"].get("namespace") == cluster.namespace
        and one["userAgent"].startswith("trainingjob-operator")
    }
    assert writers == {service_account.USER}


@pytest.mark.parametrize(
    "asked",
    ["get secrets", "create pods", "patch trainingjobs", "delete leases.coordination.k8s.io"],
)
def test_what_it_does_not_need_is_refused(kwok: Kwok, asked: str) -> None:
    answer = kwok.call(
        f"--kubeconfig={kwok.operator_login}", "auth", "can-i", *asked.split(), "--all-namespaces"
    )
    assert answer.stdout.strip() == "no"


def test_a_right_that_is_missing_fails_the_test_that_needs_it(kwok: Kwok, cluster: Cluster) -> None:
    offset = kwok.audit_log.stat().st_size
    refused = kwok.call(
        f"--kubeconfig={kwok.operator_login}",
        *("create", "configmap", "mine", f"--namespace={cluster.namespace}"),
    )
    assert "forbidden" in refused.stderr
    wait_for(
        "the audit log shows them",
        lambda: service_account.forbidden(kwok.audit_log, offset) == ["create configmaps"],
        10,
    )

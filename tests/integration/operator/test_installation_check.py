"""`helm test` beside a real API server and MLflow: what it says when all is well, and when not."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import service_account
from tests.support.api import Cluster
from tests.support.fixtures import REPOSITORY, Kwok
from tests.support.processes import MlflowServer, OperatorProcess, free_port

PREFIX = "TRAININGJOB_OPERATOR_"
EVERYWHERE = 41


@pytest.fixture(scope="module")
def rights() -> str:
    """What the chart's test pod asks for, as it is installed for all namespaces."""
    tool = (sys.executable, "-m", "localcluster", "tool", "helm")
    helm = subprocess.run(tool, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    command = (
        *(helm, "template", service_account.NAME, "helm/trainingjob-operator"),
        f"--namespace={service_account.NAMESPACE}",
        "--set=mlflow.trackingUri=http://given.by.the.test",
        "--show-only=templates/tests/installation.yaml",
    )
    made = subprocess.run(
        command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    [container] = yaml.safe_load(made)["spec"]["containers"]
    values: dict[str, Any] = {one["name"]: one.get("value") for one in container["env"]}
    return str(values["TRAININGJOB_CHECK_RIGHTS"])


def check(
    login: Path, ready: str, rights: str, settings: Mapping[str, str]
) -> tuple[int, list[str]]:
    """Exit code and lines of the check, by the given login and settings of the operator."""
    result = subprocess.run(
        (sys.executable, "-m", "trainingjob_operator.installation_check"),
        env={
            **os.environ,
            "KUBECONFIG": str(login),
            "TRAININGJOB_CHECK_READY_URL": ready,
            "TRAININGJOB_CHECK_RIGHTS": rights,
            **{f"{PREFIX}{name}": value for name, value in settings.items()},
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    return result.returncode, result.stdout.splitlines()


def test_all_is_well(
    kwok: Kwok, operator: OperatorProcess, mlflow: MlflowServer, rights: str
) -> None:
    ready = f"http://127.0.0.1:{operator.port}/readyz"
    found = check(kwok.operator_login, ready, rights, {"MLFLOW_TRACKING_URI": mlflow.uri})
    assert found == (
        0,
        [
            f"ok      operator ready at {ready}",
            f"ok      {EVERYWHERE} rights of the ServiceAccount",
            f"ok      MLflow at {mlflow.uri}",
        ],
    )


def test_each_problem_is_named(
    kwok: Kwok, cluster: Cluster, mlflow: MlflowServer, rights: str
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    more = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    asked = [*json.loads(rights), {"namespace": cluster.namespace, "rules": [more]}]
    settings = {"MLFLOW_TRACKING_URI": mlflow.uri, "MLFLOW_ALLOWED_TRACKING_URIS": nobody}
    code, lines = check(kwok.operator_login, f"{nobody}/readyz", json.dumps(asked), settings)
    assert code == 1
    assert [line.split(": ")[0] for line in lines] == [
        f"FAILED  operator ready at {nobody}/readyz",
        f"FAILED  may get secrets in {cluster.namespace}",
        f"ok      MLflow at {mlflow.uri}",
        f"FAILED  MLflow at {nobody}",
    ]

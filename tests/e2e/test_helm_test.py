"""`helm test` of the release that `make deploy` prepared, on a real node."""

import subprocess

import pytest

from demo.cluster import RELEASE, SYSTEM_NAMESPACE
from tests.support.node import Installed
from tests.support.training import kubectl

READY = f"http://{RELEASE}.{SYSTEM_NAMESPACE}.svc:8080/readyz"


@pytest.mark.usefixtures("cluster")  # not while a test has the operator away
def test_the_installation_is_ready_has_its_rights_and_reaches_mlflow(installed: Installed) -> None:
    place = f"--namespace={SYSTEM_NAMESPACE}"
    kubectl("rollout", "status", f"deployment/{RELEASE}", place, "--timeout=180s")
    command = ("helm", "test", RELEASE, place, "--logs", "--timeout=3m")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith(("ok ", "FAILED "))]
    assert lines == [
        f"ok      operator ready at {READY}",
        "ok      41 rights of the ServiceAccount",
        f"ok      MLflow at http://mlflow.{SYSTEM_NAMESPACE}.svc:5000",
    ]

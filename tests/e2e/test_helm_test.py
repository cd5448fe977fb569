"""`helm test` of the release that `make deploy` prepared, on a real node."""

import subprocess

from demo.cluster import RELEASE, SYSTEM_NAMESPACE
from tests.support.node import Installed

READY = f"http://{RELEASE}.{SYSTEM_NAMESPACE}.svc:8080/readyz"


def test_the_installation_is_ready_has_its_rights_and_reaches_mlflow(installed: Installed) -> None:
    command = ("helm", "test", RELEASE, f"--namespace={SYSTEM_NAMESPACE}", "--logs", "--timeout=3m")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith(("ok ", "FAILED "))]
    assert lines == [
        f"ok      operator ready at {READY}",
        "ok      41 rights of the ServiceAccount",
        f"ok      MLflow at http://mlflow.{SYSTEM_NAMESPACE}.svc:5000",
    ]

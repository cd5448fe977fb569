import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Template = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "mlflow.trackingUri is empty: set it to your MLflow server"),
        (['mlflow.trackingUri="mlflow:5000"'], "does not match pattern"),
        (['mlflow.allowedTrackingUris=["a,b"]'], "does not match pattern"),
        (['mlflow.tracking_uri="http://a"'], "additional properties 'tracking_uri' not allowed"),
        (['watchNamespaces=["team-*"]'], "does not match pattern"),
        (["replicaCount=2"], "additional properties 'replicaCount' not allowed"),
        (['replicas="2"'], "got string, want integer"),
        (['operator.logLevel="LOUD"'], "value must be one of"),
        (['image.digest="latest"'], "does not match pattern"),
        (['trainingPods.securityContext={"runAsUser":0}'], "minimum: got 0, want 1"),
        (
            ['trainingPods.securityContext={"privileged":true}'],
            "additional properties 'privileged' not allowed",
        ),
        (["operator.workers=0"], "minimum: got 0, want 1"),
        (["mlflow.demo.nodePort=80"], "minimum: got 80, want 30,000"),
        (['monitoring.podMonitor={"interval":"30s1m"}'], "does not match pattern"),
        (['monitoring.podMonitor={"interval":""}'], "minLength: got 0, want 1"),
        (
            ['mlflow.trackingUri="http://a"', 'mlflow.ca={"configMap":"a","secret":"b"}'],
            "mlflow.ca.configMap and mlflow.ca.secret are both set",
        ),
    ],
)
def test_wrong_values_are_refused_by_name(
    template: Template, values: list[str], message: str
) -> None:
    result = template(*values)
    assert result.returncode != 0
    assert message in result.stderr


def test_lint(helm: str, chart: Path) -> None:
    demo_values = chart.parents[1] / "demo" / "values.yaml"
    command = [helm, "lint", "--strict", str(chart), "--values", str(demo_values)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_generated_files_follow_from_the_chart(helm: str, chart: Path) -> None:
    command = [sys.executable, str(chart.parent / "generate.py"), "--check", "--helm", helm]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr

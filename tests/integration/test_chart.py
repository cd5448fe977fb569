"""A real API server accepts each object of the chart, whatever its values are."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.api import Cluster
from tests.support.fixtures import REPOSITORY, Kwok
from tests.support.installation import helm_program

CHART = "helm/trainingjob-operator"
ALL_HANDLES = Path(__file__).parent / "chart_with_all_handles.yaml"
# The Prometheus operator's; its definitions are not in the cluster.
FOREIGN = "monitoring.coreos.com"


def rendered(namespace: str, *arguments: str) -> list[dict[str, Any]]:
    """The objects of a release whose definitions the cluster has."""
    command = (helm_program(), "template", "tj", CHART, f"--namespace={namespace}", *arguments)
    made = subprocess.run(
        command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    objects = [one for one in yaml.safe_load_all(made) if one]
    return [one for one in objects if FOREIGN not in one["apiVersion"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set=mlflow.trackingUri=https://mlflow.example.com",),
        ("--set=mlflow.demo.enabled=true,mlflow.demo.persistence.enabled=true",),
        ("--set=mlflow.demo.enabled=true,strategy.type=Recreate",),
        (f"--values={ALL_HANDLES}",),
        (f"--values={ALL_HANDLES}", "--set=serviceAccount.create=false"),
        (f"--values={ALL_HANDLES}", "--set=watchNamespaces={default}"),
    ],
)
def test_the_api_server_takes_every_object(
    kwok: Kwok, cluster: Cluster, arguments: tuple[str, ...]
) -> None:
    objects = rendered(cluster.namespace, *arguments)
    # A dry run creates none, and without it the pod of `helm test` would be refused.
    [account] = {one["spec"]["serviceAccountName"] for one in objects if one["kind"] == "Pod"}
    kwok.kubectl("create", "serviceaccount", account, f"--namespace={cluster.namespace}")
    apply = ("apply", "--server-side", "--force-conflicts", "--dry-run=server")
    given = yaml.safe_dump_all(objects)
    printed = kwok.kubectl(*apply, "--validate=strict", "--filename=-", stdin=given)
    assert len(printed.splitlines()) == len(objects)


def test_the_first_job_of_the_notes_is_a_valid_one(kwok: Kwok) -> None:
    arguments = ("--set=mlflow.trackingUri=https://mlflow.example.com", "--dry-run=client")
    notes = subprocess.run(
        (helm_program(), "install", "tj", CHART, "--namespace=ns", *arguments),
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    job = notes.split("<<EOF\n")[1].split("\nEOF\n")[0]
    assert kwok.kubectl("apply", "--dry-run=server", "--filename=-", stdin=job) == (
        "trainingjob.trainingjob.dev/mnist created (server dry run)\n"
    )

"""Names, labels, the ServiceAccount, registries, and the chart as a dependency of another."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Objects = dict[tuple[str, str], dict[str, Any]]
Render = Callable[..., Objects]
Template = Callable[..., subprocess.CompletedProcess[str]]

NAME = "trainingjob-operator"
ALL = ("mlflow.demo.enabled=true", "replicas=2", "networkPolicy.enabled=true")
PARENT = """\
apiVersion: v2
name: platform
version: 1.0.0
dependencies:
  - name: trainingjob-operator
    version: 0.1.0
    condition: trainingjob-operator.enabled
"""


def account(objects: Objects) -> set[str]:
    """The ServiceAccounts of the pods and of all bindings."""
    pods = [
        one["spec"]["template"]["spec"]
        for (kind, _), one in objects.items()
        if kind == "Deployment"
    ]
    subjects = [one for found in objects.values() for one in found.get("subjects", [])]
    return {*(one["serviceAccountName"] for one in pods), *(one["name"] for one in subjects)}


def find_selector(one: dict[str, Any]) -> Any:
    spec = one.get("spec", {})
    return spec.get("selector", spec.get("podSelector"))


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((), NAME),
        (('nameOverride="tj"',), "trainingjob-operator-tj"),
        (('nameOverride="operator"',), NAME),
        (('fullnameOverride="tj"',), "tj"),
    ],
)
def test_names(render: Render, values: tuple[str, ...], name: str) -> None:
    objects = render(*values)
    kinds = ("Deployment", "Service", "ServiceAccount", "Role", "ClusterRole")
    assert {(kind, name) for kind in kinds} <= objects.keys()
    [container] = objects["Deployment", name]["spec"]["template"]["spec"]["containers"]
    assert {"name": "TRAININGJOB_OPERATOR_INSTALLATION", "value": name} in container["env"]
    assert account(objects) == {name}


def test_a_service_account_that_exists_gets_the_rights(render: Render) -> None:
    objects = render('serviceAccount={"create":false,"name":"given"}')
    assert account(objects) == {"given"}
    assert not [kind for kind, _ in objects if kind == "ServiceAccount"]


def test_the_service_account_has_its_name_and_annotations(render: Render) -> None:
    objects = render('serviceAccount={"name":"own","annotations":{"iam.example.com/role":"a"}}')
    assert account(objects) == {"own"}
    assert objects["ServiceAccount", "own"]["metadata"]["annotations"] == {
        "iam.example.com/role": "a"
    }


def test_common_labels_are_on_all_objects_and_no_selector(render: Render) -> None:
    objects = render(*ALL, 'commonLabels={"team":"ml"}', 'podLabels={"team":"platform"}')
    labels = {key: one["metadata"]["labels"] for key, one in objects.items()}
    assert {key for key, one in labels.items() if one.get("team") != "ml"} == set()
    selectors = [find_selector(one) for one in objects.values()]
    assert selectors == [find_selector(one) for one in render(*ALL).values()]
    template = objects["Deployment", NAME]["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "platform"


def test_the_registry_of_a_parent_chart_holds_for_all_images(render: Render) -> None:
    objects = render(
        "mlflow.demo.enabled=true", 'global.imageRegistry="registry.example.com/mirror/"'
    )
    containers = [
        one["spec"]["template"]["spec"]["containers"][0]
        for (kind, _), one in sorted(objects.items())
        if kind == "Deployment"
    ]
    agent = {one["name"]: one.get("value") for one in containers[1]["env"]}
    mirror = "registry.example.com/mirror/trainingjob"
    assert [one["image"] for one in containers] == [
        f"{mirror}/trainer:0.1.0",
        f"{mirror}/operator:0.1.0",
    ]
    assert agent["TRAININGJOB_OPERATOR_AGENT_IMAGE"] == f"{mirror}/agent:0.1.0"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            ("serviceAccount.create=false",),
            "name the ServiceAccount that exists in serviceAccount.name",
        ),
        (
            ('global.imageRegistry="a.io"', 'image.repository="b.io/operator"'),
            "global.imageRegistry is a.io, and the repository b.io/operator names a registry, too",
        ),
        (
            ("replicas=2", 'podDisruptionBudget={"minAvailable":1,"maxUnavailable":1}'),
            "podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both set",
        ),
        (('commonLabels={"helm.sh/chart":"a"}',), "commonLabels"),
        (('podLabels={"app.kubernetes.io/name":"a"}',), "podLabels"),
        (('fullnameOverride="Upper"',), "fullnameOverride"),
        (('strategy.type="OnDelete"',), "strategy"),
        (('probes.liveness={"httpGet":{}}',), "additional properties 'httpGet' not allowed"),
        (('topologySpreadConstraints=[{"maxSkew":1}]',), "topologySpreadConstraints"),
    ],
)
def test_what_cannot_be_is_refused(
    template: Template, values: tuple[str, ...], message: str
) -> None:
    answer = template('mlflow.trackingUri="https://mlflow.example.com"', *values)
    assert answer.returncode != 0
    assert message in answer.stderr


@pytest.mark.parametrize("enabled", [True, False])
def test_a_parent_chart_switches_it_on_and_off(
    helm: str, chart: Path, tmp_path: Path, enabled: bool
) -> None:
    (tmp_path / "Chart.yaml").write_text(PARENT)
    shutil.copytree(chart, tmp_path / "charts" / NAME)
    values = {
        "global": {"imageRegistry": "registry.example.com", "others": {"of": "the parent"}},
        NAME: {"enabled": enabled, "mlflow": {"trackingUri": "https://mlflow.example.com"}},
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    command = [helm, "template", "platform", str(tmp_path), "--namespace=ns"]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    objects = [one for one in yaml.safe_load_all(made) if one]
    images = [
        one["spec"]["template"]["spec"]["containers"][0]["image"]
        for one in objects
        if one["kind"] == "Deployment"
    ]
    assert images == (["registry.example.com/trainingjob/operator:0.1.0"] if enabled else [])
    assert bool(objects) is enabled

"""The chart for some namespaces: Roles in each, and nothing of the whole cluster."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

Template = Callable[..., subprocess.CompletedProcess[str]]

NAME = "trainingjob-operator"
SUBJECT = {"kind": "ServiceAccount", "name": NAME, "namespace": "ns"}


@pytest.fixture
def objects(template: Template) -> list[dict[str, Any]]:
    result = template(
        'mlflow.trackingUri="https://mlflow.example.com"',
        'watchNamespaces=["team-a","team-b"]',
        "monitoring.podMonitor.enabled=true",
    )
    assert result.returncode == 0, result.stderr
    return [document for document in yaml.safe_load_all(result.stdout) if document]


def of(objects: list[dict[str, Any]], kind: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = [one for one in objects if one["kind"] == kind]
    return {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in found}


def without(rules: list[dict[str, Any]], resource: str) -> list[dict[str, Any]]:
    """The rules without a resource of the whole cluster."""
    left = [
        {**rule, "resources": [one for one in rule["resources"] if one != resource]}
        for rule in rules
    ]
    return [rule for rule in left if rule["resources"]]


def test_only_the_definitions_are_of_the_whole_cluster(objects: list[dict[str, Any]]) -> None:
    assert {one["kind"] for one in objects if "namespace" not in one["metadata"]} == {
        "CustomResourceDefinition"
    }


def test_each_namespace_has_the_rights_of_the_operator_and_of_users(
    objects: list[dict[str, Any]], template: Template
) -> None:
    roles = of(objects, "Role")
    names = (f"{NAME}-jobs", f"{NAME}-edit", f"{NAME}-view", f"{NAME}-runtimes-edit")
    watched = {(team, name) for team in ("team-a", "team-b") for name in names}
    assert roles.keys() == {("ns", NAME), *watched}
    everywhere = yaml.safe_load_all(template('mlflow.trackingUri="https://m"').stdout)
    wide = {one["metadata"]["name"]: one for one in everywhere if one["kind"] == "ClusterRole"}
    for team, name in watched:
        everywhere_too = wide[name.removesuffix("-jobs")]["rules"]
        assert roles[team, name]["rules"] == without(everywhere_too, "clustertrainingruntimes")
    assert roles["ns", NAME]["rules"][1] == {
        "apiGroups": [""],
        "resources": ["namespaces"],
        "resourceNames": ["ns"],
        "verbs": ["get"],
    }


def test_the_operator_is_bound_to_its_roles(objects: list[dict[str, Any]]) -> None:
    bindings = of(objects, "RoleBinding")
    assert {place: one["roleRef"]["name"] for place, one in bindings.items()} == {
        ("ns", NAME): NAME,
        ("team-a", f"{NAME}-jobs"): f"{NAME}-jobs",
        ("team-b", f"{NAME}-jobs"): f"{NAME}-jobs",
    }
    assert all(one["subjects"] == [SUBJECT] for one in bindings.values())


def test_operator_and_prometheus_look_there_only(objects: list[dict[str, Any]]) -> None:
    [deployment] = of(objects, "Deployment").values()
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables["TRAININGJOB_OPERATOR_WATCH_NAMESPACES"] == "team-a,team-b"
    [monitor] = of(objects, "PodMonitor").values()
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["team-a", "team-b"]}

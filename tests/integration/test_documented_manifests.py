"""The API server takes what the pages tell people to apply, and the chart what they give it."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.api import manifest
from tests.support.documented import REPOSITORY, Snippet, blocks
from tests.support.fixtures import Kwok
from tests.support.installation import helm_program

# Of other projects, whose definitions the cluster does not have.
FOREIGN = {"argoproj.io", "kubeflow.org", "trainer.kubeflow.org"}
CHART = REPOSITORY / "helm" / "trainingjob-operator"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
CRD = next(yaml.safe_load_all((REPOSITORY / "manifests" / "crd.yaml").read_text()))
FIELDS = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def kind(document: dict[str, Any]) -> str:
    """What a document of a page is a part of: an object, a TrainingJob or its spec, the values."""
    if "apiVersion" in document:
        group = document["apiVersion"].split("/")[0]
        return "foreign" if group in FOREIGN else "object"
    for name, fields in (
        ("job", {"spec", "status"}),
        ("parent chart", {"dependencies"}),
        ("values", VALUES.keys()),
        ("spec", FIELDS["spec"]["properties"].keys()),
    ):
        if document.keys() <= fields:
            return name
    return "unknown"


def documents() -> Iterator[tuple[Snippet, dict[str, Any]]]:
    for block in blocks("yaml"):
        for document in yaml.safe_load_all(block.text):
            yield block, document


def of_kind(*kinds: str) -> dict[str, dict[str, Any]]:
    """Those of these kinds, by page and line."""
    return {
        f"{block.page}:{block.line + index}": document
        for index, (block, document) in enumerate(documents())
        if kind(document) in kinds
    }


def apply(kwok: Kwok, one: dict[str, Any]) -> str:
    arguments = ("apply", "--dry-run=server", "--validate=strict", "--filename=-")
    return kwok.kubectl(*arguments, stdin=yaml.safe_dump(one))


def test_each_is_of_a_kind_that_is_tested() -> None:
    assert [str(block) for block, one in documents() if kind(one) == "unknown"] == []


@pytest.mark.parametrize("place", of_kind("object"))
def test_an_object_is_valid(kwok: Kwok, place: str) -> None:
    assert apply(kwok, of_kind("object")[place]).endswith("created (server dry run)\n")


@pytest.mark.parametrize("place", of_kind("job", "spec"))
def test_a_part_of_a_job_is_valid_within_one(kwok: Kwok, place: str) -> None:
    part = of_kind("job", "spec")[place]
    whole = manifest("documented")
    whole["spec"] |= part.get("spec", {} if "status" in part else part)
    assert apply(kwok, whole | {"status": part.get("status", {})}).endswith("(server dry run)\n")


@pytest.mark.parametrize("place", of_kind("values"))
def test_values_are_those_of_the_chart(place: str) -> None:
    given = yaml.safe_dump(of_kind("values")[place])
    server = "--set=mlflow.trackingUri=https://mlflow.example.com"
    command = (helm_program(), "template", "tj", str(CHART), server, "--values=-")
    made = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def test_a_parent_chart_names_a_value() -> None:
    [parent] = of_kind("parent chart").values()
    [dependency] = parent["dependencies"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert dependency["name"] == chart["name"]
    assert dependency["condition"].removeprefix(f"{chart['name']}.") in VALUES

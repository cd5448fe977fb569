"""The chart as a package: what Artifact Hub reads, and what is in the archive."""

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Render = Callable[..., dict[tuple[str, str], dict[str, Any]]]

HUB = "artifacthub.io/"


def annotations(chart: Path) -> dict[str, Any]:
    """The annotations for Artifact Hub, those with YAML in them as objects."""
    found = yaml.safe_load((chart / "Chart.yaml").read_text())["annotations"]
    return {name.removeprefix(HUB): yaml.safe_load(text) for name, text in found.items()}


def test_the_images_are_those_of_the_default_values(render: Render, chart: Path) -> None:
    objects = render("mlflow.demo.enabled=true")
    [operator], [demo] = (
        objects["Deployment", name]["spec"]["template"]["spec"]["containers"]
        for name in ("trainingjob-operator", "mlflow")
    )
    variables = {one["name"]: one.get("value") for one in operator["env"]}
    assert annotations(chart)["images"] == [
        {"name": "operator", "image": operator["image"]},
        {"name": "agent", "image": variables["TRAININGJOB_OPERATOR_AGENT_IMAGE"]},
        {"name": "trainer", "image": demo["image"]},
    ]


def test_the_definitions_are_those_of_the_chart(chart: Path) -> None:
    definitions = list(yaml.safe_load_all((chart / "files" / "crd.yaml").read_text()))
    listed = [
        {"kind": one["kind"], "name": one["name"], "version": one["version"]}
        for one in annotations(chart)["crds"]
    ]
    assert listed == [
        {
            "kind": one["spec"]["names"]["kind"],
            "name": one["metadata"]["name"],
            "version": one["spec"]["versions"][0]["name"],
        }
        for one in definitions
    ]


def test_changes_have_the_kinds_of_artifact_hub(chart: Path) -> None:
    kinds = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    changes = annotations(chart)["changes"]
    assert changes
    assert all(one["kind"] in kinds and one["description"] for one in changes)


def test_the_package_has_the_chart_and_nothing_else(helm: str, chart: Path, tmp_path: Path) -> None:
    subprocess.run([helm, "package", str(chart), f"--destination={tmp_path}"], check=True)
    with tarfile.open(tmp_path / "trainingjob-operator-0.1.0.tgz") as package:
        names = {Path(name) for name in package.getnames()}
    files = {path.relative_to(chart.parent) for path in chart.rglob("*") if path.is_file()}
    assert names == files

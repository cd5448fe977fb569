"""The chart as a release publishes it: images of the registry, by digest."""

import subprocess
from pathlib import Path

import yaml

from release import chart as releasing

REGISTRY = "registry.example.com/team"
DIGESTS = {name: f"sha256:{str(index) * 64}" for index, name in enumerate(releasing.IMAGES)}


def test_the_package_names_all_images_by_digest(helm: str, tmp_path: Path) -> None:
    package = releasing.package(helm, REGISTRY, DIGESTS, tmp_path)
    options = ("--namespace=ns", "--set=mlflow.demo.enabled=true")
    made = subprocess.run(
        (helm, "template", "tj", str(package), *options),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    containers = [
        one["spec"]["template"]["spec"]["containers"][0]
        for one in yaml.safe_load_all(made)
        if one and one["kind"] == "Deployment"
    ]
    images = {one["name"]: one["image"] for one in containers}
    assert images == {
        "operator": f"{REGISTRY}/operator@{DIGESTS['operator']}",
        "mlflow": f"{REGISTRY}/trainer@{DIGESTS['trainer']}",
    }
    [operator] = [one for one in containers if one["name"] == "operator"]
    agent = {one["name"]: one.get("value") for one in operator["env"]}
    assert agent["TRAININGJOB_OPERATOR_AGENT_IMAGE"] == f"{REGISTRY}/agent@{DIGESTS['agent']}"


def test_artifact_hub_sees_the_same_registry(helm: str, tmp_path: Path) -> None:
    package = releasing.package(helm, REGISTRY, {}, tmp_path)
    command = (helm, "show", "chart", str(package))
    shown = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    annotations = yaml.safe_load(shown)["annotations"]
    images = yaml.safe_load(annotations["artifacthub.io/images"])
    assert [one["image"] for one in images] == [
        f"{REGISTRY}/{name}:0.1.0" for name in releasing.IMAGES
    ]

"""docs/compatibility.md says what CI runs: the matrix of the workflow with the pinned versions."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import yaml
from localcluster.paths import TOOL_MODULES
from localcluster.programs import KUBERNETES_CHOICE, KUBERNETES_VERSIONS

from release.version import ROOT

PAGE = ROOT / "docs" / "compatibility.md"
OLDEST_MLFLOW = ROOT / "tests" / "oldest_mlflow" / "requirements.txt"
CLUSTERS = {
    "integration": "embedded, fake nodes",
    "e2e": "kind, a real node",
    "e2e-without-docker": "embedded, a real node",
}


def pinned(module: str, path: str) -> str:
    """The version of a Go module that a module of localcluster pins, without its `v`."""
    (version,) = re.findall(
        rf"^\t{re.escape(path)} v([\d.]+)", (TOOL_MODULES / module / "go.mod").read_text(), re.M
    )
    return str(version)


def kubernetes(minor: str) -> str:
    found = {
        version.rpartition(".")[0]: version
        for module in TOOL_MODULES.glob("kubernetes*")
        for version in [pinned(module.name, "k8s.io/kubernetes")]
    }
    return found[minor]


def mlflow(choice: str) -> tuple[str, str]:
    """The MLflow of servers and of trainers with `make integration MLFLOW=` this."""
    if choice == "newest":
        packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
        (newest,) = (one["version"] for one in packages if one["name"] == "mlflow")
        return newest, newest
    (oldest,) = re.findall(r"^mlflow==([\d.]+)", OLDEST_MLFLOW.read_text(), re.M)
    return oldest, oldest


def jobs() -> dict[str, Any]:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text())
    found: dict[str, Any] = workflow["jobs"]
    return found


def cells() -> Iterator[tuple[str, ...]]:
    """A row of the page for each cell of the matrix."""
    newest_kubernetes = kubernetes(KUBERNETES_VERSIONS[0])
    for cell in jobs()["unit"]["strategy"]["matrix"]["include"]:
        yield ("unit", "none", "", cell["python"], "", mlflow("newest")[1])
    for cell in jobs()["integration"]["strategy"]["matrix"]["include"]:
        versions = (kubernetes(cell["kubernetes"]), cell["python"], *mlflow(cell["mlflow"]))
        yield ("integration", CLUSTERS["integration"], *versions)
    of_kind = f"that of kind {pinned('kind', 'sigs.k8s.io/kind')}"
    for job, version in (("e2e", of_kind), ("e2e-without-docker", newest_kubernetes)):
        (python,) = (
            step["with"]["python-version"]
            for step in jobs()[job]["steps"]
            if "setup-python" in step.get("uses", "")
        )
        yield ("e2e", CLUSTERS[job], version, python, *mlflow("newest"))


def rows() -> list[tuple[str, ...]]:
    """The table under "What CI runs" without its head."""
    _, _, section = PAGE.read_text().partition("## What CI runs")
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def test_the_page_has_a_row_for_each_cell() -> None:
    assert rows() == list(cells())


def test_the_jobs_hand_their_cells_to_the_tests() -> None:
    integration = jobs()["integration"]
    assert integration["env"] == {
        KUBERNETES_CHOICE: "${{ matrix.kubernetes }}",
        "UV_PYTHON": "${{ matrix.python }}",
    }
    assert integration["steps"][-1]["run"] == "make integration MLFLOW=${{ matrix.mlflow }}"
    assert jobs()["unit"]["env"] == {"UV_PYTHON": "${{ matrix.python }}"}


def test_the_matrix_has_every_version_that_the_local_cluster_can_run() -> None:
    run = {cell["kubernetes"] for cell in jobs()["integration"]["strategy"]["matrix"]["include"]}
    assert run == set(KUBERNETES_VERSIONS)


def test_the_oldest_versions_are_those_that_chart_and_packages_ask_for() -> None:
    chart = yaml.safe_load((ROOT / "helm" / "trainingjob-operator" / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={min(KUBERNETES_VERSIONS)}.0-0"
    trainer = tomllib.loads((ROOT / "trainer_image" / "trainer" / "pyproject.toml").read_text())
    assert f"mlflow>={mlflow('oldest')[1]},<4" in trainer["project"]["dependencies"]
    cells_of_unit = jobs()["unit"]["strategy"]["matrix"]["include"]
    oldest_python = min(cell["python"] for cell in cells_of_unit)
    for package in ("operator", "trainer_image/trainer", "client", "localcluster"):
        asked = tomllib.loads((ROOT / package / "pyproject.toml").read_text())["project"]
        assert asked["requires-python"] == f">={oldest_python}"

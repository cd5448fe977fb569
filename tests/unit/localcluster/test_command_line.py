import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from localcluster.__main__ import parser
from localcluster.commands_for_users import MLFLOW_NODE_PORT
from localcluster.errors import ClusterError, UnsupportedMachineError
from localcluster.paths import REPOSITORY
from localcluster.programs import KUBERNETES_CHOICE

from localcluster import debian, embedded, kind, kwok

README = REPOSITORY / "localcluster" / "README.md"


def test_the_commands_of_the_readme() -> None:
    documented = re.findall(r"\.venv/bin/localcluster (.*?)(?:\)\"|  |$)", README.read_text(), re.M)
    assert len(documented) >= 8
    for line in documented:
        for words in (re.sub(r"\[.*?\]", "", line), re.sub(r"[][]|\|\w+", "", line)):
            assert callable(parser().parse_args(words.split()).run), words


def test_the_real_node_is_the_default_and_arguments_of_a_build_add_up() -> None:
    assert parser().parse_args(["up"]).profile == "node"
    assert parser().parse_args(["build", "--build-arg", "A=1", "--build-arg", "B=2"]).build_arg == [
        "A=1",
        "B=2",
    ]


def test_env_of_a_cluster_that_is_down(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "localcluster", "env", "--profile", "kwok"],
        env={"TRAININGJOB_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (
        1,
        "",
        "localcluster: the kwok cluster is down: localcluster up --profile kwok\n",
    )


def test_a_real_node_needs_docker_or_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnsupportedMachineError, match="neither"):
        debian.require_root()
    assert UnsupportedMachineError.exit_code == 2


def test_missing_packages() -> None:
    programs = {"sh": "dash", "no-such-program": "b", "/no/such/file": "a", "/bin/sh": "dash"}
    assert debian.missing_packages(programs, "/usr/bin:/bin") == ["a", "b"]


def test_kind_has_the_port_of_mlflow_on_loopback_only() -> None:
    (node,) = yaml.safe_load(kind.config())["nodes"]
    assert {
        (mapping["hostPort"], mapping["containerPort"], mapping["listenAddress"])
        for mapping in node["extraPortMappings"]
    } == {(MLFLOW_NODE_PORT, MLFLOW_NODE_PORT, "127.0.0.1")}


def test_the_node_profile_runs_the_newest_kubernetes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KUBERNETES_CHOICE, "1.34")
    with pytest.raises(ClusterError, match=r"=1\.34 is for the kwok profile; .*: unset"):
        embedded.require_machine("node")
    embedded.require_machine("kwok")


def test_kwok_has_nodes_with_and_without_gpus() -> None:
    nodes = list(yaml.safe_load_all(kwok.nodes()))
    assert {
        node["metadata"]["name"]: node["status"]["capacity"].get("nvidia.com/gpu") for node in nodes
    } == {"fake-cpu-0": None, "fake-cpu-1": None, "fake-gpu-0": "8", "fake-gpu-1": "8"}
    assert sum(int(node["status"]["capacity"]["pods"]) for node in nodes) >= 10_000

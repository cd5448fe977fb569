import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from localcluster.__main__ import parser
from localcluster.errors import UnsupportedMachineError

from localcluster import debian, kind, kwok


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("up", {"profile": "node"}),
        ("down --profile kwok", {"profile": "kwok"}),
        ("status --json", {"profile": "node", "json": True}),
        ("stop kubelet", {"profile": "node", "component": "kubelet"}),
        ("start kubelet", {"profile": "node", "component": "kubelet"}),
        ("logs -f kubelet", {"profile": "node", "component": "kubelet", "follow": True}),
        ("build trainer", {"images": ["trainer"], "build_arg": []}),
        ("build --build-arg A=1 --build-arg B=2", {"images": [], "build_arg": ["A=1", "B=2"]}),
        ("load", {"images": []}),
        ("load operator trainer", {"images": ["operator", "trainer"]}),
        ("tool helm", {"name": "helm"}),
    ],
)
def test_commands(line: str, expected: dict[str, object]) -> None:
    parsed = vars(parser().parse_args(line.split()))
    del parsed["run"]
    assert parsed == expected


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


def test_kind_maps_the_node_port_to_loopback() -> None:
    mapping = {"containerPort": 30500, "hostPort": 30500, "listenAddress": "127.0.0.1"}
    assert yaml.safe_load(kind.config()) == {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "extraPortMappings": [mapping]}],
    }


def test_kwok_has_nodes_with_and_without_gpus() -> None:
    nodes = list(yaml.safe_load_all(kwok.nodes()))
    assert {
        node["metadata"]["name"]: node["status"]["capacity"].get("nvidia.com/gpu") for node in nodes
    } == {"fake-cpu-0": None, "fake-cpu-1": None, "fake-gpu-0": "8", "fake-gpu-1": "8"}
    assert sum(int(node["status"]["capacity"]["pods"]) for node in nodes) >= 10_000


def test_kwok_is_given_all_stages() -> None:
    documents = list(yaml.safe_load_all(kwok.config()))
    assert [(d["kind"], d.get("metadata", {}).get("name")) for d in documents] == [
        ("KwokConfiguration", None),
        ("Stage", "node-ready"),
        ("Stage", "pod-deadline"),
        ("Stage", "pod-delete"),
        ("Stage", "pod-end"),
        ("Stage", "pod-start"),
        ("Stage", "pod-stop"),
    ]

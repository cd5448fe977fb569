"""`mlflow run --backend trainingjob`: MLflow finds it, and what its configuration may have."""

import json
from importlib.metadata import entry_points
from typing import Any

import pytest
from trainingjob.errors import UserError
from trainingjob.mlflow_backend import Backend, options


def test_mlflow_finds_it_by_its_name() -> None:
    [found] = entry_points(group="mlflow.project_backend", name="trainingjob")
    assert found.load() is Backend


MLFLOWS = json.loads('{"ENV_MANAGER": "local", "SYNCHRONOUS": true, "STORAGE_DIR": null}')


@pytest.mark.parametrize(
    ("config", "docker_env", "variable", "expected"),
    [
        ({"image": "a", "nodes": 2}, {"image": "b"}, "c", {"image": "a", "nodes": 2}),
        ({"namespace": "ml"}, {"image": "b"}, "c", {"image": "b", "namespace": "ml"}),
        ({}, {}, "c", {"image": "c"}),
        ({"runtime": "nvidia"}, {}, "", {"runtime": "nvidia", "image": ""}),
    ],
)
def test_options(
    config: dict[str, Any],
    docker_env: dict[str, str],
    variable: str,
    expected: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRAININGJOB_IMAGE", variable)
    assert options({**config, **MLFLOWS}, docker_env) == expected


def test_a_configuration_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAININGJOB_IMAGE", raising=False)
    with pytest.raises(UserError, match="the backend's configuration has kube-context, repo: it"):
        options({"image": "i", "repo": "r", "kube-context": "c"}, {})
    with pytest.raises(UserError, match="no image: name one as image of the backend's"):
        options({}, {})

from dataclasses import replace
from pathlib import Path

import pytest
from localcluster.gobuild import cache_key, parse_version, required_go, uv_program
from localcluster.paths import REPOSITORY, TOOL_MODULES
from localcluster.programs import TOOLS, Tool

TOOL = Tool("x", "x", "example.org/x")


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "go.mod").write_text("module x\n\ngo 1.26.0\n")
    (tmp_path / "x" / "go.sum").write_text("sums")
    return tmp_path


def test_the_key_depends_on_all_that_determines_the_binary(modules: Path) -> None:
    keys = [cache_key(TOOL, modules), cache_key(replace(TOOL, tags="t"), modules)]
    (modules / "x" / "go.sum").write_text("other sums")
    keys.append(cache_key(TOOL, modules))
    (modules / "x" / "main.go").write_text("package main")
    keys.append(cache_key(TOOL, modules))
    assert len(set(keys)) == 4


def test_the_key_does_not_depend_on_notes(modules: Path) -> None:
    before = cache_key(TOOL, modules)
    (modules / "x" / "README.md").write_text("note")
    assert cache_key(TOOL, modules) == before


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8\n", (1, 26, 8)), ("1.26", (1, 26)), ("", ())],
)
def test_versions_of_go(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


def test_every_tool_is_pinned() -> None:
    for tool in TOOLS.values():
        assert (TOOL_MODULES / tool.module / "go.mod").exists(), tool.name
    assert required_go() >= (1, 26)


def test_uv_is_that_of_make_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("UV", raising=False)
    assert uv_program() == str(REPOSITORY / ".tools" / "bin" / "uv")
    # A version manager's shim without a uv behind it.
    (tmp_path / "uv").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "uv").chmod(0o755)
    assert uv_program() == str(REPOSITORY / ".tools" / "bin" / "uv")
    (tmp_path / "uv").write_text("#!/bin/sh\nexit 0\n")
    assert uv_program() == "uv"
    monkeypatch.setenv("UV", "/opt/uv")
    assert uv_program() == "/opt/uv"

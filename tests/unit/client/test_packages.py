"""Packages that a pod installs before its command: over those of the image, with any pip."""

import json
import os
import subprocess
import sys
import zipfile
from importlib import resources
from pathlib import Path

import pytest

PREAMBLE = resources.files("trainingjob.pod").joinpath("preamble.py").read_text()
SHOWING = "import greeting, sys; print(greeting.TEXT, greeting.__file__, sys.executable)"


def wheel(directory: Path, version: str, requires: str = "") -> Path:
    """A wheel of the package `greeting`, which has a program, too."""
    file = directory / f"greeting-{version}-py3-none-any.whl"
    info = f"greeting-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("greeting.py", f"TEXT = 'hello {version}'\ndef main(): print(TEXT)\n")
        archive.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n{needs}",
        )
        archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\ngreet = greeting:main\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return file


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an image: a virtual environment without pip, with a package of its own."""
    directory = tmp_path_factory.mktemp("image")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    [site] = directory.glob("lib/python*/site-packages")
    (site / "torch.py").write_text("VERSION = 1\n")
    (site / "torch-1.0.dist-info").mkdir()
    (site / "torch-1.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 1.0\n")
    return directory


def in_the_pod(
    image: Path, target: Path, packages: list[str], command: list[str]
) -> "subprocess.CompletedProcess[str]":
    settings = {"directory": str(target), "packages": packages, "environment": str(target / "own")}
    return subprocess.run(
        [str(image / "bin" / "python3"), "-c", PREAMBLE, json.dumps(settings), *command],
        env={
            "PATH": f"{image / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "PIP_NO_INDEX": "1",
            "TRAININGJOB_TERMINATION_LOG": str(target / "termination-log"),
        },
        cwd=target,
        capture_output=True,
        text=True,
        check=False,
    )


def test_they_are_there_for_every_python_of_the_command(image: Path, tmp_path: Path) -> None:
    wheel(tmp_path, "1.0", requires="torch>=1")
    command = ["sh", "-c", f"python -c '{SHOWING}'; greet; python -c 'import torch'"]
    done = in_the_pod(image, tmp_path, ["./greeting-1.0-py3-none-any.whl"], command)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "tj: installing ./greeting-1.0-py3-none-any.whl"
    # torch is not fetched again: there is no index here.
    assert "Successfully installed greeting-1.0" in lines
    text, _, shown = lines[-2].rpartition(f" {tmp_path}/own/")[0], "", lines[-2]
    assert text == "hello 1.0"
    assert shown.endswith(f" {image}/bin/python")
    assert lines[-1] == "hello 1.0"


def test_a_pip_that_does_not_work_with_the_python_of_the_image_is_not_used(
    image: Path, tmp_path: Path
) -> None:
    wheel(tmp_path, "1.0")
    pip = image / "bin" / "pip"
    pip.write_text("#!/bin/sh\necho 'no attribute ImpImporter' >&2\nexit 2\n")
    pip.chmod(0o755)

    done = in_the_pod(image, tmp_path, ["./greeting-1.0-py3-none-any.whl"], ["greet"])

    pip.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "hello 1.0"


def test_one_that_cannot_be_installed_ends_the_pod(image: Path, tmp_path: Path) -> None:
    done = in_the_pod(image, tmp_path, ["greeting>=2"], ["echo", "trained"])
    message = (
        "the packages cannot be installed: ERROR: No matching distribution found for greeting>=2"
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"tj: {message}")
    assert (tmp_path / "termination-log").read_text() == message
    assert "trained" not in done.stdout

"""Packages that a pod installs before its command: beside those of the image, by uv or any pip."""

import json
import os
import subprocess
import sys
import zipfile
from importlib import resources
from pathlib import Path

import pytest
from localcluster.gobuild import uv_program
from trainingjob.pod import preamble

PREAMBLE = resources.files("trainingjob.pod").joinpath("preamble.py").read_text()
Environment = dict[str, str]
SHOWING = "import greeting, sys; print(greeting.TEXT, greeting.__file__, sys.executable)"


def wheel(directory: Path, version: str, requires: str = "", name: str = "greeting") -> Path:
    """A wheel of a package, which has a program, too."""
    file = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", f"TEXT = 'hello {version}'\ndef main(): print(TEXT)\n")
        archive.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        )
        archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\ngreet = greeting:main\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return file


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an image: a virtual environment without pip, with packages of its own."""
    directory = tmp_path_factory.mktemp("image")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    [site] = directory.glob("lib/python*/site-packages")
    (site / "torch.py").write_text("TEXT = 'of the image'\n")
    # As images have it that build it themselves.
    put(site, "torch", "2.1.0a0+32f93b1")
    return directory


def put(site: Path, name: str, version: str) -> None:
    """What an installed package leaves."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture(scope="module")
def installers(image: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Environment]:
    """The environment in an image with pip, and in one with uv; both without an index."""
    directory = tmp_path_factory.mktemp("uv")
    (directory / "uv").symlink_to(uv_program())
    return {
        "pip": {
            "PATH": os.pathsep.join([str(image / "bin"), "/usr/bin", "/bin"]),
            "PIP_NO_INDEX": "1",
        },
        "uv": {
            "PATH": os.pathsep.join([str(image / "bin"), str(directory)]),
            "UV_OFFLINE": "1",
        },
    }


def in_the_pod(
    image: Path, environment: Environment, target: Path, packages: list[str], command: list[str]
) -> "subprocess.CompletedProcess[str]":
    settings = {"directory": str(target), "packages": packages, "environment": str(target / "own")}
    return subprocess.run(
        [str(image / "bin" / "python3"), "-c", PREAMBLE, json.dumps(settings), *command],
        env={
            **environment,
            "HOME": str(target),
            "TRAININGJOB_TERMINATION_LOG": str(target / "termination-log"),
        },
        cwd=target,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("by", ["uv", "pip"])
def test_they_are_there_for_every_python_of_the_command(
    image: Path, installers: dict[str, Environment], tmp_path: Path, by: str
) -> None:
    wheel(tmp_path, "1.0", requires="torch>=1")
    showing_torch = "import torch; print(torch.TEXT)"
    command = ["/bin/sh", "-c", f"python -c '{SHOWING}'; greet; python -c '{showing_torch}'"]
    done = in_the_pod(image, installers[by], tmp_path, ["./greeting-1.0-py3-none-any.whl"], command)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "tj: installing ./greeting-1.0-py3-none-any.whl"
    report = {"pip": "Successfully installed greeting-1.0", "uv": "Installed 1 package in "}
    assert any(line.startswith(report[by]) for line in lines)
    found, hello, torch = lines[-3:]
    assert found.startswith(f"hello 1.0 {tmp_path}/own/")
    assert found.endswith(f" {image}/bin/python")
    # torch is not fetched again: there is no index here.
    assert (hello, torch) == ("hello 1.0", "of the image")


def test_a_pip_that_does_not_work_with_the_python_of_the_image_is_not_used(
    image: Path, installers: dict[str, Environment], tmp_path: Path
) -> None:
    wheel(tmp_path, "1.0")
    pip = image / "bin" / "pip"
    pip.write_text("#!/bin/sh\necho 'no attribute ImpImporter' >&2\nexit 2\n")
    pip.chmod(0o755)

    done = in_the_pod(
        image, installers["pip"], tmp_path, ["./greeting-1.0-py3-none-any.whl"], ["greet"]
    )

    pip.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "hello 1.0"


@pytest.mark.parametrize("by", ["uv", "pip"])
def test_what_the_image_has_is_replaced_if_it_is_asked_for_by_name(
    image: Path, installers: dict[str, Environment], tmp_path: Path, by: str
) -> None:
    wheel(tmp_path, "3.0", name="torch")
    command = ["/bin/sh", "-c", "python -c 'import torch; print(torch.TEXT)'"]
    done = in_the_pod(image, installers[by], tmp_path, ["./torch-3.0-py3-none-any.whl"], command)
    assert done.stdout.splitlines()[-1:] == ["hello 3.0"], done.stdout + done.stderr


@pytest.mark.parametrize(
    ("by", "message"),
    [
        (
            "uv",
            (
                "error: No solution found when resolving dependencies cause: Because "
                "greeting==1.0 depends on torch>=3 and torch==2.1.0a0+32f93b1, we can conclude "
                "that greeting==1.0 cannot be used. And because only greeting==1.0 is available "
                "and you require greeting, we can conclude that your requirements are "
                "unsatisfiable."
            ),
        ),
        (
            "pip",
            (
                "greeting 1.0 depends on torch>=3; The user requested (constraint) "
                "torch==2.1.0a0+32f93b1"
            ),
        ),
    ],
)
def test_no_other_is_replaced_for_the_sake_of_one(
    image: Path, installers: dict[str, Environment], tmp_path: Path, by: str, message: str
) -> None:
    wheel(tmp_path, "1.0", requires="torch>=3")
    wheel(tmp_path, "3.0", name="torch")
    packages = ["./greeting-1.0-py3-none-any.whl"]
    done = in_the_pod(image, installers[by], tmp_path, packages, ["echo", "trained"])
    told = f"the packages cannot be installed: {message}"
    assert (done.returncode, (tmp_path / "termination-log").read_text()) == (1, told)
    assert "trained" not in done.stdout


@pytest.mark.parametrize(
    ("by", "message"),
    [
        (
            "uv",
            (
                "error: No solution found when resolving dependencies cause: Because greeting was "
                "not found in the cache and you require greeting>=2, we can conclude that your "
                "requirements are unsatisfiable."
            ),
        ),
        ("pip", "ERROR: No matching distribution found for greeting>=2"),
    ],
)
def test_one_that_cannot_be_installed_ends_the_pod(
    image: Path, installers: dict[str, Environment], tmp_path: Path, by: str, message: str
) -> None:
    done = in_the_pod(image, installers[by], tmp_path, ["greeting>=2"], ["echo", "trained"])
    told = (tmp_path / "termination-log").read_text()
    assert told.startswith(f"the packages cannot be installed: {message}")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"tj: {told}")
    assert "trained" not in done.stdout


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("rich>=13", "rich"),
        ("Ruamel_Yaml[jinja2]==1.0; python_version>'3.8'", "ruamel-yaml"),
        ("torch @ https://host/torch-2.0-py3-none-any.whl", "torch"),
        ("./wheels/flash_attn-2.6.3+cu12-cp311-cp311-linux_x86_64.whl", "flash-attn"),
        ("git+https://host/x.git", "git"),
    ],
)
def test_the_package_that_a_requirement_is_for(package: str, name: str) -> None:
    assert preamble.name_of(package) == name


@pytest.mark.parametrize(
    ("settings", "version", "elsewhere", "line"),
    [
        ({}, "1.0", "", None),
        (
            {"PIP_INDEX_URL": "https://mirror.example.com/simple"},
            "1.0",
            "",
            "tj: by pip, which has settings, which uv does not read: PIP_INDEX_URL",
        ),
        ({}, "1.0-dirty", "", "tj: by pip, which takes versions that uv does not read: torch"),
        (
            {},
            "1.0",
            "of-debian",
            "tj: by pip, which sees packages of the image that uv does not see: of-debian",
        ),
    ],
)
def test_pip_installs_where_it_does_better_than_uv(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, str],
    version: str,
    elsewhere: str,
    line: str | None,
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(preamble, "PIP_FILES", (str(tmp_path / "pip.conf"),))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "own"))
    monkeypatch.setattr("shutil.which", lambda program: f"/bin/{program}")
    put(tmp_path / "own", "torch", version)
    sites = [tmp_path / "own"]
    if elsewhere:
        put(tmp_path / "other", elsewhere, "1.0")
        sites.append(tmp_path / "other")

    command = preamble.find_uv(preamble.installed([str(site) for site in sites]))
    assert command == ([] if line else ["/bin/uv"])
    assert capsys.readouterr().out == (f"{line}\n" if line else "")

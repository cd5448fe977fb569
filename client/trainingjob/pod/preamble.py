"""What runs in the pod before the command. Sent as text: standard library, Python 3.8 and later.

    python3 -c SOURCE SETTINGS COMMAND...

SETTINGS are JSON. `directory`: where the command runs. `code`: folder with the archive, or with the
place of it in MLflow; `sha256`: its hash before compression. `packages`: what uv or pip is to
install, into `environment`. The command gets the supervisors that the image has: tini, which
collects orphaned processes, and trainingjob-exec.
"""

from __future__ import annotations  # Python 3.8 has no dict[...]

import contextlib
import gzip
import hashlib
import importlib.metadata
import importlib.util
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import site
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from typing import NoReturn

_SAYS = "tj: "
_SUPERVISED = ("trainingjob-exec", "trainingjob-trainer", "tini")
_NOT_FOUND, _TERMINATED = 127, 143
_CHUNK_BYTES = 1 << 20
# The agent's: set for what it supervises; and by which it takes this program for a training that
# starts another one.
_UNDER_AGENT, _PARENTS_PLACE = "TRAININGJOB_SCRIPT_DIR", "TRAININGJOB_PLACE"
_TERMINATION_LOG = "TRAININGJOB_TERMINATION_LOG"
# MLflow reads a token; the agent, which has a plugin for the file, is not there yet.
_TOKEN_FILE, _TOKEN = "MLFLOW_TRACKING_TOKEN_FILE", "MLFLOW_TRACKING_TOKEN"
# Versions as PEP 440 writes them: uv reads no image, and pip no constraint, with anything else.
_VERSION = re.compile(
    r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9]+([._-][a-z0-9]+)*)?", re.I
)
_WHEEL = re.compile(r"([^/]+?)-\d[^/]*\.whl$")
_END_OF_NAME = re.compile(r"[^A-Za-z0-9._-]")
# Its releases write the place of a file in one or the other way.
_LACKING = re.compile(r" \+ ([^\s=]+)(?:==(\S+))?(?: \(from (.+)\)| @ (.+))?")
_CROSS = "\N{MULTIPLICATION SIGN}"
_CONFLICT, _ERRORS_OF_UV = "The conflict is caused by:", ("error:", _CROSS)
PIP_FILES = (
    *(f"{sys.prefix}/pip.conf", "/etc/pip.conf"),
    *("~/.config/pip/pip.conf", "~/.pip/pip.conf"),
)
_OTHER_LOGINS = (_TOKEN, "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_AUTH")


def main(settings: str, *command: str) -> None:
    """Unpack, check, install, and become the command."""
    # The first process of a container gets no signal that it has not asked for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(_TERMINATED))
    given = json.loads(settings)
    environment = {key: value for key, value in os.environ.items() if key != _PARENTS_PLACE}
    if "code" in given:
        unpack(pathlib.Path(given["code"]), given["sha256"], given["directory"])
        os.chdir(given["directory"])
    if given.get("packages"):
        install(given["packages"], given["environment"], environment)
    become(supervised(list(command)), environment)


def supervised(command: list[str]) -> list[str]:
    """Put the supervisors before a command that the image has and the command has not."""
    if _UNDER_AGENT in os.environ:
        return command
    program = pathlib.Path(command[0]).name
    if program not in _SUPERVISED:
        if shutil.which("trainingjob-exec"):
            command = ["trainingjob-exec", "--", *command]
        else:
            print(f"{_SAYS}the image has no trainingjob-exec: no system metrics", file=sys.stderr)
    if program != "tini" and shutil.which("tini"):
        command = ["tini", "--", *command]
    return command


def become(command: list[str], environment: dict[str, str]) -> None:
    """Run a command in place of this program."""
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - the command of the user, whatever it is
    except OSError as error:
        fail(f"cannot run {command[0]}: {error.strerror}", _NOT_FOUND)


def fail(message: str, code: int = 1) -> NoReturn:
    """End the pod, and say why in its log and as its termination message."""
    print(f"{_SAYS}{message}", file=sys.stderr)
    with contextlib.suppress(OSError):  # outside of a pod
        pathlib.Path(os.environ.get(_TERMINATION_LOG) or "/dev/termination-log").write_text(message)
    sys.exit(code)


def unpack(folder: pathlib.Path, sha256: str, directory: str) -> None:
    """Unpack the archive, if it is the one that was sent."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        place = folder / "code.json"
        archive = str(folder / "code.tar.gz")
        if place.exists():
            archive = fetch(json.loads(place.read_text()), scratch)
        digest = hashlib.sha256()
        with gzip.open(archive) as packed:
            for chunk in iter(lambda: packed.read(_CHUNK_BYTES), b""):
                digest.update(chunk)
        if digest.hexdigest() != sha256:
            fail(f"the code is not what was sent: its hash is {digest.hexdigest()}, not {sha256}")
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):  # not in the early releases of Python 3.8 to 3.11
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(directory)  # noqa: S202 - the hash says that it is our own


def fetch(place: dict[str, str], directory: str) -> str:
    """Download the archive from the artifacts of a run; return where it is."""
    try:
        from mlflow import MlflowClient
    except ImportError:
        fail(
            "the code is in MLflow, and python3 of the image has no mlflow to fetch it: install "
            "trainingjob-agent there, or send less code"
        )
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    if os.environ.get(_TOKEN_FILE) and not any(os.environ.get(login) for login in _OTHER_LOGINS):
        os.environ[_TOKEN] = pathlib.Path(os.environ[_TOKEN_FILE]).read_text().strip()
    try:
        return str(MlflowClient().download_artifacts(place["run"], place["path"], directory))
    except Exception as error:  # noqa: BLE001 - MLflow's client may raise anything
        fail(f"the code cannot be fetched from the artifacts of run {place['run']}: {error}")


def install(packages: list[str], directory: str, environment: dict[str, str]) -> None:
    """Install packages over those of the image, for all Python processes of the command."""
    print(f"{_SAYS}installing {', '.join(packages)}", flush=True)
    # A virtual environment that sees the image's packages: what is there is not fetched again.
    check(sys.executable, "-m", "venv", "--without-pip", directory)
    programs = pathlib.Path(directory, "bin")
    python = str(programs / "python")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = subprocess.check_output([python, "-I", "-c", where], universal_newlines=True).strip()
    pathlib.Path(own, "image.pth").write_text("\n".join([*site.getsitepackages(), ""]))
    image = installed(site.getsitepackages())
    kept = pathlib.Path(directory, "image.txt")
    named = {name_of(package) for package in packages}
    pins = [f"{one}=={version}\n" for one, version in image.items()
            if one not in named and _VERSION.fullmatch(version)]  # fmt: skip
    kept.write_text("".join(pins))
    uv, limits = find_uv(image), ["--constraint", str(kept)] if pins else []
    if uv:
        install_by_uv(uv, python, limits, packages)
    else:
        check(*pip(python), "install", "--no-cache-dir", "--no-input",
              "--disable-pip-version-check", *limits, "--", *packages)  # fmt: skip
    # Whatever Python a script such as torchrun begins with.
    for variable, path in (("PYTHONPATH", own), ("PATH", str(programs))):
        before = environment.get(variable)
        environment[variable] = f"{before}{os.pathsep}{path}" if before else path


def installed(sites: list[str]) -> dict[str, str]:
    """Return the versions of the packages in some directories."""
    versions: dict[str, str] = {}
    for one in importlib.metadata.distributions(path=sites):
        if one.metadata["Name"]:
            versions.setdefault(normalized(one.metadata["Name"]), one.version or "")
    return versions


def name_of(package: str) -> str:
    """Return the name of the package that a requirement, or the path of a wheel, is for."""
    wheel = _WHEEL.search(package)
    return normalized(wheel[1] if wheel else _END_OF_NAME.split(package, maxsplit=1)[0])


def normalized(name: str) -> str:
    """Return a name as those of packages are compared."""
    return re.sub("[-_.]+", "-", name).lower()


def find_uv(image: dict[str, str]) -> list[str]:
    """Return the command of the image's uv, unless its pip does better."""
    program = shutil.which("uv")
    module = [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else []
    command = [program] if program else module
    # Python brings a pip along, for a job that has settings for one.
    brought = pip_variables() and importlib.util.find_spec("ensurepip")
    if not command or not (importlib.util.find_spec("pip") or shutil.which("pip") or brought):
        return command
    seen = installed([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    for obstacle, reason in (
        (pip_settings(), "has settings, which uv does not read"),
        (image.keys() - seen.keys(), "sees packages of the image that uv does not see"),
        (
            [one for one, version in image.items() if not _VERSION.fullmatch(version)],
            "takes versions that uv does not read",
        ),
    ):
        if obstacle:
            print(f"{_SAYS}by pip, which {reason}: {', '.join(sorted(obstacle))}", flush=True)
            return []
    return command


def pip_settings() -> list[str]:
    """Return the variables and files that say where pip gets packages from."""
    files = [file for file in PIP_FILES if pathlib.Path(file).expanduser().exists()]
    return [*files, *pip_variables()]


def pip_variables() -> list[str]:
    """Return the variables that are settings of pip."""
    return [name for name in os.environ if name.startswith("PIP_")]


def install_by_uv(uv: list[str], python: str, limits: list[str], packages: list[str]) -> None:
    """Install what the image lacks.

    uv does not see the image's packages from a virtual environment. So it is asked what it would
    install into the image, and installs just that.
    """
    # Beside the packages, which become links to it.
    os.environ.setdefault("UV_CACHE_DIR", str(pathlib.Path(python).parents[1] / "cache"))
    lacking = check(*uv, "pip", "install", "--dry-run", "--python", sys.executable,
                    "--break-system-packages", *limits, "--", *packages)  # fmt: skip
    found = [found for found in map(_LACKING.fullmatch, lacking) if found]
    wanted = [
        f"{one[1]} @ {one[3] or one[4]}" if one[3] or one[4] else f"{one[1]}=={one[2]}"
        for one in found
    ]
    if wanted:
        check(*uv, "pip", "install", "--no-deps", "--python", python, "--", *wanted)


def pip(python: str) -> list[str]:
    """Return the command of a pip that installs for `python`."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", python]
    program = shutil.which("pip") or shutil.which("pip3")
    # That of another Python may be too old for this one, which it says only when it looks around.
    if program and works(program, "--python", python, "list"):
        return [program, "--python", python]
    check(python, "-m", "ensurepip")
    return [python, "-m", "pip"]


def works(*command: str) -> bool:
    """Whether a command succeeds; its output goes nowhere."""
    quiet = subprocess.DEVNULL
    return subprocess.call(command, stdin=quiet, stdout=quiet, stderr=quiet) == 0


def check(*command: str) -> list[str]:
    """Run a command, show its output and return the lines; if it fails, end with the cause."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    clean["PYTHONUNBUFFERED"] = "1"
    lines = []
    with subprocess.Popen(
        command, env=clean, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        universal_newlines=True,
    ) as process:  # fmt: skip
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if process.returncode:
        fail(f"the packages cannot be installed: {cause([line for line in lines if line])}")
    return lines


def cause(lines: list[str]) -> str:
    """Return what uv or pip say about a failure; the last line of anything else."""
    for number, line in enumerate(lines):
        if line.startswith(_CONFLICT):  # pip's, before its advice
            told = itertools.takewhile(lambda one: one.startswith(" "), lines[number + 1 :])
            return "; ".join(one.strip() for one in told)
        if line.strip().startswith(_ERRORS_OF_UV):
            return " ".join(one.strip(f" {_CROSS}╰─▶│") for one in lines[number:])
    return lines[-1].strip() if lines else ""


if __name__ == "__main__":
    main(*sys.argv[1:])

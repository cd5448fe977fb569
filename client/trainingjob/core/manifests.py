"""The objects of a job from what `tj run` was given."""

import json
from dataclasses import dataclass
from typing import Any

import yaml

from trainingjob.core import job, snapshot, wire
from trainingjob.core.naming import checked
from trainingjob.core.snapshot import Snapshot
from trainingjob.errors import UserError

Manifest = dict[str, Any]
GPU = "nvidia.com/gpu"
PACKAGES_VOLUME, PACKAGES_DIRECTORY = "trainingjob-packages", "/trainingjob/packages"
# The command as the user gave it, for people who look at the run.
TAG_COMMAND = "code.command"
# Without it they would show the preamble, too.
TAG_SOURCE = "mlflow.source.name"
_MAX_TAG = 5000
# How the last word of the wrapper begins.
_SETTINGS = json.dumps({"directory": snapshot.DIRECTORY}).rstrip("}")


@dataclass(frozen=True, slots=True)
class Request:
    """What to train, and on what. Quantities are Kubernetes' own: `500m`, `16Gi`."""

    name: str
    image: str
    command: tuple[str, ...]
    nodes: int = 1
    gpus: int = 0
    cpu: str | None = None
    memory: str | None = None
    queue: str | None = None
    experiment: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    called: str = ""
    """How people call the command; by default as it is."""
    packages: tuple[str, ...] = ()
    """What pip installs before the command, as requirements (PEP 508)."""
    runtime: str | None = None
    """A ClusterTrainingRuntime, or TrainingRuntime/NAME of the namespace; it may have the image."""


def training_job(request: Request, preamble: str, code: Snapshot | None) -> Manifest:
    """The TrainingJob, whose command is preceded by the source text of pod/preamble.py.

    Raises:
        UserError: the name is none.
    """
    wrapper = ["python3", "-c", preamble, json.dumps(_settings(request, code))]
    volumes, mounts = _volumes(request, code)
    limits = {
        **({GPU: request.gpus} if request.gpus else {}),
        **({"cpu": request.cpu} if request.cpu else {}),
        **({"memory": request.memory} if request.memory else {}),
    }
    shown = (request.called,) if request.called else request.command
    return {
        "apiVersion": wire.API_VERSION,
        "kind": wire.KIND,
        "metadata": {"name": checked(request.name)},
        "spec": {
            **({"runtimeRef": _runtime(request.runtime)} if request.runtime else {}),
            **({"image": request.image} if request.image else {}),
            "command": [literal(word) for word in wrapper],
            "args": [literal(word) for word in request.command],
            **({"numNodes": request.nodes} if request.nodes != 1 else {}),
            **({"queueName": request.queue} if request.queue else {}),
            **({"resourcesPerNode": {"limits": limits}} if limits else {}),
            **({"env": [{"name": k, "value": literal(v)} for k, v in request.env]}
               if request.env else {}),
            **({"volumes": volumes, "volumeMounts": mounts} if volumes else {}),
            "mlflow": {
                **({"experiment": request.experiment} if request.experiment else {}),
                "tags": {**(code.tags if code else {}), **tag_command(shown)},
            },
        },
    }  # fmt: skip


def _runtime(text: str) -> dict[str, str]:
    """Read `--runtime [KIND/]NAME`; the API server knows the kinds and their default."""
    kind, _, name = text.rpartition("/")
    return {**({"kind": kind} if kind else {}), "name": name}


def is_wrapped(job: Manifest) -> bool:
    """Whether the command of a TrainingJob is preceded as that of `training_job` is."""
    command = job["spec"].get("command") or []
    return bool(command) and str(command[-1]).startswith(_SETTINGS)


def _settings(request: Request, code: Snapshot | None) -> dict[str, Any]:
    """What pod/preamble.py is to do."""
    files = {"code": snapshot.MOUNT_PATH, "sha256": code.sha256} if code else {}
    packages = {"packages": request.packages, "environment": PACKAGES_DIRECTORY}
    return {"directory": snapshot.DIRECTORY, **files, **(packages if request.packages else {})}


def _volumes(
    request: Request, code: Snapshot | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The volumes of the pods and their mounts."""
    volumes = snapshot.volumes(request.name, code) if code else []
    mounts = snapshot.mounts() if code else []
    if request.packages:
        volumes = [*volumes, {"name": PACKAGES_VOLUME, "emptyDir": {}}]
        mounts = [*mounts, {"name": PACKAGES_VOLUME, "mountPath": PACKAGES_DIRECTORY}]
    return volumes, mounts


def variable(text: str) -> tuple[str, str]:
    """Read `--env NAME=VALUE`.

    Raises:
        UserError: there is no name, or no `=`.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UserError(f"--env {text!r} is no variable", "write --env NAME=VALUE")
    return name, value


def tag_command(command: tuple[str, ...]) -> dict[str, str]:
    """The tags of the run with its command; MLflow's pages show that as the run's source."""
    shown = " ".join(command)[:_MAX_TAG]
    return {TAG_COMMAND: shown, TAG_SOURCE: shown}


def to_yaml(objects: list[Manifest]) -> str:
    """The objects as a file that `tj run -f` and kubectl take; texts of several lines as blocks."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=100)


def from_yaml(text: str, source: str) -> tuple[Manifest, list[Manifest]]:
    """The one TrainingJob of a file, and the ConfigMaps that come with it.

    Raises:
        UserError: the file is no YAML, or has anything else in it; names it and the remedy.
    """
    try:
        objects = [one for one in yaml.safe_load_all(text) if one is not None]
    except yaml.YAMLError as error:
        raise UserError(f"{source} is not YAML: {_first_line(error)}", "correct it") from error
    jobs = [one for one in objects if job.is_training_job(one)]
    config_maps = [one for one in objects if _is_config_map(one)]
    others = [one for one in objects if one not in jobs and one not in config_maps]
    if others:
        raise UserError(
            f"{source} has {_kind(others[0])} in it", f"tj takes one {wire.KIND} of "
            f"{wire.API_VERSION} and its ConfigMaps; apply anything else with kubectl",
        )  # fmt: skip
    if len(jobs) != 1:
        raise UserError(
            f"{source} has {len(jobs)} TrainingJobs in it", "tj run takes one at a time; "
            "kubectl apply takes any number",
        )  # fmt: skip
    [found] = jobs
    if not job.read(found).name:
        raise UserError(f"{source} has no metadata.name", "give the TrainingJob a name")
    if not isinstance(found.get("spec"), dict):
        raise UserError(f"{source} has no spec", "kubectl explain trainingjob.spec has its fields")
    for one in config_maps:
        _check_config_map(one, source)
    return found, config_maps


def literal(word: str) -> str:
    """A word that reaches the program as it is: Kubernetes expands $(NAME) and $$ elsewhere."""
    return word.replace("$", "$$")


def _check_config_map(body: Manifest, source: str) -> None:
    if not job.read(body).name:
        raise UserError(f"{source} has a ConfigMap without metadata.name", "give it a name")
    for part in ("data", "binaryData"):
        if not isinstance(body.get(part) or {}, dict):
            raise UserError(
                f"{source} has a ConfigMap whose {part} is no map", "write it as names and values"
            )


def _is_config_map(body: Any) -> bool:
    return isinstance(body, dict) and (body.get("apiVersion"), body.get("kind")) == (
        "v1",
        "ConfigMap",
    )


def _kind(body: Any) -> str:
    if not isinstance(body, dict) or not body.get("kind"):
        return "something that is no object of Kubernetes"
    return f"{body['kind']} ({body.get('apiVersion', 'no apiVersion')})"


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)

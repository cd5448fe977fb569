"""Another job like one that exists: the same spec and code, maybe with other arguments."""

import copy
from typing import Any

from trainingjob.core import snapshot, wire
from trainingjob.core.manifests import Manifest, literal, tag_command
from trainingjob.errors import UserError

# The name of the job whose spec and code this one has.
TAG_REPEATS = "code.repeats"
# What was a decision about the other job, not about what it trains.
_NOT_REPEATED = ("suspend",)


def code_name(job: Manifest) -> str | None:
    """Name of the ConfigMap with the code of a job that `tj` has started; None without code."""
    for volume in job["spec"].get("volumes") or []:
        if volume.get("name") == snapshot.VOLUME:
            name: str = volume["configMap"]["name"]
            return name
    return None


def repeated(
    job: Manifest, code: Manifest | None, name: str, command: tuple[str, ...]
) -> tuple[Manifest, list[Manifest]]:
    """The TrainingJob `name` with the spec of `job`, and the ConfigMap of its code under its name.

    Raises:
        UserError: a command is given, and the job was not started by `tj run -- COMMAND`.
    """
    spec: dict[str, Any] = copy.deepcopy(job["spec"])
    for field in _NOT_REPEATED:
        spec.pop(field, None)
    tags = spec.setdefault("mlflow", {}).setdefault("tags", {})
    if command:
        if snapshot.DIRECTORY not in spec.get("command", []):
            raise UserError(
                f"{job['metadata']['name']} was not started by tj run with a command",
                "leave the command out, or change a copy: kubectl get tj NAME -o yaml",
            )
        spec["args"] = [literal(word) for word in command]
        tags.update(tag_command(command))
    tags[TAG_REPEATS] = job["metadata"]["name"]
    made: list[Manifest] = []
    if code is not None:
        made = [_renamed(code, name)]
        for volume in spec["volumes"]:
            if volume.get("name") == snapshot.VOLUME:
                volume["configMap"] = {"name": made[0]["metadata"]["name"]}
    manifest = {"apiVersion": wire.API_VERSION, "kind": wire.KIND, "metadata": {"name": name}}
    return {**manifest, "spec": spec}, made


def _renamed(code: Manifest, job: str) -> Manifest:
    digest = code["metadata"]["name"].rpartition("-")[2]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{job}-code-{digest}", "labels": {wire.LABEL_NAME: job}},
        "immutable": True,
        "binaryData": code["binaryData"],
    }

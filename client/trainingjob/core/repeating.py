"""Another job like one that exists, or did: the same spec and code, maybe another command."""

import base64
import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from trainingjob.core import snapshot, wire
from trainingjob.core.manifests import Manifest, is_wrapped, literal, tag_command
from trainingjob.errors import UserError

# The name of the job whose spec and code this one has.
TAG_REPEATS = "code.repeats"
FOLDER = "code"
"""Of the artifacts of a run: what the ConfigMap of its job had, and an archive too large for it."""
# What was a decision about the other job, not about what it trains.
_NOT_REPEATED = ("suspend", "stop")
_RUN_ID = re.compile(r"[0-9a-f]{32}")


def is_run_id(text: str) -> bool:
    """Whether a text looks like the id of an MLflow run."""
    return bool(_RUN_ID.fullmatch(text))


def code_name(job: Manifest) -> str | None:
    """Name of the ConfigMap with the code of a job that `tj` has started; None without code."""
    for volume in job["spec"].get("volumes") or []:
        match volume:
            case {"name": snapshot.VOLUME, "configMap": {"name": str(name)}}:
                return name
    return None


def needed(paths: Iterable[str]) -> dict[str, str]:
    """Of the files in FOLDER those of a job, by name: not the archive that stays where it is."""
    found = {path.rpartition("/")[2]: path for path in paths}
    code = snapshot.PLACE if snapshot.PLACE in found else snapshot.ARCHIVE
    return {name: found[name] for name in (snapshot.JOB, snapshot.DIFF, code) if name in found}


def kept_code(job: Manifest, files: Mapping[str, bytes]) -> Manifest:
    """The ConfigMap of a job that is gone, from the files that its run keeps of it.

    Raises:
        UserError: the archive, or the place of it, is not among them.
    """
    texts = {
        name: files[name].decode() for name in (snapshot.PLACE, snapshot.DIFF) if name in files
    }
    archive = files.get(snapshot.ARCHIVE)
    if archive is None and snapshot.PLACE not in texts:
        raise UserError(
            f"the run has no {FOLDER}/{snapshot.ARCHIVE}",
            "runs keep their code in images with trainingjob-exec; start it again from the files",
        )
    packed = {} if archive is None else {snapshot.ARCHIVE: base64.b64encode(archive).decode()}
    return {
        "metadata": {"name": code_name(job)},
        **({"binaryData": packed} if packed else {}),
        **({"data": texts} if texts else {}),
    }


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
        if not is_wrapped(job):
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
    kept = {part: code[part] for part in ("binaryData", "data") if code.get(part)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{job}-code-{digest}", "labels": {wire.LABEL_NAME: job}},
        "immutable": True,
        **kept,
    }

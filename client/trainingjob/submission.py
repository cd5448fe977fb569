"""Creates a job and the ConfigMaps that belong to it."""

import secrets
import time
from importlib import resources
from pathlib import Path

from trainingjob.adapters import workdir
from trainingjob.adapters.kube import Cluster
from trainingjob.core import job as jobs
from trainingjob.core import manifests, naming, repeating, snapshot, wire
from trainingjob.core.job import Job
from trainingjob.core.manifests import Manifest, Request
from trainingjob.core.refusals import NotFoundError, TakenError
from trainingjob.core.snapshot import Snapshot
from trainingjob.errors import UserError

_SUFFIX_BYTES = 2
# The garbage collector deletes what a deleted job owned, within seconds.
_COLLECTED_WITHIN_SECONDS = 60.0
_POLL_SECONDS = 0.5


def name_suffix() -> str:
    """Four characters that keep the names of two jobs apart."""
    return secrets.token_hex(_SUFFIX_BYTES)


def code_of(directory: Path) -> Snapshot:
    """Pack a working directory.

    Raises:
        UserError: it is too large, or cannot be read.
    """
    return snapshot.pack(*workdir.read(directory))


def code_tags(directory: Path) -> dict[str, str]:
    """The tags of a directory's code for a run that needs no archive of it."""
    commit = workdir.commit_of(directory)
    return commit.tags if commit else {}


def objects(request: Request, code: Snapshot | None) -> tuple[Manifest, list[Manifest]]:
    """The TrainingJob of a request, and the ConfigMaps that it needs."""
    preamble = resources.files("trainingjob.pod").joinpath("preamble.py").read_text()
    job = manifests.training_job(request, preamble, code)
    return job, [snapshot.config_map(request.name, code)] if code else []


def submit(cluster: Cluster, job: Manifest, config_maps: list[Manifest]) -> Job:
    """Create the job, and its ConfigMaps with the job as their owner, so that they go with it.

    The API server is first asked whether it would take the ConfigMaps: then what it refuses
    leaves nothing behind.

    Raises:
        UserError: the API server refuses an object.
    """
    for one in config_maps:
        try:
            cluster.create_config_map(one, dry_run=True)
        except TakenError:
            continue
    made = cluster.create(job)
    try:
        for one in config_maps:
            _create_owned(cluster, one, made)
    except UserError:
        cluster.delete(made["metadata"]["name"])
        raise
    return jobs.read(made)


def again(cluster: Cluster, name: str, new_name: str | None, command: tuple[str, ...]) -> Job:
    """Start a job like another one that exists, with its code, maybe with another command.

    Raises:
        UserError: there is no such job, or its code is gone.
    """
    job = cluster.get(name)
    code_name = repeating.code_name(job)
    code = None if code_name is None else cluster.config_map(code_name)
    new = new_name or naming.again(name, name_suffix())
    return submit(cluster, *repeating.repeated(job, code, naming.checked(new), command))


def _create_owned(cluster: Cluster, config_map: Manifest, owner: Manifest) -> None:
    name = config_map["metadata"]["name"]
    reference = {
        "apiVersion": wire.API_VERSION,
        "kind": wire.KIND,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    metadata = {**config_map["metadata"], "ownerReferences": [reference]}
    deadline = time.monotonic() + _COLLECTED_WITHIN_SECONDS
    while True:
        try:
            cluster.create_config_map({**config_map, "metadata": metadata})
        except TakenError:
            if _usable(cluster, config_map):
                return
            if time.monotonic() > deadline:
                raise UserError(
                    f"the ConfigMap {name} exists and has another content or owner",
                    "choose another name for it, or delete it",
                ) from None
            time.sleep(_POLL_SECONDS)
        else:
            return


def _usable(cluster: Cluster, wanted: Manifest) -> bool:
    """Whether the one of this name has the same content and stays: nothing owns it."""
    try:
        found = cluster.config_map(wanted["metadata"]["name"])
    except NotFoundError:
        return False
    return not found["metadata"].get("ownerReferences") and all(
        (found.get(part) or {}) == (wanted.get(part) or {}) for part in ("data", "binaryData")
    )

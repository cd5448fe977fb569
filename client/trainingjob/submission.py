"""Creates a job and the ConfigMaps that belong to it."""

import secrets
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from trainingjob.adapters import tracking, workdir
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
_RUN_WITHIN_SECONDS, _RUN_POLL_SECONDS = 30.0, 0.2


@dataclass(frozen=True, slots=True)
class Submission:
    """A TrainingJob and the ConfigMaps that it needs; `archive` is what these do not hold."""

    job: Manifest
    config_maps: tuple[Manifest, ...] = ()
    archive: bytes | None = None


def name_suffix() -> str:
    """Four characters that keep the names of two jobs apart."""
    return secrets.token_hex(_SUFFIX_BYTES)


def code_of(directory: Path, *more: snapshot.File) -> Snapshot:
    """Pack a working directory, and more files.

    Raises:
        UserError: it is too large, or cannot be read.
    """
    files, commit = workdir.read(directory)
    return snapshot.pack([*files, *more], commit)


def code_tags(directory: Path, command: tuple[str, ...]) -> dict[str, str]:
    """The tags of a command and of a directory's code for a run that needs no archive of it.

    Raises:
        UserError: the directory is none.
    """
    commit = workdir.commit_of(directory)
    return {**(commit.tags if commit else {}), **manifests.tag_command(command)}


def of_request(request: Request, code: Snapshot | None) -> Submission:
    """What a request and the packed code make."""
    preamble = resources.files("trainingjob.pod").joinpath("preamble.py").read_text()
    job = manifests.training_job(request, preamble, code)
    if code is None:
        return Submission(job)
    config_map = snapshot.config_map(request.name, code)
    return Submission(job, (config_map,), None if code.fits else code.archive)


def of_yaml(text: str, source: str) -> Submission:
    """What a manifest has in it.

    Raises:
        UserError: it is not one TrainingJob with its ConfigMaps.
    """
    job, config_maps = manifests.from_yaml(text, source)
    return Submission(job, tuple(config_maps))


def again(
    cluster: Cluster, name: str, new_name: str | None, command: tuple[str, ...]
) -> Submission:
    """A job like another one with its code, maybe with another command.

    The other one is named, or its run is, which outlives it.

    Raises:
        UserError: there is no such job or run, or its code is gone.
    """
    job, code = _of_run(cluster, name) if repeating.is_run_id(name) else _of_name(cluster, name)
    new = new_name or naming.again(job["metadata"]["name"], name_suffix())
    made, config_maps = repeating.repeated(job, code, naming.checked(new), command)
    return Submission(made, tuple(config_maps))


def submit(cluster: Cluster, wanted: Submission) -> Job:
    """Create the job, and its ConfigMaps with the job as their owner, so that they go with it.

    The API server is first asked whether it would take the ConfigMaps: then what it refuses
    leaves nothing behind. An archive goes to the artifacts of the run before the job starts.

    Raises:
        UserError: the API server refuses an object, or MLflow the archive.
    """
    own = repeating.code_name(wanted.job)
    text = manifests.to_yaml([wanted.job])
    config_maps = [
        snapshot.with_job(one, text) if one["metadata"]["name"] == own else one
        for one in wanted.config_maps
    ]
    for one in config_maps:
        try:
            cluster.create_config_map(one, dry_run=True)
        except TakenError:
            continue
    if wanted.archive is not None:
        return _through_the_run(cluster, wanted.job, config_maps, wanted.archive)
    made = cluster.create(wanted.job)
    try:
        _create_owned(cluster, config_maps, made)
    except UserError:
        cluster.delete(made["metadata"]["name"])
        raise
    return jobs.read(made)


def _through_the_run(
    cluster: Cluster, job: Manifest, config_maps: list[Manifest], archive: bytes
) -> Job:
    """Create the job suspended, so that it has a run and no pods, and start it with its code."""
    tracking.check_installed()
    made = cluster.create({**job, "spec": {**job["spec"], "suspend": True}})
    name = made["metadata"]["name"]
    try:
        run_id, uri = _run_of(cluster, name)
        path = tracking.KeptRun(run_id, uri).put(repeating.FOLDER, snapshot.ARCHIVE, archive)
        [code] = config_maps
        _create_owned(cluster, [snapshot.placed(code, run_id, path)], made)
        return jobs.read(cluster.patch_spec(name, suspend=False))
    except (UserError, KeyboardInterrupt):
        cluster.delete(name)
        raise


def _run_of(cluster: Cluster, name: str) -> tuple[str, str | None]:
    """Id and server of a job's run, which the operator creates within moments."""
    deadline = time.monotonic() + _RUN_WITHIN_SECONDS
    while time.monotonic() < deadline:
        job = jobs.read(cluster.get(name))
        if job.run_id is not None:
            return job.run_id, job.tracking_uri
        time.sleep(_RUN_POLL_SECONDS)
    raise UserError(
        f"{name} gets no run, whose artifacts would hold the code",
        f"{cluster.calls('doctor')} says whether the operator runs and MLflow answers",
    )


def _of_name(cluster: Cluster, name: str) -> tuple[Manifest, Manifest | None]:
    """A job that exists, and its code."""
    job = cluster.get(name)
    code_name = repeating.code_name(job)
    return job, None if code_name is None else cluster.config_map(code_name)


def _of_run(cluster: Cluster, run_id: str) -> tuple[Manifest, Manifest | None]:
    """The job of a run and its code: from the cluster, or from the run where the job is gone."""
    found = cluster.training_jobs()
    for body in found:
        if jobs.read(body).run_id == run_id:
            return _of_name(cluster, body["metadata"]["name"])
    uris = [uri for body in reversed(found) if (uri := jobs.read(body).tracking_uri)]
    kept = tracking.KeptRun(run_id, next(iter(uris), None))
    paths = repeating.needed(kept.names(repeating.FOLDER))
    if snapshot.JOB not in paths:
        raise UserError(
            f"the run {run_id} does not keep its job, and no job of namespace "
            f"{cluster.namespace} has it",
            "runs keep what tj run has started in images with trainingjob-exec; name another one",
        )
    files = {name: kept.content(path) for name, path in paths.items()}
    job, _ = manifests.from_yaml(
        files[snapshot.JOB].decode(), f"{snapshot.JOB} of the run {run_id}"
    )
    return job, repeating.kept_code(job, files)


def _create_owned(cluster: Cluster, config_maps: list[Manifest], owner: Manifest) -> None:
    reference = {
        "apiVersion": wire.API_VERSION,
        "kind": wire.KIND,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    for one in config_maps:
        metadata = {**one["metadata"], "ownerReferences": [reference]}
        _create(cluster, {**one, "metadata": metadata})


def _create(cluster: Cluster, config_map: Manifest) -> None:
    """Create a ConfigMap; one of the same content that nobody owns serves, too."""
    name = config_map["metadata"]["name"]
    deadline = time.monotonic() + _COLLECTED_WITHIN_SECONDS
    while True:
        try:
            cluster.create_config_map(config_map)
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
    return not found["metadata"].get("ownerReferences") and _content(found) == _content(wanted)


def _content(config_map: Manifest) -> Manifest:
    """What counts of a ConfigMap: one that kubectl has applied does not have the job in it."""
    data = config_map.get("data") or {}
    return {**(config_map.get("binaryData") or {}),
            **{key: text for key, text in data.items() if key != snapshot.JOB}}  # fmt: skip

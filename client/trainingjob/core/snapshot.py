"""The working directory as one archive whose name is its content, and the objects that carry it."""

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainingjob.core import wire
from trainingjob.core.durations import size
from trainingjob.errors import UserError

# The API server takes no ConfigMap with more than 1 MiB (Kubernetes, core/v1 ConfigMap), of which
# the texts beside the archive have their part. A larger archive goes through MLflow.
_TEXT_BYTES = 32 * 2**10
CONFIG_MAP_BYTES = 2**20 - 2 * _TEXT_BYTES
MAX_BYTES = 256 * 2**20
"""Of all files together, before they are packed."""
# Files that differ by a line differ in a few bytes: more effort packs them hardly better.
_EFFORT = 6
ARCHIVE, PLACE, JOB, DIFF = "code.tar.gz", "code.json", "job.yaml", "changes.diff"
VOLUME, DIRECTORY_VOLUME = "trainingjob-code", "trainingjob-workdir"
MOUNT_PATH, DIRECTORY = "/trainingjob/code", "/trainingjob/workdir"
_LARGEST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class File:
    """A file that goes along: its path in the directory, and its content or where it links to."""

    path: str
    content: bytes = b""
    executable: bool = False
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """The git commit of the directory, and how files that git knows differ from it.

    `diff` is the output of `git diff`; files that git does not know yet are not in it.
    """

    sha: str
    dirty: bool
    diff: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """Tags of a run of this commit."""
        return {"code.commit": self.sha, "code.dirty": str(self.dirty).lower()}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A packed directory. `sha256` is that of the archive before compression: of the content."""

    archive: bytes
    sha256: str
    files: int
    unpacked_bytes: int
    commit: Commit | None = None

    @property
    def fits(self) -> bool:
        """Whether a ConfigMap holds it; otherwise MLflow has to."""
        return len(self.archive) <= CONFIG_MAP_BYTES

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the run that say which code it trained."""
        return {"code.sha256": self.sha256, **(self.commit.tags if self.commit else {})}

    def __str__(self) -> str:
        count = "1 file" if self.files == 1 else f"{self.files} files"
        text = f"{count}, {size(self.unpacked_bytes)} ({size(len(self.archive))} packed)"
        if self.commit:
            changes = " with changes" if self.commit.dirty else ""
            text += f", commit {self.commit.sha[:8]}{changes}"
        return text if self.fits else f"{text}, through MLflow"


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Refuse files, by path and bytes, that are too much, before they are read.

    Raises:
        UserError: they are; names the largest.
    """
    total = sum(sizes.values())
    if total > MAX_BYTES:
        largest = sorted(sizes.items(), key=lambda one: (-one[1], one[0]))[:_LARGEST_SHOWN]
        shown = ", ".join(f"{path} ({size(count)})" for path, count in largest)
        raise UserError(
            f"the code has {size(total)}, more than the {size(MAX_BYTES)} that can go along; "
            f"the largest files are {shown}",
            "put what the training does not need into .tjignore, data on a volume, and large files "
            "that it does need into the image",
        )


def pack(files: Iterable[File], commit: Commit | None = None) -> Snapshot:
    """Pack files, the same ones always to the same hash.

    Raises:
        UserError: there are none.
    """
    ordered = sorted(files, key=lambda file: file.path)
    if not ordered:
        raise UserError(
            "the working directory has no files that go along",
            "run tj where the code is, name it by --workdir, or leave code out by --no-code",
        )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in ordered:
            tar.addfile(_header(file), io.BytesIO(file.content))
    unpacked = buffer.getvalue()
    archive = gzip.compress(unpacked, _EFFORT, mtime=0)
    content = sum(len(file.content) for file in ordered)
    digest = hashlib.sha256(unpacked).hexdigest()
    return Snapshot(archive, digest, len(ordered), content, commit)


def config_map(job: str, snapshot: Snapshot) -> dict[str, Any]:
    """The ConfigMap with a job's code; its owner is the job, which exists only later.

    Without an archive that does not fit: `placed` says where that is.
    """
    diff = snapshot.commit.diff if snapshot.commit else ""
    archive = base64.b64encode(snapshot.archive).decode()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(job, snapshot.sha256),
            "labels": {wire.LABEL_NAME: job},
        },
        "immutable": True,
        **({"binaryData": {ARCHIVE: archive}} if snapshot.fits else {}),
        **({"data": {DIFF: diff}} if diff and _is_short(diff) else {}),
    }


def placed(config_map: dict[str, Any], run_id: str, path: str) -> dict[str, Any]:
    """The same with the place of the archive: a run, and the path among its artifacts."""
    place = json.dumps({"run": run_id, "path": path})
    return {**config_map, "data": {**config_map.get("data", {}), PLACE: place}}


def with_job(config_map: dict[str, Any], job: str) -> dict[str, Any]:
    """The same with the job as YAML, which the run keeps, unless it is long."""
    texts = {key: text for key, text in (config_map.get("data") or {}).items() if key != JOB}
    return {**config_map, "data": {**texts, **({JOB: job} if _is_short(job) else {})}}


def config_map_name(job: str, sha256: str) -> str:
    """Name of the ConfigMap: that of the job, and the hash's beginning."""
    return f"{job}-code-{sha256[:12]}"


def volumes(job: str, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Volumes of the pods: the packed code, and room to unpack it that the program may write to."""
    return [
        {"name": VOLUME, "configMap": {"name": config_map_name(job, snapshot.sha256)}},
        {"name": DIRECTORY_VOLUME, "emptyDir": {}},
    ]


def mounts() -> list[dict[str, Any]]:
    """Where the volumes are in the container."""
    return [
        {"name": VOLUME, "mountPath": MOUNT_PATH, "readOnly": True},
        {"name": DIRECTORY_VOLUME, "mountPath": DIRECTORY},
    ]


def _is_short(text: str) -> bool:
    return len(text.encode()) <= _TEXT_BYTES


def _header(file: File) -> tarfile.TarInfo:
    """Nothing in it depends on who packs, where and when."""
    header = tarfile.TarInfo(file.path)
    header.mode = 0o755 if file.executable else 0o644
    if file.link is None:
        header.size = len(file.content)
    else:
        header.type, header.linkname = tarfile.SYMTYPE, file.link
    return header

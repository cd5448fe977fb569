"""The working directory as one archive whose name is its content, and the objects that carry it."""

import base64
import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainingjob.core import wire
from trainingjob.core.durations import size
from trainingjob.errors import UserError

# The API server takes no ConfigMap with more data (Kubernetes, core/v1 ConfigMap).
MAX_BYTES = 2**20
# Text is seldom packed better than to a tenth.
MAX_UNPACKED_BYTES = 64 * MAX_BYTES
ARCHIVE = "code.tar.gz"
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
    """The git commit of the directory, and whether files differ from it."""

    sha: str
    dirty: bool

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
    def tags(self) -> dict[str, str]:
        """Tags of the run that say which code it trained."""
        return {"code.sha256": self.sha256, **(self.commit.tags if self.commit else {})}

    def __str__(self) -> str:
        count = "1 file" if self.files == 1 else f"{self.files} files"
        told = f"{count}, {size(self.unpacked_bytes)} ({size(len(self.archive))} packed)"
        if self.commit:
            changes = " with changes" if self.commit.dirty else ""
            told += f", commit {self.commit.sha[:8]}{changes}"
        return told


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Refuse files, by path and bytes, that no packing makes small, before they are read.

    Raises:
        UserError: they are too much; names the largest.
    """
    if sum(sizes.values()) > MAX_UNPACKED_BYTES:
        raise _too_large(size(sum(sizes.values())), sizes)


def pack(files: Iterable[File], commit: Commit | None = None) -> Snapshot:
    """Pack files, the same ones always to the same hash.

    Raises:
        UserError: there are none, or they are more than a ConfigMap holds; names the largest.
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
    archive = gzip.compress(unpacked, mtime=0)
    if len(archive) > MAX_BYTES:
        raise _too_large(
            f"{size(len(archive))} packed", {file.path: len(file.content) for file in ordered}
        )
    content = sum(len(file.content) for file in ordered)
    digest = hashlib.sha256(unpacked).hexdigest()
    return Snapshot(archive, digest, len(ordered), content, commit)


def config_map(job: str, snapshot: Snapshot) -> dict[str, Any]:
    """The ConfigMap with a job's code; its owner is the job, which exists only later."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(job, snapshot),
            "labels": {wire.LABEL_NAME: job},
        },
        "immutable": True,
        "binaryData": {ARCHIVE: base64.b64encode(snapshot.archive).decode()},
    }


def config_map_name(job: str, snapshot: Snapshot) -> str:
    """Name of the ConfigMap: that of the job, and the hash's beginning."""
    return f"{job}-code-{snapshot.sha256[:12]}"


def volumes(job: str, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Volumes of the pods: the packed code, and room to unpack it that the program may write to."""
    return [
        {"name": VOLUME, "configMap": {"name": config_map_name(job, snapshot)}},
        {"name": DIRECTORY_VOLUME, "emptyDir": {}},
    ]


def mounts() -> list[dict[str, Any]]:
    """Where the volumes are in the container."""
    return [
        {"name": VOLUME, "mountPath": MOUNT_PATH, "readOnly": True},
        {"name": DIRECTORY_VOLUME, "mountPath": DIRECTORY},
    ]


def _header(file: File) -> tarfile.TarInfo:
    """Nothing in it depends on who packs, where and when."""
    header = tarfile.TarInfo(file.path)
    header.mode = 0o755 if file.executable else 0o644
    if file.link is None:
        header.size = len(file.content)
    else:
        header.type, header.linkname = tarfile.SYMTYPE, file.link
    return header


def _too_large(found: str, sizes: Mapping[str, int]) -> UserError:
    largest = sorted(sizes.items(), key=lambda one: (-one[1], one[0]))[:_LARGEST_SHOWN]
    shown = ", ".join(f"{path} ({size(count)})" for path, count in largest)
    return UserError(
        f"the code has {found}, more than the {size(MAX_BYTES)} that can go along; "
        f"the largest files are {shown}",
        "put what the training does not need into .tjignore, data on a volume, and large files "
        "that it does need into the image",
    )

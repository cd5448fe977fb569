"""Tensors of all ranks on the disk, by torch.distributed.checkpoint (DCP).

A module of its own because DCP takes long to import: only the thread that writes needs it, or a
training that resumes.
"""

import os
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystem, FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import (
    _MEM_FORMAT_ENCODING,
    Metadata,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from trainingjob_trainer.checkpoint.files import Digest, HashingFile

METADATA = ".metadata"

# What the metadata of tensors is made of.
_SAFE = {
    "pathlib": {"PosixPath"},
    "torch": {"Size"}
    | {name for name in vars(torch) if isinstance(vars(torch)[name], torch.dtype)},
    "torch.serialization": {"_get_layout"},
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.distributed.checkpoint.metadata": {
        *("ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta"),
        *("TensorProperties", "TensorStorageMetadata", "_MEM_FORMAT_ENCODING"),
    },
}


def write_tensors(
    directory: Path, tensors: Mapping[str, Tensor], group: ProcessGroup | None
) -> dict[str, Digest]:
    """Write the tensors of this rank beside those of the others; return its files by name.

    All ranks of `group` come here at the same time, each with its own; None: a process alone.

    Raises:
        OSError: a rank could not write; it is raised on all of them.
    """
    writer = FileSystemWriter(directory, sync_files=True)
    writer.fs = files = _HashingFileSystem()
    with _errors_as_exceptions():
        save(dict(tensors), storage_writer=writer, process_group=group, no_dist=group is None)
    return files.digests


def read_tensors(
    directory: Path, into: Mapping[str, Tensor] | None = None, below: str = "/"
) -> dict[str, Tensor]:
    """Read the tensors that all ranks wrote, however many these were.

    Args:
        directory: of the checkpoint.
        into: tensors, or shards of them, by path, that are filled; of all others the whole is read.
        below: paths that begin so are read, no others.

    Raises:
        OSError: they cannot be read.
        UnpicklingError: the directory holds other things than tensors.
    """
    reader = _Reader(directory)
    found: dict[str, Any] = {}
    places = into or {}
    for path, metadata in reader.read_metadata().state_dict_metadata.items():
        if not isinstance(metadata, TensorStorageMetadata):
            raise pickle.UnpicklingError(f"{path} in {directory} is no tensor")
        if not path.startswith(below):
            continue
        new = path not in places
        found[path] = (
            torch.empty(metadata.size, dtype=metadata.properties.dtype) if new else places[path]
        )
    with _errors_as_exceptions():
        load(found, storage_reader=reader, no_dist=True)
    return found


@contextmanager
def _errors_as_exceptions() -> Iterator[None]:
    """DCP's own is a BaseException, by which a process would end without a word."""
    try:
        with warnings.catch_warnings():
            # To save or load without the others is meant here.
            warnings.filterwarnings("ignore", "torch.distributed is disabled, unavailable or un")
            yield
    except CheckpointException as error:
        causes = (f"rank {rank}: {cause!r}" for rank, (cause, _) in error.failures.items())
        raise OSError("; ".join(causes)) from error


class _HashingFileSystem(FileSystem):
    """Digests the files that DCP writes, by name."""

    def __init__(self) -> None:
        self.digests: dict[str, Digest] = {}

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Iterator[Any]:
        with super().create_stream(path, mode) as stream:
            hashing = HashingFile(cast("BinaryIO", stream))
            yield hashing
        self.digests[Path(path).name] = hashing.digest()

    def rename(self, path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> None:
        super().rename(path, new_path)
        self.digests[Path(new_path).name] = self.digests.pop(Path(path).name)


class _Reader(FileSystemReader):
    """Reads as data what DCP itself would unpickle: a checkpoint must not be able to run code."""

    def read_metadata(self, *_: Any, **__: Any) -> Metadata:
        with (Path(self.path) / METADATA).open("rb") as file:
            metadata = read_data(file)
        if not isinstance(metadata, Metadata):
            raise pickle.UnpicklingError(f"no metadata of a checkpoint in {self.path}")
        return metadata


def read_data(file: IO[bytes]) -> object:
    """Unpickle what consists of nothing but the metadata of tensors.

    Raises:
        UnpicklingError: there is something else in it; nothing of that was called.
    """
    return _DataUnpickler(file).load()


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return _memory_format
        if module == "pathlib._local":  # where Python 3.13 says that it has the classes of pathlib
            module = "pathlib"
        if name not in _SAFE.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a checkpoint")
        return super().find_class(module, name)


def _memory_format(kind: object, name: str) -> _MEM_FORMAT_ENCODING:
    """Stand in for `getattr`, by which Python 3.11.0 to 3.11.3 pickle the members of an enum."""
    if kind is not _MEM_FORMAT_ENCODING:
        raise pickle.UnpicklingError(f"{name} of {kind} has no place in a checkpoint")
    return _MEM_FORMAT_ENCODING[name]

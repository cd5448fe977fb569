"""A checkpoint is there whole or not at all; a damaged one is found out."""

import json
import logging
import multiprocessing
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING
from trainingjob_trainer.checkpoint import Checkpointer, CheckpointStore, Part
from trainingjob_trainer.checkpoint.tensors import read_data
from trainingjob_trainer.distributed import side_group

from tests.support.processes import free_port

WORLD = 2
WEIGHT, BIAS = torch.arange(1000.0), torch.arange(900.0)


def write(store: CheckpointStore, step: int) -> None:
    """Write as a process alone."""
    skeleton = {"model": {"weight": {"__tensor__": "/weight"}}}
    store.write(step, Part({"rank": 0}, skeleton, {"/weight": torch.full((100,), float(step))}))


def as_one_of_two(rank: int, address: str, directory: Path, broken: bool) -> None:
    """Write what a training of two ranks has, in a process of its own."""
    logging.basicConfig(filename=directory / f"{rank}.log", level=logging.INFO)
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=WORLD)
    saving = Checkpointer(
        CheckpointStore(directory / "checkpoints", keep=3),
        rank=rank,
        world_size=WORLD,
        every_seconds=1000,
        group=side_group(),
    )
    shared = {"model": {"weight": WEIGHT, "bias": BIAS}, "epochs": (torch.tensor(3), "three")}
    saving.save(7, {"rank": rank}, shared)
    saving.wait()
    if broken and rank == 1:
        (directory / "checkpoints" / "step_000000008").mkdir()
        (directory / "checkpoints" / "step_000000008" / "__1_0.distcp").mkdir()
    distributed.barrier()
    saving.save(8, {"rank": rank}, shared)
    saving.wait()
    assert saving.last_step == (7 if broken else 8)
    distributed.barrier()
    distributed.destroy_process_group()


def two_ranks(directory: Path, *, broken: bool = False) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["trainingjob_trainer.checkpoint.tensors"])
    processes = [
        context.Process(target=as_one_of_two, args=(rank, address, directory, broken))
        for rank in range(WORLD)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("written")
    two_ranks(directory)
    return directory / "checkpoints"


@pytest.fixture
def shared_store(written: Path, tmp_path: Path) -> CheckpointStore:
    """Checkpoints of two ranks, at steps 7 and 8."""
    return CheckpointStore(Path(shutil.copytree(written, tmp_path / "checkpoints")), keep=3)


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def test_each_rank_writes_a_share_and_reads_all(shared_store: CheckpointStore) -> None:
    shared, own = shared_store.read(7, rank=1)

    assert shared_store.steps() == [8, 7]
    assert shared_store.problem(7, rank=1) is None
    assert own == {"rank": 1}
    assert torch.equal(shared["model"]["weight"], WEIGHT)
    assert torch.equal(shared["model"]["bias"], BIAS)
    assert shared["epochs"] == (torch.tensor(3), "three")
    files = {file.name: file for file in (shared_store.directory / "step_000000007").iterdir()}
    assert sorted(files) == [
        *(".metadata", "__0_0.distcp", "__1_0.distcp"),
        *("rank_00000.json", "rank_00000.pt", "rank_00001.json", "rank_00001.pt"),
        "shared.pt",
    ]
    sizes = [files[f"__{rank}_0.distcp"].stat().st_size for rank in range(WORLD)]
    assert all(4 * 900 < size < 4 * 1900 for size in sizes), sizes


def test_a_rank_that_is_new_gets_what_all_share(shared_store: CheckpointStore) -> None:
    assert shared_store.problem(7, rank=5) is None
    shared, own = shared_store.read(7, rank=5)
    assert torch.equal(shared["model"]["weight"], WEIGHT)
    assert own is None


def test_what_one_rank_cannot_write_is_no_checkpoint_for_any(tmp_path: Path) -> None:
    two_ranks(tmp_path, broken=True)

    store = CheckpointStore(tmp_path / "checkpoints", keep=3)
    assert store.steps() == [7], "nothing is left of the other one"
    assert store.problem(7, 0) is None
    for rank in range(WORLD):
        log = (tmp_path / f"{rank}.log").read_text()
        assert "no checkpoint of step 8" in log
        assert "rank 1: IsADirectoryError" in log


@pytest.mark.parametrize(
    ("file", "damage", "problems"),
    [
        ("shared.pt", flip_a_byte, ["shared.pt is corrupt: its checksum is wrong"] * 2),
        ("shared.pt", cut, ["shared.pt is corrupt: its checksum is wrong"] * 2),
        ("shared.pt", Path.unlink, ["shared.pt is missing"] * 2),
        (".metadata", flip_a_byte, [".metadata is corrupt: its checksum is wrong"] * 2),
        ("__1_0.distcp", flip_a_byte, ["__1_0.distcp is corrupt: its checksum is wrong"] * 2),
        ("__0_0.distcp", Path.unlink, ["__0_0.distcp is missing"] * 2),
        ("rank_00001.pt", flip_a_byte, [None, "rank_00001.pt is corrupt: its checksum is wrong"]),
        ("rank_00001.pt", Path.unlink, [None, "rank_00001.pt is missing"]),
        ("rank_00000.json", Path.unlink, ["incomplete: rank 0 did not finish it"] * 2),
        ("rank_00001.json", Path.unlink, ["incomplete: rank 1 did not finish it"] * 2),
        ("rank_00001.json", cut, ["incomplete: rank 1 did not finish it"] * 2),
    ],
)
def test_damage_is_found(
    shared_store: CheckpointStore,
    file: str,
    damage: Callable[[Path], None],
    problems: list[str | None],
) -> None:
    damage(shared_store.directory / "step_000000007" / file)

    assert [shared_store.problem(7, rank) for rank in range(WORLD)] == problems
    assert [shared_store.problem(8, rank) for rank in range(WORLD)] == [None, None]


class Bomb:
    """Runs a program where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(Path(tempfile.gettempdir()) / "unpickled"),)


@pytest.mark.parametrize("file", [".metadata", "__0_0.distcp", "shared.pt", "rank_00001.pt"])
def test_a_checkpoint_cannot_run_code(
    shared_store: CheckpointStore, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = shared_store.directory / "step_000000007" / file
    if file == ".metadata":
        path.write_bytes(pickle.dumps(Bomb()))
    else:
        torch.save(Bomb(), path)

    with pytest.raises(Exception, match=r"has no place in a checkpoint|weights_only|zip archive"):
        shared_store.read(7, rank=1)

    assert not (tmp_path / "unpickled").exists()


PATH_OF_3_13 = b"cpathlib._local\nPosixPath\n(Va\ntR."


class Member:
    """Pickled as Python 3.11.0 to 3.11.3, which Debian 12 has, do it with a member of an enum."""

    def __init__(self, kind: type, name: str) -> None:
        self._member = kind, name

    def __reduce__(self) -> tuple[object, tuple[type, str]]:
        return getattr, self._member


def test_metadata_of_any_python_is_read(tmp_path: Path) -> None:
    file = tmp_path / "metadata"
    file.write_bytes(pickle.dumps(Member(_MEM_FORMAT_ENCODING, "TORCH_CHANNELS_LAST")))
    with file.open("rb") as opened:
        assert read_data(opened) is _MEM_FORMAT_ENCODING.TORCH_CHANNELS_LAST

    file.write_bytes(pickle.dumps(Member(torch.Size, "numel")))
    with file.open("rb") as opened, pytest.raises(pickle.UnpicklingError, match="has no place"):
        read_data(opened)

    # A path, which is not of the module `pathlib` there.
    file.write_bytes(PATH_OF_3_13)
    with file.open("rb") as opened:
        assert read_data(opened) == Path("a")


def test_only_the_newest_complete_ones_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    for step in range(1, 6):
        write(store, step)
    for step in (3, 5):
        (tmp_path / f"step_{step:09d}" / "rank_00000.json").unlink()

    store.prune()

    assert store.steps() == [5, 4, 3, 2]


def test_the_best_model_is_kept_apart(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    assert store.read_best() is None

    for step in (1, 2):
        write(store.best, step)
    store.best.prune()

    assert (store.steps(), store.best.steps()) == ([], [2])
    best = store.read_best()
    assert best is not None
    assert best["model"]["weight"].unique().tolist() == [2.0]
    flip_a_byte(tmp_path / "best" / "step_000000002" / "__0_0.distcp")
    assert store.read_best() is None


@pytest.mark.parametrize("file", ["shared.pt", "__0_0.distcp", "__1_0.distcp"])
def test_ranks_look_at_a_part_of_it_each_and_at_all_of_it_together(
    shared_store: CheckpointStore, file: str
) -> None:
    flip_a_byte(shared_store.directory / "step_000000007" / file)

    found = [shared_store.problem(7, rank, among=2) for rank in range(2)]

    assert sorted(map(str, found)) == ["None", f"{file} is corrupt: its checksum is wrong"]


def test_what_a_kill_left_half_written_is_no_checkpoint(tmp_path: Path) -> None:
    """Every prefix of what is written in order: files, then the record, by a rename at the end."""
    write(CheckpointStore(tmp_path / "whole", keep=3), 7)
    whole = tmp_path / "whole" / "step_000000007"
    record = json.loads((whole / "rank_00000.json").read_text())
    assert list(record["files"]) == ["__0_0.distcp", ".metadata", "rank_00000.pt", "shared.pt"]

    for count in range(5):
        partial = CheckpointStore(tmp_path / str(count), keep=3)
        directory = tmp_path / str(count) / "step_000000007"
        directory.mkdir(parents=True)
        for name in list(record["files"])[:count]:
            shutil.copy(whole / name, directory)
        assert partial.problem(7, rank=0) == "incomplete: rank 0 did not finish it"

import base64
import gzip
import hashlib
import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob.core import snapshot
from trainingjob.core.snapshot import Commit, File, Snapshot
from trainingjob.errors import UserError

FILES = (
    File("train.py", b"import data.read\nprint(data.read.LINES)\n"),
    File("data/read.py", b"LINES = 3\n"),
    File("run.sh", b"#!/bin/sh\nexec python train.py\n", executable=True),
    File("latest.py", link="train.py"),
)
PREAMBLE = resources.files("trainingjob.pod").joinpath("preamble.py").read_text()


def test_the_same_files_have_the_same_hash() -> None:
    one, other = snapshot.pack(FILES), snapshot.pack(reversed(FILES))
    assert one == other
    assert one.sha256 == hashlib.sha256(gzip.decompress(one.archive)).hexdigest()
    # Whoever packs, where and when: the same name for the same code.
    assert one.sha256 == "e5ee76fa364ebf39303bd94fd6b971c07f5ecd9c2e1fc169b3143b5874ff3bb4"


@pytest.mark.parametrize(
    "changed",
    [
        File("train.py", b"another\n"),
        File("train.py", FILES[0].content, executable=True),
        File("main.py", FILES[0].content),
    ],
)
def test_another_content_mode_or_name_has_another_hash(changed: File) -> None:
    assert snapshot.pack([changed, *FILES[1:]]).sha256 != snapshot.pack(FILES).sha256


def test_size_and_commit_are_shown() -> None:
    assert str(Snapshot(b"x" * 2048, "f00d", 12, 70000, Commit("0123456789abcdef", True))) == (
        "12 files, 68 KiB (2.0 KiB packed), commit 01234567 with changes"
    )
    assert str(Snapshot(b"x", "f00d", 1, 10)) == "1 file, 10 B (1 B packed)"


def test_the_run_says_which_code_it_trained() -> None:
    packed = snapshot.pack(FILES, Commit("0123abcd", dirty=False))
    assert packed.tags == {
        "code.sha256": packed.sha256,
        "code.commit": "0123abcd",
        "code.dirty": "false",
    }


def test_code_that_is_too_large_is_refused_with_the_largest_files() -> None:
    sizes = {file.path: len(file.content) for file in FILES} | {"weights.pt": snapshot.MAX_BYTES}
    with pytest.raises(UserError) as refused:
        snapshot.check_sizes(sizes)
    assert refused.value.message == (
        "the code has 256 MiB, more than the 256 MiB that can go along; the largest files "
        "are weights.pt (256 MiB), train.py (40 B), run.sh (31 B), data/read.py (10 B), "
        "latest.py (0 B)"
    )
    assert refused.value.remedy == (
        "put what the training does not need into .tjignore, data on a volume, and large files "
        "that it does need into the image"
    )


def test_an_empty_directory_is_refused() -> None:
    with pytest.raises(UserError, match="has no files that go along"):
        snapshot.pack([])


def test_the_config_map() -> None:
    packed = snapshot.pack(FILES)
    assert snapshot.config_map("mnist", packed) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"mnist-code-{packed.sha256[:12]}",
            "labels": {"trainingjob.dev/name": "mnist"},
        },
        "immutable": True,
        "binaryData": {"code.tar.gz": base64.b64encode(packed.archive).decode()},
    }


def test_code_that_no_config_map_holds() -> None:
    """It is in the run, and the ConfigMap says where."""
    packed = snapshot.pack([*FILES, File("weights.pt", os.urandom(2**20))])
    assert str(packed) == "5 files, 1.0 MiB (1.0 MiB packed), through MLflow"
    config_map = snapshot.config_map("mnist", packed)
    assert "binaryData" not in config_map
    assert snapshot.placed(config_map, "f00d", "code/code.tar.gz")["data"] == {
        "code.json": '{"run": "f00d", "path": "code/code.tar.gz"}'
    }


def test_what_is_kept_beside_the_code() -> None:
    """The job as it was created, and what differs from the commit; not what is long."""
    packed = snapshot.pack(FILES, Commit("0123abcd", dirty=True, diff="-a\n+b\n"))
    config_map = snapshot.config_map("mnist", packed)
    kept = snapshot.with_job(config_map, "kind: TrainingJob\n")
    assert kept["data"] == {"changes.diff": "-a\n+b\n", "job.yaml": "kind: TrainingJob\n"}
    assert kept["binaryData"] == config_map["binaryData"]
    # Another job of the same code has its own.
    assert snapshot.with_job(kept, "kind: Other\n")["data"]["job.yaml"] == "kind: Other\n"
    long = "x" * 2**16
    bare = snapshot.config_map("mnist", snapshot.pack(FILES, Commit("0123abcd", True, long)))
    assert "data" not in bare
    assert snapshot.with_job(bare, long)["data"] == {}


def in_the_pod(
    tmp_path: Path,
    packed: Snapshot | None,
    command: list[str],
    programs: tuple[str, ...] = (),
    **variables: str,
) -> "subprocess.CompletedProcess[str]":
    """What the preamble does in an image with these programs, each of which says that it ran."""
    archive, target, binaries = tmp_path / "code.tar.gz", tmp_path / "workdir", tmp_path / "bin"
    for folder in (target, binaries):
        folder.mkdir()
    for program in programs:
        script = binaries / program
        script.write_text(f'#!/bin/sh\necho {program}\nshift\nexec "$@"\n')
        script.chmod(0o755)
    settings = {"directory": str(target)}
    if packed:
        archive.write_bytes(packed.archive)
        settings |= {"code": str(tmp_path), "sha256": packed.sha256}
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE, json.dumps(settings), *command],
        env={
            "PATH": f"{binaries}{os.pathsep}/bin",
            "TRAININGJOB_TERMINATION_LOG": str(tmp_path / "termination-log"),
            **variables,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_pod_has_the_files_and_runs_the_command_among_them(tmp_path: Path) -> None:
    done = in_the_pod(tmp_path, snapshot.pack(FILES), [sys.executable, "latest.py"])
    assert (done.returncode, done.stdout) == (0, "3\n")
    assert done.stderr == "tj: the image has no trainingjob-exec: no system metrics\n"
    written = tmp_path / "workdir"
    assert {file.path: (written / file.path).read_bytes() for file in FILES if not file.link} == {
        file.path: file.content for file in FILES if not file.link
    }
    assert os.access(written / "run.sh", os.X_OK)
    assert not os.access(written / "train.py", os.X_OK)
    assert (written / "latest.py").readlink() == Path("train.py")


def test_the_pod_refuses_other_code_than_was_sent(tmp_path: Path) -> None:
    packed = snapshot.pack(FILES)
    other = Snapshot(packed.archive, "0" * 64, packed.files, packed.unpacked_bytes)
    done = in_the_pod(tmp_path, other, [sys.executable, "train.py"])
    assert done.returncode == 1
    message = f"the code is not what was sent: its hash is {packed.sha256}, not {'0' * 64}"
    assert done.stderr == f"tj: {message}\n"
    assert (tmp_path / "termination-log").read_text() == message
    assert list((tmp_path / "workdir").iterdir()) == []


@pytest.mark.parametrize(
    ("programs", "command", "printed"),
    [
        (("tini", "trainingjob-exec"), ["echo", "on"], "tini\ntrainingjob-exec\non\n"),
        (("trainingjob-exec",), ["echo", "on"], "trainingjob-exec\non\n"),
        (("tini",), ["echo", "on"], "tini\non\n"),
        ((), ["echo", "on"], "on\n"),
        # Who brings a supervisor gets no second one.
        (("tini", "trainingjob-exec"), ["trainingjob-exec", "--", "echo", "on"],
         "tini\ntrainingjob-exec\non\n"),
        (("tini", "trainingjob-exec"), ["tini", "--", "echo", "on"], "tini\non\n"),
    ],
)  # fmt: skip
def test_the_command_gets_the_supervisors_that_the_image_has(
    tmp_path: Path, programs: tuple[str, ...], command: list[str], printed: str
) -> None:
    done = in_the_pod(tmp_path, None, command, programs)
    assert (done.returncode, done.stdout) == (0, printed)


def test_a_command_that_has_its_supervisor_gets_no_other(tmp_path: Path) -> None:
    """The operator may have put the agent around the whole command."""
    programs = ("tini", "trainingjob-exec")
    under = {"TRAININGJOB_SCRIPT_DIR": str(tmp_path), "TRAININGJOB_PLACE": "//"}
    done = in_the_pod(tmp_path, None, ["env"], programs, **under)
    assert (done.returncode, done.stderr) == (0, "")
    assert "trainingjob-exec" not in done.stdout
    # Or the training would be taken for a helper of this program.
    assert "TRAININGJOB_PLACE" not in done.stdout


def test_a_program_that_the_image_does_not_have(tmp_path: Path) -> None:
    done = in_the_pod(tmp_path, None, ["torchrun", "train.py"])
    assert done.returncode == 127
    assert done.stderr.endswith("tj: cannot run torchrun: No such file or directory\n")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?\.py", fullmatch=True),
                       st.binary(max_size=200), min_size=1, max_size=6))  # fmt: skip
def test_any_files_are_packed(contents: dict[str, bytes]) -> None:
    packed = snapshot.pack(File(path, content) for path, content in contents.items())
    assert (packed.files, packed.unpacked_bytes) == (
        len(contents),
        sum(len(content) for content in contents.values()),
    )

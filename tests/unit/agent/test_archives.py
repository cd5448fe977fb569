"""Initializers with `extract`: what is in archives takes their place."""

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from trainingjob_agent.initializers.archives import ExtractedSource
from trainingjob_agent.initializers.progress import Progress

from tests.support.initializing import Initializer

FILES = {"train/a": b"1", "train/b": b"2" * 3000, "labels.csv": b"x,y\n"}
Change = Callable[[tarfile.TarInfo], None]


@pytest.fixture
def initializer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Initializer:
    return Initializer(tmp_path, monkeypatch)


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    directory = tmp_path / "claim"
    directory.mkdir()
    return directory


def tar(files: dict[str, bytes] = FILES, change: Change = lambda _: None) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            change(member)
            archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


def zipped(files: dict[str, bytes] = FILES) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return output.getvalue()


def link_to(target: str) -> Change:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname, member.size = tarfile.SYMTYPE, target, 0

    return change


def device(member: tarfile.TarInfo) -> None:
    member.type, member.size = tarfile.CHRTYPE, 0


def extract(initializer: Initializer, claim: Path) -> int:
    return initializer.run("pvc://sets", "--mounted", str(claim), "--extract")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.tar", tar()),
        ("set.tar.gz", gzip.compress(tar())),
        ("SET.TGZ", gzip.compress(tar())),
        ("set.tar.bz2", bz2.compress(tar())),
        ("set.txz", lzma.compress(tar())),
        ("set.zip", zipped()),
        # A single file may have any name.
        ("content", zipped()),
        ("download", gzip.compress(tar())),
    ],
)
def test_the_content_takes_the_place_of_the_archive(
    initializer: Initializer, claim: Path, name: str, content: bytes
) -> None:
    (claim / name).write_bytes(content)
    assert extract(initializer, claim) == 0
    assert initializer.files == FILES


def test_archives_are_unpacked_where_they_are_and_other_files_stay(
    initializer: Initializer, claim: Path
) -> None:
    (claim / "2026").mkdir()
    (claim / "2026" / "a.tar").write_bytes(tar({"a": b"1"}))
    (claim / "2026" / "b.zip").write_bytes(zipped({"b": b"2"}))
    # A zip file as well, which NumPy reads as it is.
    (claim / "labels.npz").write_bytes(zipped())
    assert extract(initializer, claim) == 0
    assert initializer.files == {"2026/a": b"1", "2026/b": b"2", "labels.npz": zipped()}


def test_a_filled_volume_has_other_files_with_extract_than_without(
    initializer: Initializer, claim: Path
) -> None:
    (claim / "set.tar").write_bytes(tar())
    assert initializer.run("pvc://sets", "--mounted", str(claim)) == 0
    assert extract(initializer, claim) == 0
    assert initializer.files == {"set.tar": tar(), **FILES}


def test_whoever_trains_may_read_what_the_archive_keeps_for_its_owner(
    initializer: Initializer, claim: Path
) -> None:
    def change(member: tarfile.TarInfo) -> None:
        member.mode = 0o700 if member.name == "run" else 0o600
        member.uid = member.gid = 12345

    (claim / "set.tar").write_bytes(tar({"run": b"", "a": b""}, change))
    before = os.umask(0o002)
    try:
        assert extract(initializer, claim) == 0
    finally:
        os.umask(before)
    found = {name: (initializer.volume / name).stat() for name in ("run", "a")}
    assert {name: stat.S_IMODE(one.st_mode) for name, one in found.items()} == {
        "run": 0o775,
        "a": 0o664,
    }
    assert {one.st_uid for one in found.values()} == {os.getuid()}


def test_a_link_that_stays_in_the_directory(initializer: Initializer, claim: Path) -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, target in (("latest", "v2"), ("v2/copy", "a")):
            link = tarfile.TarInfo(name)
            link_to(target)(link)
            archive.addfile(link)
        member = tarfile.TarInfo("v2/a")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"1"))
    (claim / "set.tar").write_bytes(output.getvalue())
    assert extract(initializer, claim) == 0
    assert (initializer.volume / "latest").readlink() == Path("v2")
    assert (initializer.volume / "latest" / "copy").read_bytes() == b"1"


def encrypted() -> bytes:
    """A zip file whose flags say that its content needs a password."""
    content = bytearray(zipped({"a": b"1"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def damaged() -> bytes:
    """Its content is that of another file: only the checksum at the end says so."""
    content = bytearray(gzip.compress(tar(), compresslevel=0))
    content[content.index(b"2222")] = ord("3")
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("set.tar", tar({"../a": b"1"}), "../a would be outside of the directory"),
        ("set.tar", tar({"a": b""}, link_to("/etc/passwd")), "a -> /etc/passwd would be outside"),
        ("set.tar", tar({"a": b""}, link_to("../../a")), "a -> ../../a would be outside"),
        ("set.tar", tar({"a": b""}, device), "a is neither a file,"),
        ("set.zip", zipped({"../a": b"1"}), "../a would be outside of the directory"),
        ("set.zip", zipped({"/etc/a": b"1"}), "/etc/a would be outside of the directory"),
        ("set.zip", encrypted(), "is encrypted, password required"),
        ("set.zip", zipped()[:-30], "is no archive of tar, also with gzip, bzip2 or xz, and zip"),
        ("set.tar", tar()[:2000], "unexpected end of data"),
        ("set.tar.gz", gzip.compress(tar())[:-20], "end-of-stream marker"),
        ("set.tar.gz", damaged(), "CRC check failed"),
        ("set.tar.bz2", bz2.compress(tar())[:-20], "end-of-stream marker"),
        ("set.tar.xz", lzma.compress(tar())[:-20], "end-of-stream marker"),
        ("set.tar.zst", b"\x28\xb5\x2f\xfd0000", "is no archive of tar, also with gzip,"),
        ("set.csv", b"x,y\n", "is no archive of tar, also with gzip,"),
    ],
)
def test_what_cannot_be_unpacked_is_the_cause_and_leaves_nothing(
    initializer: Initializer, claim: Path, name: str, content: bytes, message: str
) -> None:
    (claim / name).write_bytes(content)
    assert extract(initializer, claim) == 1
    reason, text = initializer.failure
    assert reason == "InvalidArchive"
    assert text.startswith(f"pvc://sets: {name}")
    assert message in text
    assert "spec.initContainers" in text
    assert list(initializer.volume.iterdir()) == []
    assert not (initializer.volume.parent / "a").exists()


def test_files_none_of_which_is_an_archive(initializer: Initializer, claim: Path) -> None:
    for name in ("a.csv", "b.npz"):
        (claim / name).write_bytes(b"1")
    assert extract(initializer, claim) == 1
    reason, text = initializer.failure
    assert reason == "InitializerFailed"
    assert "none of its 2 files is an archive" in text


@pytest.mark.parametrize(
    ("name", "content", "whole"), [("set.tar", tar(), len(tar())), ("set.zip", zipped(), 3005)]
)
def test_the_progress_is_that_of_unpacking(
    tmp_path: Path, name: str, content: bytes, whole: int
) -> None:
    class Source:
        def fetch(self, place: Path, progress: Progress) -> None:
            (place / name).write_bytes(content)
            progress.total = progress.done = len(content)

    progress = Progress()
    ExtractedSource(Source()).fetch(tmp_path, progress)
    assert (progress.done, progress.total) == (whole, whole)
    assert progress.text().startswith(f"unpacking {name}: ")

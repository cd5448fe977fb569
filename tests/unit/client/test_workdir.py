import os
import subprocess
from pathlib import Path

import pytest
from trainingjob.adapters import workdir
from trainingjob.core.snapshot import File
from trainingjob.errors import UserError


def write(directory: Path, **files: str) -> None:
    """Write files; `__` in a name is a folder, `DOT` a dot at its beginning."""
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def git(directory: Path, *arguments: str) -> str:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    done = subprocess.run(
        ("git", "-C", str(directory), *author, *arguments),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def paths(directory: Path) -> list[str]:
    return sorted(file.path for file in workdir.read(directory)[0])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit."""
    git(tmp_path, "init", "--quiet")
    write(tmp_path, train="1", src__model="2", DOTgitignore="*.log\ndata/\n")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    return tmp_path


def test_what_git_knows_or_would_take_goes_along(repository: Path) -> None:
    write(repository, new="3", data__big="4", a__b__c="5")
    (repository / "src" / "deep.log").write_text("6")
    assert paths(repository) == [".gitignore", "a/b/c", "new", "src/model", "train"]


def test_a_file_that_was_deleted_does_not(repository: Path) -> None:
    (repository / "train").unlink()
    assert paths(repository) == [".gitignore", "src/model"]


def test_tjignore_counts_for_files_that_git_has_too(repository: Path) -> None:
    write(repository, DOTtjignore="/src/\n!x\n.*ignore\n")
    assert paths(repository) == ["train"]


def test_a_part_of_a_repository_goes_along_with_its_own_names(repository: Path) -> None:
    assert paths(repository / "src") == ["model"]


def test_the_commit_and_whether_files_differ_from_it(repository: Path) -> None:
    sha = git(repository, "rev-parse", "HEAD")
    _, clean = workdir.read(repository)
    assert clean is not None
    assert (clean.sha, clean.dirty) == (sha, False)
    write(repository, new="3")
    _, dirty = workdir.read(repository)
    assert dirty is not None
    assert dirty.dirty


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    write(tmp_path, train="1")
    files, commit = workdir.read(tmp_path)
    assert (files, commit) == ([File("train", b"1")], None)


def test_a_repository_within_is_read_by_its_own_git(repository: Path) -> None:
    inner = repository / "inner"
    inner.mkdir()
    git(inner, "init", "--quiet")
    write(inner, lib="1", DOTgitignore="*.tmp\n", a="2")
    (inner / "b.tmp").write_text("3")
    assert paths(repository) == [
        *(".gitignore", "inner/.gitignore", "inner/a", "inner/lib"),
        *("src/model", "train"),
    ]


def test_without_git_all_goes_along_but_what_no_training_needs(tmp_path: Path) -> None:
    write(tmp_path, train="1", src__model="2", DOTgitignore="*.log\n", mlruns__0__meta="3")
    write(tmp_path, DOTvenv__bin__python="4")
    (tmp_path / "out.log").write_text("5")
    cache = tmp_path / "src" / "__pycache__"
    cache.mkdir()
    (cache / "model.pyc").write_text("6")
    os.mkfifo(tmp_path / "pipe")
    assert paths(tmp_path) == [".gitignore", "src/model", "train"]


def test_modes_and_links_within_are_kept(tmp_path: Path) -> None:
    write(tmp_path, run="1", train="2")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "latest").symlink_to("train")
    (tmp_path / "absolute").symlink_to(tmp_path / "train")
    files, _ = workdir.read(tmp_path)
    assert sorted(files, key=lambda file: file.path) == [
        File("absolute", b"2"),  # its target has another path in the pod
        File("latest", link="train"),
        File("run", b"1", executable=True),
        File("train", b"2"),
    ]


def test_a_link_to_a_file_outside_brings_its_content(tmp_path: Path) -> None:
    write(tmp_path, outside="1", code__train="2")
    (tmp_path / "code" / "shared").symlink_to("../outside")
    assert [(file.path, file.content) for file in workdir.read(tmp_path / "code")[0]] == [
        ("shared", b"1"),
        ("train", b"2"),
    ]


def test_a_link_to_a_directory_outside_is_refused(tmp_path: Path) -> None:
    write(tmp_path, data__big="1", code__train="2")
    (tmp_path / "code" / "data").symlink_to(tmp_path / "data")
    with pytest.raises(UserError) as refused:
        workdir.read(tmp_path / "code")
    assert str(refused.value) == (
        f"data links to {tmp_path / 'data'}, which is not in the working directory: put data into "
        ".tjignore, or copy what it links to"
    )
    write(tmp_path, code__DOTtjignore="data\n")
    assert paths(tmp_path / "code") == [".tjignore", "train"]


def test_a_large_directory_is_refused_without_being_read(tmp_path: Path) -> None:
    write(tmp_path, train="1")
    with (tmp_path / "data.bin").open("wb") as sparse:
        sparse.truncate(2**42)
    with pytest.raises(UserError) as refused:
        workdir.read(tmp_path)
    assert refused.value.message == (
        "the code has 4096.0 GiB, more than the 256 MiB that can go along; the largest files are "
        "data.bin (4096.0 GiB), train (1 B)"
    )


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no directory: name the one with the code"):
        workdir.read(tmp_path / "nope")

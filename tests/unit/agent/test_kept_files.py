"""Files on their way from a script to the process beside it."""

from pathlib import Path

import pytest
from trainingjob_agent.delivery.kept_files import KeptFiles


def test_each_file_comes_once_as_a_copy_with_its_place_in_the_artifacts(tmp_path: Path) -> None:
    source = tmp_path / "plot.png"
    put, take = KeptFiles(tmp_path / "kept"), KeptFiles(tmp_path / "kept")
    assert list(take.take()) == [], "nothing was kept"

    for content, place in [("1", "plots/deep"), ("2", "")]:
        source.write_text(content)
        put.put(source, place)
    source.unlink()
    taken = list(take.take())

    assert [(file.name, file.read_text(), place) for file, place in taken] == [
        ("plot.png", "1", "plots/deep"),
        ("plot.png", "2", ""),
    ]
    assert list(take.take()) == []


def test_a_file_that_cannot_be_copied_leaves_nothing(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path / "kept")

    with pytest.raises(FileNotFoundError):
        kept.put(tmp_path / "absent", "plots")

    assert list((tmp_path / "kept").iterdir()) == []
    assert list(kept.take()) == []

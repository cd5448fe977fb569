"""The parts of a release: one version, notes of the changelog, licenses, pinned actions."""

import re

import pytest

from release import licenses, version
from release.licenses import Package
from release.notes import notes
from release.version import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
ADDRESS = "https://git.example.com/trainingjob/blob/v0.1.0"


def test_all_places_have_the_version_of_the_file() -> None:
    placed = dict(version.placed(version.current()))
    assert len(placed) == 12
    assert [path for path, text in placed.items() if path.read_text() != text] == []


def test_another_version_changes_what_has_this_one_and_nothing_else() -> None:
    chart = ROOT / "helm" / "trainingjob-operator" / "Chart.yaml"
    text = dict(version.placed("2.0.0-rc.1"))[chart]
    assert text.count("2.0.0-rc.1") == 6
    assert text == chart.read_text().replace(version.current(), "2.0.0-rc.1")


@pytest.mark.parametrize("text", ["", "v1.2.3", "1.2", "1.2.3 "])
def test_a_version_has_three_numbers(
    text: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path_factory.mktemp("version") / "VERSION"
    file.write_text(f"{text}-\n" if text.endswith(" ") else text)
    monkeypatch.setattr(version, "VERSION", file)
    with pytest.raises(SystemExit, match=r"not a version such as 1\.2\.3"):
        version.current()


def test_the_notes_are_the_section_of_the_changelog_with_full_links() -> None:
    text = notes(version.current(), ADDRESS)
    assert text.startswith("The first release.")
    assert f"]({ADDRESS}/docs/troubleshooting.md)" in text
    assert re.findall(r"\]\((?!https:)[^)]*\)", text) == []


def test_a_version_that_the_changelog_does_not_have_has_no_notes() -> None:
    with pytest.raises(SystemExit, match=re.escape("no section [9.9.9]")):
        notes("9.9.9", ADDRESS)


@pytest.mark.parametrize(
    ("license_", "copyleft"),
    [
        ("Apache-2.0", False),
        ("Mozilla Public License 2.0 (MPL 2.0)", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("LGPL-2.1-or-later", False),
        ("GPL-3.0-only", True),
        ("AGPL-3.0", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("GNU Affero General Public License v3", True),
    ],
)
def test_licenses_that_extend_to_the_whole(license_: str, copyleft: bool) -> None:
    assert Package("a", "1", license_).copyleft is copyleft


def test_notice_lists_each_package() -> None:
    text = licenses.notice([Package("a", "1", "MIT"), Package("b", "2", "BSD-3-Clause")])
    assert text.endswith("\n\na 1: MIT\nb 2: BSD-3-Clause\n")


def test_actions_are_named_by_commit() -> None:
    used = [line for path in WORKFLOWS for line in re.findall(r"uses: (.*)", path.read_text())]
    assert len(used) >= 10
    pinned = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [one for one in used if not pinned.fullmatch(one)] == []


def test_only_one_place_names_a_registry() -> None:
    named = {
        path.name: re.findall(r"(?:ghcr|quay|docker)\.io", path.read_text()) for path in WORKFLOWS
    }
    assert named == {"ci.yaml": [], "release.yaml": ["ghcr.io"]}

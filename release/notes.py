"""The notes of a release: its section of the changelog, with links that work elsewhere."""

import re

from release.version import ROOT


def notes(version: str, repository: str) -> str:
    """The section of CHANGELOG.md for a version.

    `repository` is the address of the repository at the release's tag; links of the section are
    relative to it.

    Raises:
        SystemExit: the changelog has no such section.
    """
    text = (ROOT / "CHANGELOG.md").read_text()
    heading = rf"^## \[{re.escape(version)}\].*?\n(.*?)(?=^## \[|\Z)"
    found = re.search(heading, text, re.MULTILINE | re.DOTALL)
    if not found:
        raise SystemExit(f"CHANGELOG.md has no section [{version}]")
    return re.sub(r"\]\((?!https?:)([^)]+)\)", rf"]({repository}/\1)", found[1]).strip() + "\n"

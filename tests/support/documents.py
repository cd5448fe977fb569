"""What docs/ says, for tests that hold it to the code."""

import re
from functools import cache
from pathlib import Path

from trainingjob_operator.api import State

DOCS = Path(__file__).parents[2] / "docs"
_EDGE = re.compile(r"^    (\S+) --> (\w+)", re.MULTILINE)


@cache
def documented_transitions() -> frozenset[tuple[State | None, State]]:
    """The edges of the state diagram in docs/concepts.md; None is the state before the first."""
    edges = _EDGE.findall((DOCS / "concepts.md").read_text())
    return frozenset((None if old == "[*]" else State(old), State(new)) for old, new in edges)


def table_rows(page: str, columns: int) -> list[list[str]]:
    """The cells of all rows of a page's tables with so many columns."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (DOCS / page).read_text().splitlines()
        if line.startswith("| ")
    ]
    return [row for row in rows if len(row) == columns]

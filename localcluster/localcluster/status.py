"""How a cluster is, as plain rows; and as text for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Row:
    """One component: ``state`` is healthy, failing or absent."""

    component: str
    state: str
    restarts: int
    detail: str


def rows(known: dict[str, Any]) -> list[Row]:
    """Rows from the supervisor's health file; none if it does not run."""
    return [
        Row(
            name,
            "healthy" if component["healthy"] else "failing",
            component["restarts"],
            component["detail"],
        )
        for name, component in known.get("components", {}).items()
    ]


def table(listed: Sequence[Row]) -> str:
    """The rows under headings, in columns."""
    cells = [("COMPONENT", "STATE", "RESTARTS", "DETAIL")]
    cells += [(row.component, row.state, str(row.restarts), row.detail) for row in listed]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )

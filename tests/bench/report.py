"""The tables of the benchmarks, printed and kept in the form of docs/benchmarks.md.

Each table goes to out/benchmarks/NAME.md; `python -m tests.bench.report` puts them into the page
between the marks `<!-- NAME -->` and `<!-- end -->`.
"""

import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "out" / "benchmarks"
PAGE = REPOSITORY / "docs" / "benchmarks.md"


def report(name: str, title: str, columns: Sequence[str], *rows: Sequence[str]) -> None:
    """Print one table and keep it; the first column is text, the others are figures."""
    lines = [
        f"| {' | '.join((title, *columns))} |",
        f"|---|{'--:|' * len(columns)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        f"{machine()}.",
    ]
    text = "\n".join(lines)
    print(f"\n{text}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.md").write_text(f"{text}\n")


def beside(times: Sequence[float], baseline: Sequence[float]) -> tuple[str, str]:
    """The median of times in seconds, and how far it is from the baseline's."""
    median = statistics.median(times)
    return f"{1e3 * median:.3f} ms", f"{100 * (median / statistics.median(baseline) - 1):+.2f} %"


def machine() -> str:
    """What the figures were measured on, and how busy it was."""
    load = os.getloadavg()[0]
    day = datetime.now(UTC).date().isoformat()
    return f"{day}, {os.cpu_count()} cores ({platform.machine()}), load {load:.1f} at the end"


def with_results(page: str, results: Path) -> str:
    """The page with each table that was measured in its place."""
    for table in sorted(results.glob("*.md")):
        first, _, rest = page.partition(f"<!-- {table.stem} -->\n")
        _, mark, last = rest.partition("<!-- end -->")
        if mark:
            page = f"{first}<!-- {table.stem} -->\n{table.read_text()}{mark}{last}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_results(PAGE.read_text(), RESULTS))

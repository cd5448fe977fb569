"""docs/benchmarks.md has a place for each table that the benchmarks make."""

import re
from pathlib import Path

from tests.bench.report import PAGE, REPOSITORY, with_results

MARKS = re.compile(r"<!-- ([\w-]+) -->\n.*?<!-- end -->", re.DOTALL)
CALL = re.compile(r"report\(\s*\"([\w-]+)\"")


def test_each_table_has_its_place_on_the_page() -> None:
    files = (REPOSITORY / "tests" / "bench").glob("test_*.py")
    made = {name for file in files for name in CALL.findall(file.read_text())}
    assert set(MARKS.findall(PAGE.read_text())) == made


def test_a_table_replaces_the_one_before_it(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("| new |\n")
    page = "# A\n<!-- a -->\n| old |\n<!-- end -->\n<!-- b -->\n| old |\n<!-- end -->\nthe rest\n"
    assert with_results(page, tmp_path) == page.replace(
        "<!-- b -->\n| old |", "<!-- b -->\n| new |"
    )

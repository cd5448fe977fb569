"""The commands and the YAML that the pages for users show, for tests that run them.

A command is a line of a block of shell, or a code span that begins with a program of ours or of the
cluster. What a person fills in stands in capitals (`NAME`), or is an ellipsis.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGES = (
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    REPOSITORY / "helm" / "trainingjob-operator" / "README.md",
    *sorted(
        page
        for page in (REPOSITORY / "docs").rglob("*.md")
        if page.parent.name != "decisions"  # those are of their day
    ),
)
PROGRAMS = (
    *("docker", "helm", "kubectl", "make", "mlflow", "pip", "tj"),
    *(r"(?:\.venv/bin/)?localcluster", r"\.venv/bin/pytest", "trainingjob-exec"),
    "trainingjob-trainer",
)
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(rf"`((?:{'|'.join(PROGRAMS)})\s[^`]+)`")
_COMMENT = re.compile(r"(^|\s+)# .*$")


@dataclass(frozen=True)
class Snippet:
    """What a page shows at one place."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def blocks(*languages: str) -> Iterator[Snippet]:
    """The fenced blocks in these languages, without the indentation of a list around them."""
    for page, text in _pages():
        for found in _BLOCK.finditer(text):
            if found[2] in languages:
                lines = [line.removeprefix(found[1]) for line in found[3].splitlines()]
                yield Snippet(page, _line(text, found.start(3)), "\n".join(lines))


def commands() -> Iterator[Snippet]:
    """All commands, each once for a place; in blocks of `console` those after a prompt."""
    for language in ("sh", "console"):
        for block in blocks(language):
            joined = block.text.replace("\\\n", " ")
            for line in joined.splitlines():
                if language == "console" and not line.startswith("$ "):
                    continue
                if command := _COMMENT.sub("", line.removeprefix("$ ")):
                    yield Snippet(block.page, block.line, " ".join(command.split()))
    for page, text in _pages():
        prose = _BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
        for found in _SPAN.finditer(prose):
            yield Snippet(page, _line(prose, found.start()), " ".join(found[1].split()))


def _pages() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        yield str(page.relative_to(REPOSITORY)), page.read_text()


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


ON_A_NODE = re.compile(
    r"helm test .+"
    r"|kubectl exec .+"
    r"|kubectl logs (job/my-script-1|POD.*)"
    r"|kubectl --namespace trainingjob-system (logs|port-forward) .+"
)
"""The commands that need a kubelet and that tests/e2e/test_documented_commands.py runs."""

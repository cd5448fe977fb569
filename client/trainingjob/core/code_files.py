"""Which files of a directory go along: by .tjignore, and by .gitignore where git does not say."""

from collections.abc import Iterable

from pathspec import GitIgnoreSpec

IGNORE_FILE, GIT_IGNORE_FILE = ".tjignore", ".gitignore"
# What no training needs, whether or not a file says so.
_NEVER = (".git/", "__pycache__/", "*.pyc", ".venv/", ".mypy_cache/", ".ruff_cache/",
          ".pytest_cache/", ".ipynb_checkpoints/", ".DS_Store", "mlruns/",
    ".trainingjob/", "mlflow.db")  # fmt: skip


def chosen(paths: Iterable[str], *ignore_files: str) -> list[str]:
    """The paths that go along: those that no line of these files' texts matches (gitignore(5))."""
    lines = [*_NEVER, *(line for text in ignore_files for line in text.splitlines())]
    spec = GitIgnoreSpec.from_lines(lines)
    return [path for path in paths if not spec.match_file(path)]

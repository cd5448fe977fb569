"""The version of a release: the file VERSION is its source, all other places follow.

`python -m release.version` writes it everywhere, `--check` fails where it differs.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = ROOT / "VERSION"
NUMBER = r"\d+\.\d+\.\d+(?:-[\w.]+)?"
# Each pattern has the version between two groups.
PROJECT = rf'(^version = "){NUMBER}(")'
MODULE = rf'(^__version__ = "){NUMBER}(")'
IMAGE = rf"(trainingjob/(?:operator|trainer|agent):){NUMBER}()"
PLACES = {
    "pyproject.toml": PROJECT,
    "client/pyproject.toml": PROJECT,
    "localcluster/pyproject.toml": PROJECT,
    "trainer_image/agent/pyproject.toml": PROJECT,
    "trainer_image/trainer/pyproject.toml": PROJECT,
    "operator/trainingjob_operator/__init__.py": MODULE,
    "client/trainingjob/__init__.py": MODULE,
    "helm/trainingjob-operator/Chart.yaml": rf'(^(?:version: |appVersion: ")){NUMBER}("?$)',
    "docs/install.md": rf"((?:trainingjob/(?:operator|trainer|agent):|^    version: )){NUMBER}()",
    "docs/how-to/argocd.md": rf"(targetRevision: ){NUMBER}()",
    "docs/trainer/your-own-task.md": IMAGE,
    "docs/trainer/your-own-script.md": IMAGE,
}
# The images in the annotations for Artifact Hub, beside the chart's own version.
ALSO = {"helm/trainingjob-operator/Chart.yaml": IMAGE}


def current() -> str:
    """The version in VERSION.

    Raises:
        SystemExit: it is no version; the message says which form it has.
    """
    text = VERSION.read_text().strip()
    if not re.fullmatch(NUMBER, text):
        raise SystemExit(f"VERSION has {text!r}, not a version such as 1.2.3 or 1.2.3-rc.1")
    return text


def placed(version: str) -> Iterator[tuple[Path, str]]:
    """Each file that has the version, with the text that it should have.

    Raises:
        SystemExit: a file no longer has the place.
    """
    for name in PLACES:
        path = ROOT / name
        text = path.read_text()
        for pattern in (PLACES[name], ALSO.get(name)):
            if pattern is None:
                continue
            text, found = re.subn(pattern, rf"\g<1>{version}\g<2>", text, flags=re.MULTILINE)
            if not found:
                raise SystemExit(f"{name} has no version where {pattern} looks for it")
        yield path, text


def main() -> int:
    """Write the version, or with --check say where it differs; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the version of VERSION everywhere")
    parser.add_argument("--check", action="store_true", help="fail on a difference, write nothing")
    check = parser.parse_args().check
    version = current()
    stale = [(path, text) for path, text in placed(version) if path.read_text() != text]
    for path, text in stale:
        name = path.relative_to(ROOT)
        if check:
            print(f"{name} is not of version {version}: run `make version`", file=sys.stderr)
        else:
            path.write_text(text)
            print(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

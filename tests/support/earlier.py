"""The operator and the chart of an earlier commit, taken from the repository's history."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from demo.cluster import ROOT

COMMIT = "e0cfb12373792e25469ce75d2b157d14e60a7b32"
"""Of 30 November 2026: before runtimes, `agent: Inject` and the handles of the chart."""
CHART = "helm/trainingjob-operator"
OPERATOR = "operator/trainingjob_operator"


def extract(directory: Path) -> None:
    """Write CHART and OPERATOR of that commit into the directory, under these paths.

    A shallow clone fetches the commit. The test fails where that is not possible.
    """
    if _git("cat-file", "-e", f"{COMMIT}^{{commit}}").returncode:
        _git("fetch", "--quiet", "--depth=1", "origin", COMMIT)
    archive = _git("archive", COMMIT, CHART, OPERATOR)
    if archive.returncode:
        pytest.fail(
            f"no commit {COMMIT[:8]}, whose chart this test upgrades: "
            f"{archive.stderr.decode().strip()}; run `git fetch --unshallow`"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(directory, filter="data")


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, check=False)

"""The chart as it is published: images by registry and digest, in a package for an OCI registry."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from release.version import ROOT

CHART = ROOT / "helm" / "trainingjob-operator"
IMAGES = ("operator", "agent", "trainer")


def package(helm: str, registry: str, digests: Mapping[str, str], target: Path) -> Path:
    """Package the chart with images of a registry; returns the .tgz in the directory `target`.

    `digests` has the digest of each image, `sha256:…`, or none to name images by tag.

    Raises:
        SystemExit: an image is not where values.yaml should have it.
    """
    with TemporaryDirectory() as directory:
        staged = Path(directory) / CHART.name
        shutil.copytree(CHART, staged)
        values = staged / "values.yaml"
        values.write_text(published(values.read_text(), registry, digests))
        metadata = staged / "Chart.yaml"
        metadata.write_text(
            re.sub(r"(image: )(trainingjob/)", rf"\g<1>{registry}/", metadata.read_text())
        )
        command = [helm, "package", str(staged), f"--destination={target}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    [made] = target.glob(f"{CHART.name}-*.tgz")
    return made


def published(values: str, registry: str, digests: Mapping[str, str]) -> str:
    """The values with the images of a registry, by digest where there is one."""
    for image in IMAGES:
        block = rf'(repository: )trainingjob/{image}(\n(?:.*\n){{1,4}}? +digest: )""'
        digest = digests.get(image, "")
        values, found = re.subn(block, rf'\g<1>{registry}/{image}\g<2>"{digest}"', values)
        if found != 1:
            raise SystemExit(f"values.yaml names trainingjob/{image} {found} times, not once")
    return values

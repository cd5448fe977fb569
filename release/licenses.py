"""NOTICE: the licenses of all packages that images and wheels bring along."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from release.version import ROOT

HEAD = """\
TrainingJob operator
Licensed under the Apache License, Version 2.0 (see LICENSE).

The images of this release contain the packages below under licenses of their own.
The texts are in the packages' .dist-info directories.
"""
# With these the whole work would have to be under the same license.
COPYLEFT = re.compile(r"\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)
LESSER = re.compile(r"LGPL|Lesser", re.IGNORECASE)


@dataclass(frozen=True)
class Package:
    """One package that a release brings along."""

    name: str
    version: str
    license: str

    @property
    def copyleft(self) -> bool:
        """Whether its license extends to what it is part of."""
        return bool(COPYLEFT.search(LESSER.sub("", self.license)))


def locked(package: str, uv: str) -> Iterator[tuple[str, str]]:
    """Name and version of all that uv.lock has for a package of the workspace, on this machine."""
    command = (uv, "export", "--quiet", "--frozen", "--no-dev", "--no-hashes", "--no-annotate")
    options = ("--no-header", "--no-emit-workspace", f"--package={package}")
    text = subprocess.run(
        (*command, *options), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    for line in text.splitlines():
        if found := re.match(r"([\w.-]+)==([^\s;]+)", line):
            yield found[1], found[2]


def license_of(found: Distribution) -> str:
    """The license that a package says it has: expression, classifiers, or the first line of it."""
    metadata = found.metadata
    classifiers = [
        one.rsplit("::", 1)[-1].strip()
        for one in metadata.get_all("Classifier") or []
        if one.startswith("License ::")
    ]
    expressions = metadata.get_all("License-Expression") or []
    stated = [line for text in metadata.get_all("License") or [] for line in text.split("\n")]
    return next(iter(expressions), "") or ", ".join(classifiers) or (stated or ["not stated"])[0]


def packages(roots: tuple[str, ...], uv: str) -> list[Package]:
    """All packages of the workspace's `roots` that are installed here, by name.

    Those for other systems only are not installed, and not in the images either.
    """
    names = sorted({one for root in roots for one in locked(root, uv)})
    made = []
    for name, version in names:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if found.version == version:
            made.append(Package(name, version, license_of(found)))
    return made


def notice(found: list[Package]) -> str:
    """The text of NOTICE."""
    return HEAD + "".join(f"\n{one.name} {one.version}: {one.license}" for one in found) + "\n"

"""`python -m release`: the parts of a release that need no registry, as the workflow makes them.

Everything goes to a directory: wheels, which are installed into fresh environments and tried; the
chart's package; an SBOM (CycloneDX 1.5) and NOTICE; and the notes.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from release import chart, licenses
from release.notes import notes
from release.version import ROOT, current

# What a fresh environment with the wheel must be able to do. The trainer's needs torch, gigabytes
# that are no part of a wheel: its modules are in the image's tests.
TRIED = {
    "trainingjob-operator": ("python", "-c", "import trainingjob_operator.application"),
    "trainingjob-agent": ("trainingjob-exec", "--help"),
    "trainingjob": ("tj", "--help"),
}
WHEELS = (*TRIED, "trainingjob-trainer")
IMAGES_OF = ("trainingjob-operator", "trainingjob-agent", "trainingjob-trainer")


def run(*command: str) -> None:
    """Run a command from the repository's root; CalledProcessError if it fails."""
    subprocess.run(command, cwd=ROOT, check=True)


def wheels(uv: str, target: Path) -> None:
    """Build all wheels, and try each in an environment that has the locked dependencies only."""
    for package in WHEELS:
        run(uv, "build", "--quiet", "--wheel", f"--package={package}", f"--out-dir={target}")
    for package, command in TRIED.items():
        environment = target.parent / "environments" / package
        requirements = target.parent / f"{package}.txt"
        locked = ("--frozen", "--no-dev", "--no-emit-workspace", "--no-annotate", "--no-header")
        export = ("--quiet", *locked, f"--package={package}", f"--output-file={requirements}")
        run(uv, "export", *export)
        run(uv, "venv", "--quiet", "--clear", str(environment))
        [wheel] = target.glob(f"{package.replace('-', '_')}-[0-9]*.whl")
        python = f"--python={environment}/bin/python"
        run(uv, "pip", "install", "--quiet", python, f"--requirements={requirements}", str(wheel))
        program, *arguments = command
        tried = [str(environment / "bin" / program), *arguments]
        subprocess.run(tried, cwd=target, check=True, stdout=subprocess.DEVNULL)
        print(f"{wheel.name}: installed and tried: {' '.join(command)}")


def bill_of_materials(uv: str, target: Path) -> None:
    """Write the SBOM and NOTICE; SystemExit for a license that would extend to our work."""
    for package in WHEELS:
        file = target / f"{package}.cdx.json"
        locked = ("--frozen", "--no-dev", "--preview", "--format=cyclonedx1.5")
        run(uv, "export", "--quiet", *locked, f"--package={package}", f"--output-file={file}")
    found = licenses.packages(IMAGES_OF, uv)
    if refused := [one for one in found if one.copyleft]:
        raise SystemExit(f"licenses that cannot be part of the images: {refused}")
    (target / "NOTICE").write_text(licenses.notice(found))
    print(f"NOTICE: {len(found)} packages")


def main() -> int:
    """Make all parts; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--target", type=Path, default=ROOT / "out" / "release")
    parser.add_argument("--helm", default="helm", help="the helm binary (default: from PATH)")
    parser.add_argument("--registry", default="registry.example.com/trainingjob")
    parser.add_argument("--repository", default="https://git.example.com/trainingjob/blob/v0.0.0")
    parser.add_argument("--digest", action="append", default=[], metavar="IMAGE=sha256:…")
    given = parser.parse_args()
    uv = os.environ.get("UV", "uv")
    target: Path = given.target
    target.mkdir(parents=True, exist_ok=True)
    for older in target.glob("*.tgz"):
        older.unlink()
    (target / "notes.md").write_text(notes(current(), given.repository))
    digests = dict(one.split("=", 1) for one in given.digest)
    print(f"chart: {chart.package(given.helm, given.registry, digests, target).name}")
    wheels(uv, target / "wheels")
    bill_of_materials(uv, target)
    return 0


if __name__ == "__main__":
    sys.exit(main())

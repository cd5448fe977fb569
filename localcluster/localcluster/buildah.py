"""Images without a Docker engine: buildah, with its storage in the cache."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster.commands import logged, output, succeeds
from localcluster.locking import exclusive
from localcluster.paths import cache_directory
from localcluster.progress import step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BASE_IMAGE = "docker.io/library/python:3.11-slim-bookworm"
BASE_SUITE = "bookworm"
BASE_PACKAGES = ("python3", "python3-venv", "ca-certificates", "tini")
BASE_LABEL = "localcluster.recipe"
CERTIFICATES = "/etc/ssl/certs"
CERTIFICATE_BUNDLE = f"{CERTIFICATES}/ca-certificates.crt"


@dataclass(frozen=True)
class Storage:
    """Directories of images, of what is true until the command ends, and of temporary files."""

    root: Path
    runtime: Path
    temporary: Path

    @property
    def isolation(self) -> tuple[str, ...]:
        """The prefix of a command that leaves none of its mounts behind."""
        return ("unshare", "--mount", "env", f"TMPDIR={self.temporary}")


def directory() -> Path:
    """Where buildah keeps images and the caches of RUN steps."""
    return cache_directory() / "buildah"


@contextmanager
def storage() -> Iterator[Storage]:
    """Buildah's storage, for one at a time: what it remembers of mounts is true for one only."""
    with exclusive(directory() / "lock", "using buildah"):
        (directory() / "tmp").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="run-", dir=directory()) as runtime:
            yield Storage(directory() / "storage", Path(runtime), directory() / "tmp")


@contextmanager
def command(*arguments: str) -> Iterator[list[str]]:
    """A buildah command line."""
    with storage() as store:
        yield [
            *(*store.isolation, "buildah", f"--root={store.root}", f"--runroot={store.runtime}"),
            *("--storage-driver=overlay", *arguments),
        ]


def build(dockerfile: Path, image: str, context: Path, log: Path, arguments: Sequence[str]) -> None:
    """Build ``dockerfile``; RUN steps trust the certificate authorities that this machine trusts.

    Raises:
        ClusterError: the build failed; the message has its last lines.
    """
    with command(
        "bud",
        "--layers",
        "--isolation=chroot",
        "--network=host",
        "--pull=false",
        f"--volume={CERTIFICATES}:{CERTIFICATES}:ro",
        f"--file={dockerfile}",
        f"--tag={image}",
        *arguments,
        str(context),
    ) as argv:
        logged(argv, log)
    with storage() as store:
        # What RUN steps cached (gigabytes of wheels) is of use only when dependencies change.
        shutil.rmtree(store.temporary)


def prune(key: str) -> None:
    """Remove layers that no tagged image has, once for each ``key``.

    Builds are faster with them, but those of old dependencies are gigabytes.
    """
    pruned = directory() / "pruned-for"
    if pruned.exists() and pruned.read_text() == key:
        return
    # The container of a build that was interrupted keeps its image: then nothing can be pruned.
    for arguments in (("rm", "--all"), ("rmi", "--prune")):
        with command(*arguments) as argv:
            output(argv)
    pruned.write_text(key)


def export(image: str, layout: Path, tag: str) -> None:
    """Copy ``image`` to an OCI layout with uncompressed layers; those that it has are skipped."""
    with storage() as store:
        source = f"containers-storage:[overlay@{store.root}+{store.runtime}]{image}"
        copy = ("skopeo", "copy", "--quiet", "--dest-oci-accept-uncompressed-layers")
        output([*store.isolation, *copy, source, f"oci:{layout}:{tag}"])


def ensure_base() -> None:
    """Make the base image from Debian's packages, under the name that Dockerfiles use.

    Raises:
        ClusterError: debootstrap or buildah failed.
    """
    recipe = {"suite": BASE_SUITE, "packages": BASE_PACKAGES, "version": 1}
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    template = f'{{{{index .OCIv1.Config.Labels "{BASE_LABEL}"}}}}={key}'
    with command("inspect", "--type=image", f"--format={template}", BASE_IMAGE) as argv:
        if succeeds(argv) and output(argv).strip() == f"{key}={key}":
            return
    log = cache_directory() / "logs" / "image-base.log"
    work = directory() / "base"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with step(f"making the base image {BASE_IMAGE} from Debian packages"):
        packages = ",".join(BASE_PACKAGES)
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={packages}", BASE_SUITE]
        logged(["unshare", "--mount", *bootstrap, str(work / "root"), _mirror()], log)
        shutil.rmtree(work / "root" / "var" / "cache" / "apt")
        logged(["tar", "-C", str(work / "root"), "-cf", str(work / "root.tar"), "."], log)
        (work / "Dockerfile").write_text(
            "FROM scratch\n"
            "ADD root.tar /\n"
            f"ENV SSL_CERT_FILE={CERTIFICATE_BUNDLE}\n"
            f"LABEL {BASE_LABEL}={key}\n"
            'CMD ["python3"]\n'
        )
        build(work / "Dockerfile", BASE_IMAGE, work, log, ())
    shutil.rmtree(work)


def _mirror() -> str:
    """The Debian mirror that this machine uses."""
    found = output(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", f"Codename: {BASE_SUITE}"]
    ).split()
    return found[0] if found else "http://deb.debian.org/debian"

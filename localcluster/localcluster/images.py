"""Build the repository's images and bring them into the node.

Between builder and node lies an OCI layout on disk that both sides know by digests: the builder
writes only the layers that it lacks, the node reads only those.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from localcluster import buildah, debian, gobuild, image_layout, kind, pause, processes
from localcluster.commands import environment, logged, output
from localcluster.errors import ClusterError
from localcluster.node import PAUSE_IMAGE
from localcluster.paths import REPOSITORY, ClusterPaths, cache_directory
from localcluster.progress import step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

DOCKERFILES = {"operator": "operator/Dockerfile", "trainer": "trainer_image/Dockerfile"}
LAYOUT_PORT = 5000


def reference(name: str) -> str:
    """The full name of an image: ``operator`` and ``trainer`` are those of this repository."""
    if name in DOCKERFILES:
        return f"docker.io/trainingjob/{name}:dev"
    tagged = name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"
    first = tagged.split("/", 1)[0]
    if "/" not in tagged:
        return f"docker.io/library/{tagged}"
    return tagged if "." in first or ":" in first or first == "localhost" else f"docker.io/{tagged}"


def build(names: Sequence[str], build_arguments: Sequence[str]) -> None:
    """Build images of this repository, with docker where it is, otherwise with buildah.

    Raises:
        ClusterError: an unknown name, or a build that failed.
    """
    unknown = set(names) - set(DOCKERFILES)
    if unknown:
        raise ClusterError(f"not an image of this repository: {', '.join(sorted(unknown))}")
    arguments = [f"--build-arg={argument}" for argument in build_arguments]
    docker = kind.engine_answers()
    if not docker:
        debian.require_root()
        debian.ensure(debian.IMAGE_PROGRAMS)
        buildah.ensure_base()
    for name in names:
        dockerfile = REPOSITORY / DOCKERFILES[name]
        log = cache_directory() / "logs" / f"image-{name}.log"
        with step(f"building the image {reference(name)} (log: {log})"):
            build_file(dockerfile, reference(name), REPOSITORY, log, arguments)
    if not docker:
        buildah.prune(_dependencies_key())


def build_file(
    dockerfile: Path, image: str, context: Path, log: Path, arguments: Sequence[str]
) -> None:
    """Build one image from a Dockerfile; ClusterError if that fails."""
    if kind.engine_answers():
        argv = ["docker", "build", f"--file={dockerfile}", f"--tag={image}"]
        logged([*argv, *arguments, str(context)], log)
    else:
        buildah.build(dockerfile, image, context, log, arguments)


def _dependencies_key() -> str:
    """A hash of what determines the big layers."""
    sources = [REPOSITORY / "uv.lock", *(REPOSITORY / path for path in DOCKERFILES.values())]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def load(paths: ClusterPaths, name: str) -> None:
    """Bring a built image into the node; only layers that it lacks are moved.

    Raises:
        ClusterError: the cluster is down, or the image was not built.
    """
    image = reference(name)
    if kind.engine_answers():
        with step(f"loading {image}"):
            kind.load(image)
        return
    supervisor = _supervisor(paths)
    with step(f"loading {image}"):
        tag = image_layout.add(image)
        _pull(supervisor, tag, image)
        image_layout.prune()


def ensure_pause(paths: ClusterPaths) -> None:
    """Bring in the image that holds a pod's namespaces, unless the node has it."""
    supervisor = _supervisor(paths)
    if PAUSE_IMAGE not in output(_ctr(supervisor, "images", "ls", "-q")).split():
        archive = pause.archive(gobuild.binary_path("pause").read_bytes(), PAUSE_IMAGE)
        output(_ctr(supervisor, "images", "import", "-"), stdin=archive)


def _supervisor(paths: ClusterPaths) -> int:
    found = processes.supervisor_pid(paths.plan)
    if found is None:
        raise ClusterError("the node cluster is down: localcluster up")
    return found


def _pull(supervisor: int, tag: str, image: str) -> None:
    source = f"127.0.0.1:{LAYOUT_PORT}/{tag}:latest"
    with _serving_layout(supervisor):
        output(_ctr(supervisor, "images", "pull", "--plain-http", source))
    output(_ctr(supervisor, "images", "tag", "--force", source, image))
    replaced = replaced_images(output(_ctr(supervisor, "images", "ls")))
    output(_ctr(supervisor, "images", "rm", source, *replaced))
    # The layers are unpacked now; without these references the packed ones are collected.
    output(_ctr(supervisor, "content", "prune", "references"))


def replaced_images(listing: str) -> list[str]:
    """The images in ``ctr images ls`` that a newer one has taken the name of."""
    digests = {line.split()[0]: line.split()[2] for line in listing.splitlines()[1:]}
    named = {digest for name, digest in digests.items() if not name.startswith("sha256:")}
    return [name for name, digest in digests.items() if digest not in named]


@contextmanager
def _serving_layout(supervisor: int) -> Iterator[None]:
    """Serve the layout on the loopback address of the node's own network."""
    argv = ["nsenter", "--net", f"--target={supervisor}", sys.executable]
    argv += ["-m", "localcluster.image_server", str(image_layout.directory()), str(LAYOUT_PORT)]
    server = subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE)
    try:
        if server.stdout is None or not server.stdout.readline():
            raise ClusterError("the image server does not start")
        yield
    finally:
        server.terminate()
        server.communicate()


def _ctr(supervisor: int, *arguments: str) -> list[str]:
    program = str(gobuild.binary_path("ctr"))
    return [
        "nsenter",
        "--mount",
        "--net",
        f"--target={supervisor}",
        program,
        "--namespace=k8s.io",
        *arguments,
    ]

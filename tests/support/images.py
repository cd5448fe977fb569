"""Images that stand for those of other people, on the node of the tests."""

from pathlib import Path

from localcluster.commands import logged
from localcluster.paths import ClusterPaths, cache_directory

from localcluster import buildah, images, kind

DOCKERFILES = Path(__file__).parents[1] / "e2e" / "images"


def bring(name: str) -> str:
    """Build one from its directory, load it into the node, and return its reference."""
    reference = images.reference(f"localhost/{name}:dev")
    context = DOCKERFILES / name
    log = cache_directory() / "logs" / f"image-{name}.log"
    if kind.engine_answers():
        logged(["docker", "build", f"--tag={reference}", str(context)], log)
    else:
        buildah.build(context / "Dockerfile", reference, context, log, ())
    images.load(ClusterPaths.of("node"), reference)
    return reference

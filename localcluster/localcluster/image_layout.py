"""The OCI layout through which images move from the builder to the node."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from localcluster import buildah
from localcluster.paths import cache_directory

if TYPE_CHECKING:
    from pathlib import Path

TAG_ANNOTATION = "org.opencontainers.image.ref.name"


def directory() -> Path:
    """Where the layout is."""
    return cache_directory() / "images"


def tag_of(image: str) -> str:
    """The name of ``image`` in the layout, which allows no slashes and colons."""
    name = image.rsplit("/", 1)[-1].replace(":", "-").lower()
    return f"{name}-{hashlib.sha256(image.encode()).hexdigest()[:8]}"


def add(image: str) -> str:
    """Write the layers of ``image`` that the layout lacks; returns its name there."""
    tag = tag_of(image)
    buildah.export(image, directory(), tag)
    return tag


def index(layout: Path) -> dict[str, str]:
    """The digests of the manifests by tag; an image that lost its tag to a newer one has none."""
    tagged = {}
    for entry in json.loads((layout / "index.json").read_text())["manifests"]:
        if tag := entry.get("annotations", {}).get(TAG_ANNOTATION):
            tagged[tag] = entry["digest"]
    return tagged


def blob(layout: Path, digest: str) -> Path:
    """The file of a blob."""
    algorithm, _, value = digest.partition(":")
    return layout / "blobs" / algorithm / value


def prune() -> None:
    """Remove the images that lost their tag, and the blobs that no other image uses."""
    layout = directory()
    content = json.loads((layout / "index.json").read_text())
    tagged = set(index(layout).values())
    content["manifests"] = [part for part in content["manifests"] if part["digest"] in tagged]
    (layout / "index.json").write_text(json.dumps(content))
    used = set()
    for digest in index(layout).values():
        manifest: dict[str, Any] = json.loads(blob(layout, digest).read_text())
        used |= {digest, manifest["config"]["digest"]}
        used |= {layer["digest"] for layer in manifest["layers"]}
    kept = {blob(layout, digest) for digest in used}
    for path in (layout / "blobs").glob("*/*"):
        if path not in kept:
            path.unlink()

import json
from pathlib import Path

import pytest
from localcluster.errors import ClusterError

from localcluster import image_layout, images


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("operator", "docker.io/trainingjob/operator:dev"),
        ("trainer", "docker.io/trainingjob/trainer:dev"),
        ("trainingjob/trainer:dev", "docker.io/trainingjob/trainer:dev"),
        ("docker.io/trainingjob/trainer:dev", "docker.io/trainingjob/trainer:dev"),
        ("busybox", "docker.io/library/busybox:latest"),
        ("localhost/a:1", "localhost/a:1"),
        ("host:5000/a", "host:5000/a:latest"),
    ],
)
def test_names_of_images(name: str, reference: str) -> None:
    assert images.reference(name) == reference


def test_only_images_of_the_repository_are_built() -> None:
    with pytest.raises(ClusterError, match="not an image of this repository: nginx"):
        images.build(["operator", "nginx"], [])


def test_images_without_a_name_are_replaced_ones() -> None:
    listing = """\
REF                  TYPE          DIGEST       SIZE    PLATFORMS   LABELS
docker.io/x/new:dev  application/y sha256:aaaa  1.0 MiB linux/amd64 io.cri-containerd.image=managed
sha256:0001          application/y sha256:aaaa  1.0 MiB linux/amd64 io.cri-containerd.image=managed
sha256:0002          application/y sha256:bbbb  1.0 MiB linux/amd64 io.cri-containerd.image=managed
"""
    assert images.replaced_images(listing) == ["sha256:0002"]


def test_names_in_the_layout_do_not_collide() -> None:
    names = {image_layout.tag_of(name) for name in ("a/x:dev", "b/x:dev", "a/x-dev")}
    assert len(names) == 3


def test_prune_keeps_what_tagged_images_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAININGJOB_CACHE_DIR", str(tmp_path))
    layout = image_layout.directory()
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    manifest = {"config": {"digest": "sha256:c"}, "layers": [{"digest": "sha256:l"}]}
    for name, content in {"m": json.dumps(manifest), "c": "{}", "l": "", "old": ""}.items():
        (blobs / name).write_text(content)
    entry = {"digest": "sha256:m", "annotations": {image_layout.TAG_ANNOTATION: "x"}}
    replaced = {"digest": "sha256:old"}
    (layout / "index.json").write_text(json.dumps({"manifests": [replaced, entry]}))
    image_layout.prune()
    assert image_layout.index(layout) == {"x": "sha256:m"}
    assert json.loads((layout / "index.json").read_text()) == {"manifests": [entry]}
    assert sorted(path.name for path in blobs.iterdir()) == ["c", "l", "m"]

import io
import json
import tarfile
from typing import Any

from localcluster.pause import archive


def test_the_archive_is_one_image_with_one_program() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(b"program", "docker.io/x/pause:dev"))) as tar:
        files = {entry.name: tar.extractfile(entry) for entry in tar.getmembers()}
        contents = {name: file.read() for name, file in files.items() if file}

    def blob(digest: str) -> bytes:
        return contents[f"blobs/{digest.replace(':', '/')}"]

    described: dict[str, Any] = json.loads(contents["index.json"])["manifests"][0]
    assert described["annotations"] == {"io.containerd.image.name": "docker.io/x/pause:dev"}
    manifest = json.loads(blob(described["digest"]))
    layer = manifest["layers"][0]["digest"]
    assert json.loads(blob(manifest["config"]["digest"])) == {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    }
    with tarfile.open(fileobj=io.BytesIO(blob(layer))) as tar:
        (entry,) = tar.getmembers()
        assert (entry.name, entry.mode) == ("pause", 0o755)

"""The image that holds a pod's namespaces: one static program, packed as an image archive."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

USER = "65535:65535"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
NAME_ANNOTATION = "io.containerd.image.name"


def archive(program: bytes, image: str) -> bytes:
    """An OCI archive of ``image`` with ``program`` as its only file and entry point."""
    blobs: dict[str, bytes] = {}

    def add(content: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    layer = add(_tar({"pause": program}, mode=0o755), LAYER_TYPE)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": USER},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": add(json.dumps(config).encode(), CONFIG_TYPE),
        "layers": [layer],
    }
    described = add(json.dumps(manifest).encode(), MANIFEST_TYPE)
    described["annotations"] = {NAME_ANNOTATION: image}
    index = {"schemaVersion": 2, "manifests": [described]}
    files = {
        "oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
        "index.json": json.dumps(index).encode(),
        **blobs,
    }
    return _tar(files, mode=0o644)


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()

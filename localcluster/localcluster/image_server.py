"""A registry that only reads: it serves an OCI layout on loopback while images are loaded."""

from __future__ import annotations

import json
import re
import shutil
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from localcluster.components import LOOPBACK
from localcluster.image_layout import blob, index

MANIFEST = re.compile(r"/v2/(?P<name>[^/]+)/manifests/(?P<reference>[\w.:-]+)")
BLOB = re.compile(r"/v2/[^/]+/blobs/(?P<digest>sha256:[0-9a-f]{64})")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class LayoutHandler(BaseHTTPRequestHandler):
    """The part of the distribution API that a pull uses."""

    protocol_version = "HTTP/1.1"
    layout: Path

    def do_GET(self) -> None:
        """Answer with content."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with headers only."""
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Requests are not logged."""

    def _answer(self, *, with_body: bool) -> None:
        if manifest := MANIFEST.fullmatch(self.path):
            digest = manifest["reference"]
            if not DIGEST.fullmatch(digest):
                digest = index(self.layout).get(manifest["name"], "")
            self._send(digest, with_body=with_body, is_manifest=True)
        elif content := BLOB.fullmatch(self.path):
            self._send(content["digest"], with_body=with_body, is_manifest=False)
        else:
            known = self.path in {"/v2", "/v2/"}
            self.send_response(HTTPStatus.OK if known else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, digest: str, *, with_body: bool, is_manifest: bool) -> None:
        path = blob(self.layout, digest)
        if not digest or not path.is_file():
            self.send_response(HTTPStatus.NOT_FOUND)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        media_type = "application/octet-stream"
        if is_manifest:
            media_type = json.loads(path.read_text())["mediaType"]
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if with_body:
            with path.open("rb") as source:
                shutil.copyfileobj(source, self.wfile, 1 << 20)


def main() -> None:
    """Serve the layout given as first argument on the port given as second, until killed."""
    LayoutHandler.layout = Path(sys.argv[1])
    with ThreadingHTTPServer((LOOPBACK, int(sys.argv[2])), LayoutHandler) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()

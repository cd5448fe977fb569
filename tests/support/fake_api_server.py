"""An API server for tests of the client: TrainingJobs, pods, and logs whose connections break.

The real one of the tests has fake nodes, which have no logs.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

JOBS = "/apis/trainingjob.dev/v1alpha1/namespaces/ml/trainingjobs"
PODS = "/api/v1/namespaces/ml/pods"
CONTAINER = "trainer"


@dataclass
class FakePod:
    """A pod; `log` are its lines with their times, `break_after` after how many a reply breaks."""

    name: str
    attempt: int = 1
    rank: int = 0
    phase: str = "Running"
    log: list[str] = field(default_factory=list)
    break_after: int | None = None
    log_status: int = HTTPStatus.OK
    sidecar: bool = False
    """Whether a container runs on when the trainer has ended: the pod's phase is then Running."""

    def body(self) -> dict[str, Any]:
        return {
            "metadata": {
                "name": self.name,
                "namespace": "ml",
                "uid": f"uid-{self.name}",
                "labels": {
                    "trainingjob.dev/uid": "u-1",
                    "trainingjob.dev/attempt": str(self.attempt),
                },
                "annotations": {"batch.kubernetes.io/job-completion-index": str(self.rank)},
            },
            "status": self._status(),
        }

    def _status(self) -> dict[str, Any]:
        if not self.sidecar or self.phase not in ("Succeeded", "Failed"):
            return {"phase": self.phase}
        ended = {"terminated": {"exitCode": int(self.phase == "Failed")}}
        trainer = {"name": CONTAINER, "state": ended, "image": "", "imageID": "", "ready": False}
        return {"phase": "Running", "containerStatuses": [{**trainer, "restartCount": 0}]}


@dataclass
class FakeApiServer:
    """What it has may be changed while it runs; every change is seen by the watch."""

    job: dict[str, Any] | None
    pods: list[FakePod] = field(default_factory=list)
    failing: bool = False
    """Whether every call is answered with 503."""
    log_reads: list[str] = field(default_factory=list)
    """`sinceTime` of each reading of a log, empty without."""
    unknown: tuple[str, ...] = ()
    """Fields of the spec that its TrainingJobs do not have: it drops them, as the real one does."""
    writes: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, path and body of each call that changes something."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    version: int = 1
    ended: bool = False
    url: str = ""

    @contextmanager
    def change(self) -> Iterator[None]:
        """Change something."""
        with self.changed:
            yield
            self.version += 1
            self.changed.notify_all()

    @contextmanager
    def running(self) -> Iterator["FakeApiServer"]:
        """Serve on a free port of the loopback."""
        outer = self

        class Handler(_Handler):
            state = outer

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            with self.change():
                self.ended = True
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FakeApiServer

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        state = self.state
        if state.failing:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"kind": "Status", "message": "away"})
        elif path == JOBS and query.get("watch"):
            self._watch()
        elif path.startswith(f"{JOBS}/"):
            self._answer_job()
        elif path == JOBS:
            listed = [] if state.job is None else [self._versioned(state.job)]
            self._answer(HTTPStatus.OK, {"items": listed})
        elif path == PODS:
            self._answer(HTTPStatus.OK, {"items": [pod.body() for pod in state.pods]})
        elif path.endswith("/log"):
            self._log(path.removeprefix(f"{PODS}/").removesuffix("/log"), query)
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"kind": "Status", "message": path})

    def do_PATCH(self) -> None:
        """A merge patch of the job's spec."""
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.writes.append(("PATCH", self.path, patch))
        if self.state.job is not None:
            fields = {
                key: value for key, value in patch["spec"].items() if key not in self.state.unknown
            }
            with self.state.change():
                job = self.state.job
                self.state.job = {**job, "spec": {**job["spec"], **fields}}
        self._answer_job()

    def do_DELETE(self) -> None:
        """A deletion that is only asked for: the job stays."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.state.writes.append(("DELETE", self.path, None))
        self._answer_job()

    def _answer_job(self) -> None:
        if self.state.job is None:
            details = {"kind": "trainingjobs", "name": "mnist"}
            body = {"kind": "Status", "message": "not found", "details": details}
            self._answer(HTTPStatus.NOT_FOUND, body)
        else:
            self._answer(HTTPStatus.OK, self._versioned(self.state.job))

    def _versioned(self, job: dict[str, Any]) -> dict[str, Any]:
        metadata = {**job["metadata"], "resourceVersion": str(self.state.version)}
        return {**job, "metadata": metadata}

    def _watch(self) -> None:
        """The changes to come, until the server ends or fails."""
        state = self.state
        self._begin("application/json")
        seen = state.version
        while True:
            with state.changed:
                while state.version == seen and not state.ended:
                    state.changed.wait()
                if state.ended or state.failing:
                    break
                seen, job = state.version, state.job
            if job is None:
                gone = {"metadata": {"name": "mnist", "resourceVersion": "9"}}
                self._chunk(json.dumps({"type": "DELETED", "object": gone}) + "\n")
                break
            event = {"type": "MODIFIED", "object": self._versioned(job)}
            self._chunk(json.dumps(event) + "\n")
        self._end()

    def _log(self, name: str, query: dict[str, list[str]]) -> None:
        """The lines since a time; with `follow` those to come, until the pod has ended."""
        state = self.state
        pod = next((one for one in state.pods if one.name == name), None)
        assert query["timestamps"] == ["true"]
        assert query["container"] == [CONTAINER]
        if pod is None or pod.log_status != HTTPStatus.OK:
            code = pod.log_status if pod else HTTPStatus.NOT_FOUND
            self._answer(code, {"kind": "Status", "message": "no log"})
            return
        [since] = query.get("sinceTime", [""])
        state.log_reads.append(since)
        self._begin("text/plain")
        given, sent = 0, 0
        while True:
            with state.changed:
                lines, over = list(pod.log), pod.phase in ("Succeeded", "Failed") or state.ended
            for line in lines[given:]:
                given += 1
                if line[:19] < since[:19]:
                    continue
                if sent == pod.break_after:
                    self.close_connection = True
                    return  # in the middle of the reply
                sent += 1
                self._chunk(f"{line}\n")
            if over or not query.get("follow"):
                self._end()
                return
            with state.changed:
                while len(pod.log) == given and pod.phase == "Running" and not state.ended:
                    state.changed.wait()

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _begin(self, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Print nothing."""

"""Data that is fetched before the training: from a web server and the MLflow of the cluster."""

import hashlib
import json
import re
from functools import partial
from typing import Any

import pytest

from tests.support.api import Cluster, Manifest
from tests.support.node import IMAGE, Installed, script_job, wait_for_end
from tests.support.training import outcomes
from tests.support.waiting import wait_for

# A file of 4 MB that takes twenty seconds, a small one, that as an object of S3, and an archive.
SERVER = """
import http.server, io, tarfile, time
PIECE, PIECES = bytes(range(256)) * 400, 40
packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w:gz") as archive:
    member = tarfile.TarInfo("train/points.bin")
    member.size = len(PIECE)
    archive.addfile(member, io.BytesIO(PIECE))
class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/points.tar.gz":
            self.send_response(200)
            self.send_header("Content-Length", str(len(packed.getvalue())))
            self.end_headers()
            self.wfile.write(packed.getvalue())
            return
        pieces = {"/slow.bin": PIECES, "/set.bin": 1, "/bucket/set.bin": 1}.get(self.path)
        if pieces is None:
            self.send_error(404)
            return
        whole = "Range" not in self.headers
        self.send_response(200 if whole else 206)
        self.send_header("Content-Length", str(pieces * len(PIECE)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        if not whole:
            self.send_header("Content-Range", f"bytes 0-{len(PIECE) - 1}/{len(PIECE)}")
        self.end_headers()
        for number in range(0 if self.command == "HEAD" else pieces):
            self.wfile.write(PIECE)
            time.sleep(0.5 if pieces > 1 else 0)
    do_HEAD = do_GET
http.server.ThreadingHTTPServer(("", 8080), Files).serve_forever()
"""
PIECE = bytes(range(256)) * 400
TRAINING = """
import hashlib, os, pathlib, time
rank = os.environ["TRAININGJOB_NODE_RANK"]
assert pathlib.Path("/data/slow.bin").stat().st_size == 40 * 102400
assert pathlib.Path("/data/set.bin").read_bytes() == bytes(range(256)) * 400
assert pathlib.Path("/data/train/points.bin").read_bytes() == bytes(range(256)) * 400
assert not pathlib.Path("/data/points.tar.gz").exists()
assert pathlib.Path("/bucket/set.bin").read_bytes() == bytes(range(256)) * 400
[weights] = pathlib.Path("/model").rglob("weights")
assert weights.read_text() == "seven"
assert "ONLY_OF_THE_INITIALIZER" not in os.environ
print("node", rank, "has all of it")
time.sleep(3)
"""


@pytest.fixture
def files(cluster: Cluster) -> str:
    """The address of a web server in the namespace."""
    container: dict[str, Any] = {
        "name": "files",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["tini", "--", "python", "-u", "-c", SERVER],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    cluster.core.create_namespaced_pod(
        cluster.namespace,
        {
            "metadata": {"name": "files", "labels": {"app": "files"}},
            "spec": {"containers": [container], "securityContext": security},
        },
    )
    cluster.core.create_namespaced_service(
        cluster.namespace,
        {
            "metadata": {"name": "files"},
            "spec": {"selector": {"app": "files"}, "ports": [{"port": 8080}]},
        },
    )

    def ready() -> bool:
        pod = cluster.core.read_namespaced_pod("files", cluster.namespace)
        return any(one.ready for one in pod.status.container_statuses or ())

    wait_for("the web server is ready", ready, 60)
    return f"http://files.{cluster.namespace}:8080"


def job(name: str, *initializers: dict[str, Any], nodes: int = 1) -> Manifest:
    made = script_job(name, "exit_3.py", nodes=nodes)
    made["spec"]["command"] = ["tini", "--", "trainingjob-exec", "--", "python", "-c", TRAINING]
    made["spec"]["initializers"] = list(initializers)
    return made


def preparing(cluster: Cluster, name: str) -> str:
    text: str = cluster.status(name).get("preparing", "")
    return text


def test_files_and_a_model_reach_each_node_and_the_status_says_how_far_it_is(
    installed: Installed, cluster: Cluster, files: str
) -> None:
    client = installed.mlflow
    source = client.create_run(client.create_experiment(f"{cluster.namespace}-source"))
    client.log_text(source.info.run_id, "seven", "model/data/weights")
    slow = {"name": "slow", "source": f"{files}/slow.bin", "path": "/data"}
    small = {
        "name": "small",
        "source": f"{files}/set.bin",
        "path": "/data",
        "sha256": hashlib.sha256(PIECE).hexdigest(),
        "env": [{"name": "ONLY_OF_THE_INITIALIZER", "value": "x"}],
    }
    login = {"AWS_ENDPOINT_URL": files, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}
    bucket = {
        "name": "bucket",
        "source": "s3://bucket/set.bin",
        "path": "/bucket",
        "env": [{"name": name, "value": value} for name, value in login.items()],
    }
    archive = {**small, "name": "archive", "source": f"{files}/points.tar.gz", "extract": True}
    del archive["sha256"]
    model = {"name": "model", "source": f"runs:/{source.info.run_id}/model", "path": "/model"}
    cluster.apply(job("prepared", slow, small, archive, bucket, model, nodes=2))

    begin = f"initializer slow (1 of 5) fetches {files}/slow.bin on 2 of 2 nodes"
    wait_for("it says what it does", lambda: preparing(cluster, "prepared").startswith(begin), 90)
    assert cluster.state("prepared") == "Starting"
    wait_for(
        "it says how far it is", lambda: " MB of 4.1 MB, " in preparing(cluster, "prepared"), 60
    )
    print(preparing(cluster, "prepared"))
    condition = cluster.condition("prepared", "Running")
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", "Preparing")

    end = wait_for_end(cluster, "prepared", 240)
    assert outcomes(end) == [("Succeeded", None, 0)], end.get("failure")
    assert "preparing" not in end
    run = client.get_run(end["mlflow"]["runId"])
    assert run.info.status == "FINISHED"
    # Of the rank that reported last, and of what took long enough for a report.
    reported = run.data.tags["trainingjob.preparing"]
    assert re.match(
        r"[01] (slow|small|archive|bucket|model): (unpacking points.tar.gz: )?[\d.]+ [kM]?B",
        reported,
    ), reported


def test_what_cannot_be_fetched_is_the_cause(
    installed: Installed, cluster: Cluster, files: str
) -> None:
    none = {"name": "data", "source": f"{files}/none.bin?signature=abc", "path": "/data"}
    other = {**none, "source": f"{files}/set.bin", "sha256": "0" * 64}
    damaged = {**none, "source": f"{files}/set.bin", "extract": True}
    model = {**none, "source": "models:/no-such-model/1"}
    full = {**none, "source": f"{files}/slow.bin", "path": "/small"}
    tiny = {
        "volumes": [{"name": "small", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
        "volumeMounts": [{"name": "small", "mountPath": "/small"}],
    }
    jobs = {
        "not-found": job("not-found", none),
        "another": job("another", other),
        "damaged": job("damaged", damaged),
        "no-model": job("no-model", model),
        "full": job("full", full),
    }
    jobs["full"]["spec"] |= tiny
    cluster.apply(*jobs.values())
    ends = {name: wait_for_end(cluster, name, 180) for name in jobs}
    print(json.dumps({name: end["failure"] for name, end in ends.items()}, indent=1))

    failures = {name: end["failure"] for name, end in ends.items()}
    assert {name: failure["reason"] for name, failure in failures.items()} == {
        "not-found": "DataNotFound",
        "another": "ChecksumMismatch",
        "damaged": "InvalidArchive",
        "no-model": "DataNotFound",
        "full": "DiskFull",
    }
    message = f"initializer data: {files}/none.bin: the server answers 404 Not Found"
    assert failures["not-found"]["message"].startswith(message)
    assert "No space left on device" in failures["full"]["message"]
    for end in ends.values():
        assert installed.mlflow.get_run(end["mlflow"]["runId"]).info.status == "FAILED"


def test_a_claim_is_filled_once_for_all_nodes_and_attempts(
    installed: Installed, cluster: Cluster, files: str
) -> None:
    cluster.core.create_namespaced_persistent_volume_claim(
        cluster.namespace,
        {
            "metadata": {"name": "sets"},
            "spec": {
                # There is one node: all pods have it.
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
    )
    made = job("shared", {"name": "data", "source": f"{files}/set.bin", "path": "/data/a"}, nodes=2)
    code = "import pathlib; assert pathlib.Path('/data/a/set.bin').exists(); raise SystemExit(139)"
    made["spec"] |= {
        "command": ["tini", "--", "python", "-c", code],
        "backoffLimit": 1,
        "volumes": [{"name": "sets", "persistentVolumeClaim": {"claimName": "sets"}}],
        "volumeMounts": [{"name": "sets", "mountPath": "/data"}],
    }
    cluster.apply(made)
    end = wait_for_end(cluster, "shared", 240)
    assert [outcome for outcome, _, _ in outcomes(end)] == ["Failed", "Failed"]
    read = partial(
        cluster.core.read_namespaced_pod_log,
        namespace=cluster.namespace,
        container="trainingjob-initializer-data",
    )
    selector = "trainingjob.dev/name=shared"
    pods = cluster.core.list_namespaced_pod(cluster.namespace, label_selector=selector).items
    logs = {pod.metadata.name: read(name=pod.metadata.name) for pod in pods}
    assert sum("fetching" in text for text in logs.values()) == 1, logs

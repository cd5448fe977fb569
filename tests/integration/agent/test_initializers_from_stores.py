"""Initializers: objects of S3, by a small server, and artifacts of a real MLflow."""

from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from trainingjob_agent.contract import Contract
from trainingjob_agent.initializers.__main__ import _report_to_run

from tests.support.faults import Answer, FaultyServer, Request
from tests.support.initializing import Initializer
from tests.support.processes import MlflowServer

LARGE = bytes(range(256)) * (9 << 12)
"""More than one piece."""
OBJECTS = {
    "sets/mnist/train/a b.npz": b"1",
    "sets/mnist/train/": b"",
    "sets/mnist/large": LARGE,
    "sets/mnist-2/other": b"3",
    "model.pt": b"4",
}


@pytest.fixture
def initializer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Initializer:
    found = Initializer(tmp_path, monkeypatch)
    found.set(AWS_ACCESS_KEY_ID="AKID", AWS_SECRET_ACCESS_KEY="none", AWS_REGION="us-east-1")
    return found


def s3(request: Request, _forward: Callable[[], Answer]) -> Answer:
    """The bucket `bucket`: ListObjectsV2, GetObject and HeadObject of Amazon S3."""
    url = urlsplit(request.path)
    _root, bucket, *key = unquote(url.path).split("/", 2)
    if "AKID" not in request.headers.get("authorization", ""):
        return Answer(403, b"<Error><Code>AccessDenied</Code></Error>")
    if bucket != "bucket":
        return Answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
    if "list-type" in url.query:
        return Answer(body=listed(parse_qs(url.query).get("prefix", [""])[0]))
    content = OBJECTS.get(key[0])
    if content is None:
        return Answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
    headers = {"ETag": '"v1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    if "range" in request.headers:
        first, _dash, last = request.headers["range"].removeprefix("bytes=").partition("-")
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return Answer(206, content[int(first) : int(last) + 1], headers)
    return Answer(200, content, headers)


def listed(prefix: str) -> bytes:
    contents = "".join(
        f'<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size><ETag>"v1"</ETag>'
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for key, content in OBJECTS.items()
        if key.startswith(prefix)
    )
    head = "<Name>bucket</Name><IsTruncated>false</IsTruncated>"
    return f"<ListBucketResult>{head}{contents}</ListBucketResult>".encode()


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ("s3://bucket/sets/mnist/", {"train/a b.npz": b"1", "large": LARGE}),
        ("s3://bucket/sets/mnist", {"train/a b.npz": b"1", "large": LARGE}),
        ("s3://bucket/model.pt", {"model.pt": b"4"}),
        ("s3://bucket", {key: value for key, value in OBJECTS.items() if value}),
    ],
)
def test_objects_of_a_bucket(
    initializer: Initializer, source: str, files: dict[str, bytes]
) -> None:
    with FaultyServer(s3) as server:
        initializer.set(AWS_ENDPOINT_URL=server.uri)
        assert initializer.run(source) == 0
    assert initializer.files == files


@pytest.mark.parametrize(
    ("source", "key", "reason", "message"),
    [
        ("s3://bucket/none", "AKID", "DataNotFound", "the bucket bucket has no object none"),
        ("s3://buckets/model.pt", "AKID", "DataNotFound", "404 Not Found"),
        ("s3://bucket/model.pt", "OTHER", "DataAccessDenied", "403 Forbidden"),
    ],
)
def test_what_s3_refuses(
    initializer: Initializer, source: str, key: str, reason: str, message: str
) -> None:
    with FaultyServer(s3) as server:
        initializer.set(AWS_ENDPOINT_URL=server.uri, AWS_ACCESS_KEY_ID=key)
        assert initializer.run(source) == 1
    reported, text = initializer.failure
    assert reported == reason
    assert text.startswith(f"{source}: ")
    assert message in text
    assert "Debug source" not in text
    assert initializer.files == {}


def test_a_store_that_fails_for_a_moment(initializer: Initializer) -> None:
    failed: list[str] = []

    def script(request: Request, forward: Callable[[], Answer]) -> Answer:
        if request.method == "GET" and "range" in request.headers and len(failed) < 4:
            failed.append(request.path)
            # More often than the library tries by itself.
            return Answer(500, b"<Error><Code>InternalError</Code></Error>")
        return s3(request, forward)

    with FaultyServer(script) as server:
        initializer.set(AWS_ENDPOINT_URL=server.uri)
        assert initializer.run("s3://bucket/model.pt") == 0
    assert initializer.files == {"model.pt": b"4"}


def test_artifacts_of_a_run(
    initializer: Initializer, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    client, source = mlflow_server.client, mlflow_server.create_run()
    (tmp_path / "w").write_bytes(b"weights")
    client.log_artifact(source, str(tmp_path / "w"), "model/data")
    initializer.set(MLFLOW_TRACKING_URI=mlflow_server.uri)
    assert initializer.run(f"runs:/{source}/model") == 0
    assert [Path(name).name for name in initializer.files] == ["w"]

    assert initializer.run("runs:/0123456789abcdef0123456789abcdef/model") == 1
    assert initializer.failure[0] == "DataNotFound"


def test_progress_becomes_a_tag_of_the_jobs_run(mlflow_server: MlflowServer) -> None:
    run_id = mlflow_server.create_run()
    contract = Contract(attempt=2, tracking_uri=mlflow_server.uri, run_id=run_id)
    _report_to_run("data", contract)("1.0 MB of 4.0 MB, 25%")
    _report_to_run("data", replace(contract, node_rank=1))("2.0 MB of 4.0 MB, 50%")
    tags = mlflow_server.client.get_run(run_id).data.tags
    assert tags["trainingjob.preparing"] == "2 data: 1.0 MB of 4.0 MB, 25%"

"""Initializers: files of web servers and of claims, and how volumes are filled."""

import hashlib
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from trainingjob_agent.initializers.errors import DataUnavailableError
from trainingjob_agent.initializers.http_source import name_of
from trainingjob_agent.initializers.progress import Progress, Reporter, amount
from trainingjob_agent.initializers.volume import Volume, fetch_patiently

from tests.support.faults import Answer, FaultyServer, Request
from tests.support.initializing import Initializer

CONTENT = bytes(range(256)) * 4
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def initializer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Initializer:
    return Initializer(tmp_path, monkeypatch)


def answering(*answers: Answer) -> FaultyServer:
    """One answer after the other; the last one again and again."""
    left = list(answers)

    def script(_: Request, __: Callable[[], Answer]) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return FaultyServer(script)


def test_a_file_of_a_web_server_with_its_checksum(initializer: Initializer) -> None:
    with answering(Answer(body=CONTENT)) as server:
        assert initializer.run(f"{server.uri}/sets/a%20b.npz?sig=1", "--sha256", SHA256) == 0
        assert initializer.files == {"a b.npz": CONTENT}

        # Another attempt has the same volume where it is a claim.
        assert initializer.run(f"{server.uri}/sets/a%20b.npz?sig=1", "--sha256", SHA256) == 0
    assert len(server.requests) == 1
    assert initializer.termination_log.read_text() == ""


def test_the_login_of_a_web_server(initializer: Initializer) -> None:
    initializer.set(TRAININGJOB_OPTION_HTTP_AUTHORIZATION="Bearer abc")
    with answering(Answer(body=b"x")) as server:
        assert initializer.run(f"{server.uri}/set") == 0
    assert server.requests[0][1].headers["Authorization"] == "Bearer abc"


@pytest.mark.parametrize(
    ("status", "code", "reason", "message"),
    [
        (404, 1, "DataNotFound", "the server answers 404 Not Found"),
        (410, 1, "DataNotFound", "the server answers 410 Gone"),
        (401, 1, "DataAccessDenied", "the server answers 401 Unauthorized"),
        (403, 1, "DataAccessDenied", "the server answers 403 Forbidden"),
        (400, 1, "InitializerFailed", "the server answers 400 Bad Request"),
    ],
)
def test_an_answer_that_is_final(
    initializer: Initializer, status: int, code: int, reason: str, message: str
) -> None:
    with answering(Answer(status)) as server:
        source = f"{server.uri}/set?signature=abc"
        assert initializer.run(source) == code
    assert len(server.requests) == 1
    reported_reason, reported = initializer.failure
    assert reported_reason == reason
    assert reported.startswith(f"{server.uri}/set: {message}")
    assert initializer.files == {}


def test_another_file_than_the_one_that_was_asked_for(initializer: Initializer) -> None:
    with answering(Answer(body=b"other")) as server:
        assert initializer.run(f"{server.uri}/set", "--sha256", SHA256) == 1
    reason, message = initializer.failure
    assert reason == "ChecksumMismatch"
    assert f"its SHA-256 is {hashlib.sha256(b'other').hexdigest()} and not {SHA256}" in message
    assert initializer.files == {}


def test_a_server_that_is_busy_is_asked_again(initializer: Initializer) -> None:
    with answering(Answer(503), Answer(429), Answer(body=CONTENT)) as server:
        assert initializer.run(f"{server.uri}/set") == 0
    assert initializer.files == {"set": CONTENT}
    assert len(server.requests) == 3


@pytest.mark.parametrize("etag", ['"v1"', '"v2"'])
def test_a_transfer_that_breaks_off_continues_if_the_file_is_the_same(
    initializer: Initializer, etag: str
) -> None:
    content, part = CONTENT * 3072, 2 << 20

    def script(request: Request, _: Callable[[], Answer]) -> Answer:
        if "Range" not in request.headers:
            headers = {"ETag": '"v1"', "Content-Length": str(len(content))}
            return Answer(200, content[:part], headers)
        if request.headers["If-Range"] != etag:
            return Answer(200, content)
        begin = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        headers = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"}
        return Answer(206, content[begin:], headers)

    with FaultyServer(script) as server:
        assert initializer.run(f"{server.uri}/set") == 0
    assert initializer.files == {"set": content}
    assert [request.headers.get("Range") for _, request in server.requests] == [
        None,
        f"bytes={part}-",
    ]


def test_a_part_that_nobody_asked_for_is_not_taken(initializer: Initializer) -> None:
    part = Answer(206, CONTENT[512:], {"Content-Range": "bytes 512-1023/1024"})
    with answering(part, Answer(body=CONTENT)) as server:
        assert initializer.run(f"{server.uri}/set") == 0
    assert initializer.files == {"set": CONTENT}


def test_a_source_that_sends_nothing_is_given_up() -> None:
    moments = iter([0.0, 599.0, 600.0])
    tries = []

    def fetch() -> None:
        tries.append(1)
        raise DataUnavailableError("no route")

    with pytest.raises(DataUnavailableError, match="no route"):
        fetch_patiently(fetch, Progress(), clock=lambda: next(moments))
    assert len(tries) == 2


def test_a_slow_source_is_not_given_up_while_something_comes() -> None:
    moments, progress = iter([0.0, 700.0, 700.0, 1400.0, 1400.0]), Progress()
    tries = []

    def fetch() -> None:
        tries.append(1)
        if len(tries) < 3:
            progress.add(10)
            raise DataUnavailableError("broke off")

    fetch_patiently(fetch, progress, clock=lambda: next(moments))
    assert len(tries) == 3


def test_files_of_a_claim(initializer: Initializer, tmp_path: Path) -> None:
    claim = tmp_path / "claim"
    (claim / "train").mkdir(parents=True)
    (claim / "train" / "a").write_bytes(b"1")
    (claim / "b").write_bytes(b"2")

    assert initializer.run("pvc://sets/mnist", "--mounted", str(claim)) == 0
    assert initializer.files == {"train/a": b"1", "b": b"2"}
    assert initializer.run("pvc://sets/mnist/b", "--mounted", str(claim / "b")) == 0
    assert initializer.run("pvc://sets/none", "--mounted", str(claim / "none")) == 1
    assert initializer.failure[0] == "DataNotFound"


def test_what_is_beside_in_the_volume_stays(initializer: Initializer, tmp_path: Path) -> None:
    claim = tmp_path / "claim"
    (claim / "train").mkdir(parents=True)
    (claim / "train" / "a").write_bytes(b"new")
    mine = initializer.volume / "train"
    mine.mkdir(parents=True)
    (mine / "a").write_bytes(b"old")
    (mine / "notes").write_bytes(b"mine")

    assert initializer.run("pvc://sets", "--mounted", str(claim)) == 0
    assert initializer.files == {"train/a": b"new", "train/notes": b"mine"}


def test_a_volume_that_is_full(
    initializer: Initializer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(Answer(body=CONTENT)) as server:
        initializer.volume.mkdir()
        (initializer.volume / "full").symlink_to("/dev/full")
        monkeypatch.setattr(
            "trainingjob_agent.initializers.http_source.name_of", lambda _: "../full"
        )
        assert initializer.run(f"{server.uri}/set") == 1
    reason, message = initializer.failure
    assert reason == "DiskFull"
    assert "No space left on device" in message


def test_the_other_nodes_wait_for_node_0_where_the_volume_is_shared(
    initializer: Initializer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(Answer(body=CONTENT)) as server:
        source = f"{server.uri}/set"
        volume, waited = Volume(initializer.volume, f"{source} ", "u-1"), threading.Event()
        initializer.volume.mkdir()

        def pause(_: float) -> None:
            waited.set()
            assert initializer.run(source, "--once") == 0

        volume.wait(pause)
        assert waited.is_set()

        initializer.set(TRAININGJOB_NODE_RANK="1", TRAININGJOB_NUM_NODES="2")
        assert initializer.run(source, "--once") == 0
    assert len(server.requests) == 1


def test_progress_is_reported_every_ten_percent_or_once_a_minute() -> None:
    progress, reports, now = Progress(), list[str](), [0.0]
    reporter = Reporter(progress, reports.append, clock=lambda: now[0])
    progress.total = 2_000_000
    for seconds, done in [(5, 0), (10, 100_000), (15, 199_999), (20, 200_000), (80, 210_000)]:
        now[0], progress.done = float(seconds), done
        reporter.look()
    assert reports == [
        "0 B of 2.0 MB, 0%",
        "200.0 kB of 2.0 MB, 10%",
        "210.0 kB of 2.0 MB, 10%",
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_500_000_000, "1.5 GB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_amounts(count: int, text: str) -> None:
    assert amount(count) == text


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/a/b.npz?x=1", "b.npz"),
        ("https://host/a/", "a"),
        ("https://host/", "data"),
        ("https://host/%2e%2e", "data"),
        ("https://host/a%2Fb", "data"),
    ],
)
def test_the_name_of_a_file(url: str, name: str) -> None:
    assert name_of(url) == name
    assert re.fullmatch(r"[^/]+", name)

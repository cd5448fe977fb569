"""The output of all ranks, through broken connections, restarts and an API server that is away."""

import threading
from collections.abc import Iterator

import pytest
from trainingjob import following
from trainingjob.adapters.kube import Cluster, Streams
from trainingjob.adapters.kube.connection import Connection
from trainingjob.core.job import Job
from trainingjob.core.merging import Line
from trainingjob.core.pods import Selection
from trainingjob.errors import UserError

from tests.support.fake_api_server import FakeApiServer, FakePod
from tests.support.waiting import wait_for
from tests.unit.client.bodies import body


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer(body("Running", attempt=1)).running() as found:
        yield found


def cluster(server: FakeApiServer) -> Cluster:
    from kubernetes import client

    configuration = client.Configuration(host=server.url)
    configuration.retries = False
    return Cluster(Connection(client.ApiClient(configuration), server.url, "ml"))


def stamped(second: float, text: str) -> str:
    return f"2026-01-01T00:00:{second:012.9f}Z {text}"


class Follower:
    """Follows the job in a thread."""

    def __init__(self, server: FakeApiServer, selection: Selection | None = None) -> None:
        self.news: list[following.News] = []
        self.error: UserError | None = None
        self._found = cluster(server)
        self._selection = selection or Selection()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for one in following.follow(self._found, "mnist", self._selection):
                self.news.append(one)
        except UserError as error:
            self.error = error

    @property
    def lines(self) -> list[tuple[int, int, str]]:
        """Attempt, rank and text of the lines so far."""
        found = (one for one in self.news if isinstance(one, Line))
        return [(line.attempt, line.rank, line.text) for line in found]

    @property
    def states(self) -> list[str]:
        return [one.state for one in self.news if isinstance(one, Job)]

    def over(self) -> bool:
        return not self._thread.is_alive()


def test_two_ranks_through_a_restart(server: FakeApiServer) -> None:
    first = [FakePod(f"mnist-1-{rank}", 1, rank) for rank in (0, 1)]
    with server.change():
        server.pods = list(first)
        first[0].log = [stamped(1, "a"), stamped(3, "c")]
        first[1].log = [stamped(2, "b")]
    follower = Follower(server)
    expected = [(1, 0, "a"), (1, 1, "b"), (1, 0, "c")]
    wait_for("the first lines", lambda: follower.lines == expected, 30)
    with server.change():
        first[1].log.append(stamped(4, "killed"))
        for pod in first:
            pod.phase = "Failed"
        server.job = body("Restarting", attempt=1)
    second = [FakePod(f"mnist-2-{rank}", 2, rank, log=[stamped(9, "on")]) for rank in (0, 1)]
    with server.change():
        server.pods += second
        server.job = body("Running", attempt=2)
    expected += [(1, 1, "killed"), (2, 0, "on"), (2, 1, "on")]
    wait_for("the next attempt", lambda: sorted(follower.lines) == sorted(expected), 30)
    with server.change():
        second[0].log.append(stamped(10, "done"))
        for pod in second:
            pod.phase = "Succeeded"
        server.job = body("Succeeded", attempt=2)
    wait_for("the end", follower.over, 30)
    assert follower.lines[-1] == (2, 0, "done")
    assert sorted(follower.lines) == sorted([*expected, (2, 0, "done")])
    assert (follower.states[0], follower.states[-1]) == ("Running", "Succeeded")


def test_nothing_is_lost_or_repeated_when_connections_break(server: FakeApiServer) -> None:
    pod = FakePod("mnist-1-0", break_after=7)
    texts = [str(number) for number in range(20)]
    with server.change():
        server.pods = [pod]
        # Five lines in each second.
        pod.log = [stamped(int(text) // 5 + int(text) % 5 / 10, text) for text in texts]
    follower = Follower(server)
    wait_for("all lines", lambda: [line[2] for line in follower.lines] == texts, 60)
    assert len(server.log_reads) > 1
    assert server.log_reads[:2] == ["", "2026-01-01T00:00:01Z"]
    with server.change():
        pod.phase = "Succeeded"
        server.job = body("Succeeded", attempt=1)
    wait_for("the end", follower.over, 30)
    assert [line[2] for line in follower.lines] == texts


def test_pods_that_write_on_after_the_end_of_the_job(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as there are lines there is no end, however long it takes to read them."""
    monkeypatch.setattr(following, "_DRAIN_SECONDS", 1.0)
    pod = FakePod("mnist-1-0", log=[stamped(0, "0")])
    with server.change():
        server.pods = [pod]
        server.job = body("Failed", attempt=1)
    follower = Follower(server)
    for number in range(1, 8):
        wait_for("the line before", lambda: len(follower.lines) == number, 30)  # noqa: B023 - at once
        with server.change():
            pod.log.append(stamped(number, str(number)))
    with server.change():
        pod.phase = "Failed"
    wait_for("the end", follower.over, 30)
    assert [line[2] for line in follower.lines] == [str(number) for number in range(8)]


def test_a_sidecar_that_runs_on_holds_nothing_up(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_DRAIN_SECONDS", 600.0)
    with server.change():
        server.pods = [FakePod("mnist-1-0", phase="Failed", log=[stamped(1, "a")], sidecar=True)]
        server.job = body("Failed", attempt=1)
    follower = Follower(server)
    wait_for("the end", follower.over, 30)
    assert follower.lines == [(1, 0, "a")]


def test_an_api_server_that_is_away_for_a_moment(server: FakeApiServer) -> None:
    pod = FakePod("mnist-1-0", log=[stamped(1, "a")])
    with server.change():
        server.pods = [pod]
    follower = Follower(server)
    wait_for("the first line", lambda: follower.lines == [(1, 0, "a")], 30)
    with server.change():
        server.failing = True
    wait_for(
        "the outage is reported",
        lambda: any(isinstance(one, following.Outage) for one in follower.news),
        30,
    )
    with server.change():
        server.failing = False
        pod.log.append(stamped(2, "b"))
        pod.phase = "Succeeded"
        server.job = body("Succeeded", attempt=1)
    wait_for("the end", follower.over, 30)
    assert follower.error is None
    assert follower.lines == [(1, 0, "a"), (1, 0, "b")]


def test_a_job_that_is_deleted_meanwhile(server: FakeApiServer) -> None:
    follower = Follower(server)
    wait_for("it is seen", lambda: follower.states == ["Running"], 30)
    with server.change():
        server.pods = [FakePod("mnist-1-0", log=[stamped(1, "a")])]
    wait_for("the first line", lambda: follower.lines == [(1, 0, "a")], 30)
    with server.change():
        server.pods[0].log.append(stamped(2, "killed"))
        server.pods[0].phase = "Failed"
        server.job = None
    wait_for("the end", follower.over, 30)
    assert following.Gone() in follower.news
    assert follower.lines == [(1, 0, "a"), (1, 0, "killed")]
    with pytest.raises(UserError, match="there is no TrainingJob mnist in namespace ml"):
        next(following.changes(cluster(server), "mnist", Streams()))


def test_a_pod_whose_node_does_not_answer_holds_nothing_up(server: FakeApiServer) -> None:
    lost = FakePod("mnist-1-1", rank=1, phase="Failed", log_status=502)
    good = FakePod("mnist-1-0", phase="Failed", log=[stamped(1, "a")])
    with server.change():
        server.pods = [lost, good]
        server.job = body("Failed", attempt=1)
    follower = Follower(server)
    wait_for("the end", follower.over, 60)
    assert follower.lines == [(1, 0, "a")]
    [unread] = [one for one in follower.news if isinstance(one, following.Unread)]
    assert (unread.pod.rank, unread.error.message) == (1, f"{server.url} answered 502: no log")


def test_only_one_rank(server: FakeApiServer) -> None:
    with server.change():
        server.pods = [
            FakePod(f"mnist-1-{rank}", rank=rank, phase="Succeeded", log=[stamped(rank, "x")])
            for rank in range(4)
        ]
        server.job = body("Succeeded", attempt=1)
    follower = Follower(server, Selection(rank=2))
    wait_for("the end", follower.over, 30)
    assert follower.lines == [(1, 2, "x")]


def readers() -> list[str]:
    """The threads that follow a job; the server has its own."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("tj follows ")]


def test_wait_ends_after_its_time(server: FakeApiServer) -> None:
    with pytest.raises(TimeoutError, match=r"mnist has not ended within 0\.2 s"):
        following.wait(cluster(server), "mnist", timeout_seconds=0.2)
    assert readers() == []


def test_who_has_read_enough_leaves_no_thread(server: FakeApiServer) -> None:
    """The interpreter would abort at its end, where a thread waits for its server."""
    with server.change():
        server.pods = [FakePod("mnist-1-0", log=[stamped(1, "a")])]
    news = following.follow(cluster(server), "mnist", Selection())
    assert next(one.text for one in news if isinstance(one, Line)) == "a"
    assert len(readers()) == 2
    news.close()  # type: ignore[attr-defined]  # it is a generator
    assert readers() == []

"""The output that is there: of pods, and of what the run keeps when they are gone."""

from collections.abc import Iterator
from typing import Any

import pytest
from trainingjob import logs
from trainingjob.core import job as jobs
from trainingjob.core.pods import Selection

from tests.support.fake_api_server import FakeApiServer, FakePod
from tests.unit.client.bodies import RUN, body
from tests.unit.client.test_following import cluster, stamped


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer(body("Running", attempt=1)).running() as found:
        yield found


class Kept:
    """What a run keeps: files by path."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def names(self, folder: str) -> list[str]:
        return [path for path in self.files if path.startswith(f"{folder}/")]

    def lines(self, path: str) -> Iterator[str]:
        yield from self.files[path].splitlines()


KEPT = {
    "logs/attempt-1/node-0.txt": "one\ntwo\n",
    "logs/attempt-1/node-10.txt": "ten\n",
    "logs/attempt-1/node-2.txt": "three\n",
    "logs/attempt-1/other.json": "{}",
    "logs/attempt-2/node-0.txt": "of a pod that is there",
}


@pytest.mark.parametrize(
    ("selection", "texts"),
    [
        (Selection(), ["one", "two", "three", "ten", "a", "b", "c"]),
        (Selection(attempt=2), ["a", "b", "c"]),
        (Selection(attempt=1, rank=2), ["three"]),
        (Selection(rank=0), ["one", "two", "a", "c"]),
        (Selection(attempt=3), []),
    ],
)
def test_attempts_without_pods_are_read_from_the_run(
    server: FakeApiServer, selection: Selection, texts: list[str]
) -> None:
    with server.change():
        server.pods = [
            FakePod("m-2-1", 2, 1, "Failed", [stamped(2, "b")]),
            FakePod("m-2-0", 2, 0, "Failed", [stamped(1, "a"), "no time", stamped(3, "c")]),
            FakePod("m-3-0", 3, 0, "Pending"),
        ]
    job = jobs.read(body("Failed", {"numNodes": 11}, attempt=2, mlflow=RUN))
    found = logs.read(cluster(server), job, selection, lambda _run, _uri: Kept(KEPT))
    assert [line.text for line in found] == texts


OUTCOME = [{"attempt": 1, "outcome": "Suspended"}]


@pytest.mark.parametrize(
    ("job", "texts"),
    [
        (body("Failed", {"numNodes": 2}, attempt=1, mlflow=RUN), ["ten", "three"]),
        (body("Restarting", {"numNodes": 2}, attempt=2, mlflow=RUN), ["ten", "three"]),
        (
            body("Suspended", {"numNodes": 2}, attempt=1, attempts=OUTCOME, mlflow=RUN),
            ["ten", "three"],
        ),
        # While an attempt starts not all of its pods are there: no reason to ask MLflow.
        (body("Running", {"numNodes": 2}, attempt=1, mlflow=RUN), []),
        (body("Failed", {"numNodes": 1}, attempt=1, mlflow=RUN), []),
    ],
)
def test_a_node_whose_pod_is_gone_is_read_from_the_run(
    server: FakeApiServer, job: dict[str, Any], texts: list[str]
) -> None:
    with server.change():
        server.pods = [FakePod("m-1-1", 1, 1, "Failed", [stamped(1, "a")])]
        if job["spec"]["numNodes"] == 1:
            server.pods[0].rank = 0
    files = {"logs/attempt-1/node-0.txt": "ten\nthree\n", "logs/attempt-1/node-1.txt": "a\n"}
    given = (cluster(server), jobs.read(job), Selection(), lambda _run, _uri: Kept(files))
    assert [line.text for line in logs.of_gone_pods(*given)] == texts
    assert [line.text for line in logs.read(*given)] == [*texts, "a"]

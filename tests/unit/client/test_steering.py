"""Commands that change what becomes of a job: what they send, and what they say."""

from collections.abc import Iterator

import pytest
from trainingjob import Client, UserError

from tests.support.fake_api_server import JOBS, FakeApiServer
from tests.unit.client.bodies import body
from tests.unit.client.conftest import Tj


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer(body("Running", attempt=1)).running() as found:
        yield found


@pytest.mark.parametrize(
    ("command", "method", "sent", "said"),
    [
        (
            "suspend",
            "PATCH",
            {"spec": {"suspend": True}},
            "mnist is being suspended; tj resume mnist starts it again",
        ),
        (
            "resume",
            "PATCH",
            {"spec": {"suspend": False}},
            "mnist starts again; tj logs mnist --follow follows it",
        ),
        (
            "stop",
            "PATCH",
            {"spec": {"stop": True}},
            "mnist is being stopped; tj wait mnist waits for its end",
        ),
        ("delete", "DELETE", None, "mnist is being deleted; its run stays in MLflow"),
    ],
)
def test_what_is_sent(
    server: FakeApiServer, tj: Tj, command: str, method: str, sent: object, said: str
) -> None:
    done = tj(command, "mnist")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{said}\n", "")
    assert server.writes == [(method, f"{JOBS}/mnist", sent)]


def test_stopping_a_job_that_has_ended(server: FakeApiServer, tj: Tj) -> None:
    with server.change():
        server.job = body("Succeeded", attempt=1)
    assert tj("stop", "mnist").stdout == "mnist has ended already: Succeeded\n"


def test_a_cluster_whose_jobs_cannot_be_stopped(server: FakeApiServer, tj: Tj) -> None:
    """The API server drops a field that it does not know, and takes the rest."""
    server.unknown = ("stop",)
    done = tj("stop", "mnist")
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [
            f"error: the TrainingJobs of {server.url} cannot be stopped",
            "→ have the operator upgraded, or end it by tj delete mnist",
        ],
    )


def test_stopping_from_python(
    server: FakeApiServer, tj: Tj, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tj.kubeconfig))
    Client().get("mnist").stop()
    assert server.writes == [("PATCH", f"{JOBS}/mnist", {"spec": {"stop": True}})]


@pytest.mark.parametrize("command", ["status", "delete"])
def test_a_name_that_is_none_is_never_sent(server: FakeApiServer, tj: Tj, command: str) -> None:
    """`tj delete "$JOB"` where the variable is not set would be a deletion of all jobs."""
    done = tj(command, "")
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [
            "error: '' is no name of a TrainingJob",
            "→ tj ls shows the names of those that are there",
        ],
    )
    assert server.writes == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "m/status", "Mnist", "a b", "a?watch=1"])
def test_names_that_no_job_has(
    server: FakeApiServer, tj: Tj, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tj.kubeconfig))
    with pytest.raises(UserError, match="is no name of a TrainingJob"):
        Client().get(name)

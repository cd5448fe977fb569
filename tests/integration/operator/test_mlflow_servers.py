"""Several MLflow servers, each behind TLS and a login of its own, and the list of allowed ones."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Cluster, Runs, manifest
from tests.support.certificates import own_certificate
from tests.support.faults import Answer, FaultyServer, Request
from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

TOKEN = "Bearer secret-of-vision"
BASIC = "Basic " + base64.b64encode(b"operator:secret-of-speech").decode()


@dataclass
class Fleet:
    """The default server as the operator reaches it, and two that ask for a login by TLS."""

    default: FaultyServer
    vision: FaultyServer
    speech: FaultyServer
    changed: FaultyServer


def guarded(expected: str) -> Callable[[Request, Callable[[], Answer]], Answer]:
    """Hands on what has the right Authorization header and refuses all else as a proxy does."""

    def script(request: Request, hand_on: Callable[[], Answer]) -> Answer:
        allowed = request.headers.get("Authorization") == expected
        return hand_on() if allowed else Answer(401, b"who are you?")

    return script


@pytest.fixture
def fleet(mlflow: MlflowServer, tmp_path: Path) -> Iterator[Fleet]:
    _, tls = own_certificate(tmp_path)
    with ExitStack() as servers:

        def proxy(script: Any, secured: bool = True) -> FaultyServer:
            server = FaultyServer(script, upstream=mlflow.uri, tls=tls if secured else None)
            return servers.enter_context(server)

        yield Fleet(
            default=proxy(lambda _, hand_on: hand_on(), secured=False),
            vision=proxy(guarded(TOKEN)),
            speech=proxy(guarded(BASIC)),
            changed=proxy(guarded("Bearer another one")),
        )


@pytest.fixture
def operator(
    kwok: Kwok, cluster: Cluster, fleet: Fleet, tmp_path: Path
) -> Iterator[OperatorProcess]:
    """The operator with three further servers, their logins in files as Secrets are mounted."""
    logins = {
        "vision": {"MLFLOW_TRACKING_TOKEN": "secret-of-vision\n"},
        "speech": {
            "MLFLOW_TRACKING_USERNAME": "operator",
            "MLFLOW_TRACKING_PASSWORD": "secret-of-speech",
        },
        "changed": {"MLFLOW_TRACKING_TOKEN": "the old one"},
    }
    reported = []
    for name, files in logins.items():
        directory = tmp_path / name
        directory.mkdir()
        for key, text in files.items():
            (directory / key).write_text(text)
        server = {"uri": getattr(fleet, name).uri, "uiUrl": f"https://{name}.example.com"}
        files_of_server = {"loginDirectory": str(directory), "caPath": str(tmp_path / "ca.pem")}
        reported.append({**server, **files_of_server})
    replica = OperatorProcess(tmp_path, kwok.operator_login, fleet.default.uri)
    replica.environment["TRAININGJOB_OPERATOR_MLFLOW_SERVERS"] = json.dumps(reported)
    replica.start()
    yield replica
    cluster.delete_all()
    replica.end()


def job(name: str, tracking_uri: str) -> dict[str, Any]:
    made = manifest(name)
    made["spec"]["mlflow"] = {"trackingUri": tracking_uri}
    return made


def conditions(cluster: Cluster, name: str) -> dict[str, tuple[str, str, str]]:
    found = cluster.get(name)
    assert found is not None
    reported = found["status"]["conditions"]
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in reported}


def is_finished(runs: Runs, name: str) -> bool:
    return [one.info.status for one in runs.by_job()[name]] == ["FINISHED"]


def test_each_server_gets_its_own_login_and_no_other(
    cluster: Cluster, runs: Runs, fleet: Fleet, operator: OperatorProcess
) -> None:
    cluster.apply(
        manifest("default"), job("vision", fleet.vision.uri), job("speech", fleet.speech.uri)
    )
    names = ("default", "vision", "speech")
    wait_for("all ended", lambda: all(cluster.state(one) == "Succeeded" for one in names), 120)
    for name in names:
        wait_for(f"the run of {name} is closed", partial(is_finished, runs, name), 60)
        assert conditions(cluster, name)["MLflowSynced"][:2] == ("True", "Confirmed")
    sent = {
        name: {request.headers.get("Authorization") for _, request in getattr(fleet, name).requests}
        for name in names
    }
    assert sent == {"default": {None}, "vision": {TOKEN}, "speech": {BASIC}}
    vision = cluster.get("vision")
    assert vision is not None
    assert vision["status"]["mlflow"]["url"].startswith("https://vision.example.com/#/experiments/")


def test_a_login_that_is_refused_is_reported_and_holds_no_job_up(
    cluster: Cluster, fleet: Fleet, operator: OperatorProcess
) -> None:
    cluster.apply(job("refused", fleet.changed.uri))
    wait_for("it ended", lambda: cluster.state("refused") == "Succeeded", 120)
    status, reason, message = conditions(cluster, "refused")["MLflowSynced"]
    assert (status, reason) == ("False", "MLflowUnavailable")
    assert f"{fleet.changed.uri} refuses the operator's credentials" in message
    assert "the old one" not in operator.log.read_text()


def test_a_server_that_is_not_allowed_gets_neither_pods_nor_calls(
    cluster: Cluster, fleet: Fleet, operator: OperatorProcess
) -> None:
    with FaultyServer(lambda _, __: Answer(500)) as stranger:
        cluster.apply(job("astray", stranger.uri))
        wait_for("it has failed", lambda: cluster.state("astray") == "Failed", 60)
        status, reason, message = conditions(cluster, "astray")["Failed"]
        assert (status, reason) == ("True", "TrackingUriNotAllowed")
        assert f"spec.mlflow.trackingUri {stranger.uri} is not allowed" in message
        reported = [("Warning", "TrackingUriNotAllowed")]
        wait_for("its event", lambda: cluster.events("astray") == reported, 60)
        assert cluster.core.list_namespaced_pod(cluster.namespace).items == []
        assert stranger.requests == []

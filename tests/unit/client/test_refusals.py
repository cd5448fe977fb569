"""What the API server answers, and what the user reads."""

import json
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException
from trainingjob.adapters.kube.connection import Connection
from trainingjob.core import refusals
from trainingjob.core.refusals import NotFoundError, TakenError, UnavailableError
from trainingjob.errors import UserError

SERVER = "https://k8s:6443"


def status(reason: str, message: str, **details: str) -> str:
    return json.dumps({"kind": "Status", "reason": reason, "message": message, "details": details})


TABLE: list[tuple[int, str, type[UserError], str, str]] = [
    (
        401,
        status("Unauthorized", "Unauthorized"),
        UserError,
        f"{SERVER} does not know you (Unauthorized)",
        "log in again, as for kubectl: kubectl auth whoami must work",
    ),
    (
        403,
        status("Forbidden", 'User "a" cannot create resource "trainingjobs"'),
        UserError,
        'User "a" cannot create resource "trainingjobs"',
        "choose another --namespace, or ask for the role edit in namespace ml (docs/install.md)",
    ),
    (
        403,
        status("Forbidden", "exceeded quota: gpus, requested: 8, used: 8, limited: 8"),
        UserError,
        "exceeded quota: gpus, requested: 8, used: 8, limited: 8",
        "ask for less, wait until other jobs end, or have the quota raised",
    ),
    (
        403,
        status("Forbidden", "unable to create: namespace ml is being terminated"),
        UserError,
        "unable to create: namespace ml is being terminated",
        "the namespace is being deleted: choose another by --namespace",
    ),
    (
        403,
        status("Forbidden", 'User "system:anonymous" cannot list resource "trainingjobs"'),
        UserError,
        'User "system:anonymous" cannot list resource "trainingjobs"',
        "log in again, as for kubectl: this call had no login",
    ),
    (
        404,
        "404 page not found\n",
        UserError,
        f"the cluster at {SERVER} has no TrainingJobs",
        "choose another --context, or have the operator installed (docs/install.md)",
    ),
    (
        404,
        status("NotFound", 'namespaces "ml" not found', kind="namespaces", name="ml"),
        UserError,
        f"{SERVER} has no namespace ml",
        "choose another by --namespace, or have it created",
    ),
    (
        404,
        status("NotFound", "no", kind="trainingjobs", name="mnist"),
        NotFoundError,
        "there is no TrainingJob mnist in namespace ml",
        "tj ls shows those that are there; --namespace chooses another",
    ),
    (404, status("NotFound", "no pod", kind="pods", name="a"), NotFoundError, "no pod", ""),
    (
        409,
        status("AlreadyExists", "it exists", kind="trainingjobs", name="mnist"),
        TakenError,
        "mnist exists in namespace ml",
        "choose another name, or tj delete mnist first",
    ),
    (409, status("Conflict", "it has changed"), UserError, "it has changed", ""),
    (
        410,
        status("Expired", "too old"),
        UnavailableError,
        f"{SERVER} no longer has what was asked for",
        "try again",
    ),
    (422, status("Invalid", "spec.image: no"), UserError, "spec.image: no", ""),
    (
        429,
        status("TooManyRequests", "later"),
        UnavailableError,
        f"{SERVER} has too much to do: later",
        "try again",
    ),
    (
        503,
        "no healthy upstream",
        UnavailableError,
        f"{SERVER} answered 503: no healthy upstream",
        "try again",
    ),
    (500, "", UnavailableError, f"{SERVER} answered 500: HTTP 500", "try again"),
]


@pytest.mark.parametrize(("code", "body", "kind", "message", "remedy"), TABLE)
def test_answers(code: int, body: str, kind: type[UserError], message: str, remedy: str) -> None:
    found = refusals.of_answer(code, body, SERVER, "ml")
    assert (type(found), found.message, found.remedy) == (kind, message, remedy)


@pytest.mark.parametrize("body", ["[]", "7", '{"kind": "Status", "details": 3}', "\x00"])
def test_any_body(body: str) -> None:
    parsed: Any = refusals.of_answer(404, body, SERVER, "ml")
    assert isinstance(parsed, UserError)


def test_a_connection_that_breaks_within_tls() -> None:
    """The client of Kubernetes has an error of its own for it, without a status."""
    with (
        pytest.raises(UnavailableError) as broken,
        Connection(None, SERVER, "ml").errors_explained(),
    ):
        raise ApiException(status=0, reason="SSLError\nEOF occurred in violation of protocol")
    assert broken.value.message == (
        f"the API server {SERVER} does not answer: EOF occurred in violation of protocol"
    )

"""What an answer of the API server means for the user, and what to do about it."""

import json
from http import HTTPStatus
from typing import Any

from trainingjob.core.calls import BY_DEFAULT, Calls
from trainingjob.core.wire import PLURAL
from trainingjob.errors import UserError

_SHOWN = 500


class NotFoundError(UserError):
    """There is no such object."""


class TakenError(UserError):
    """An object of this name exists."""


class UnavailableError(UserError):
    """The API server does not answer, or not now: worth another try."""


def of_answer(
    code: int, body: str, server: str, namespace: str, calls: Calls = BY_DEFAULT
) -> UserError:
    """The error for an HTTP status and its body (metav1.Status) of a call in a namespace."""
    status = _status(body)
    message = str(status.get("message") or body.strip()[:_SHOWN] or f"HTTP {code}")
    match code:
        case HTTPStatus.UNAUTHORIZED:
            return UserError(
                f"{server} does not know you ({message})",
                "log in again, as for kubectl: kubectl auth whoami must work",
            )
        case HTTPStatus.FORBIDDEN:
            return UserError(message, _forbidden(message, namespace))
        case HTTPStatus.NOT_FOUND:
            return _not_found(status, message, server, namespace)
        case HTTPStatus.CONFLICT if status.get("reason") == "AlreadyExists":
            name = _details(status).get("name")
            return TakenError(
                f"{name} exists in namespace {namespace}",
                f"choose another name, or {calls('delete', str(name))} first",
            )
        case HTTPStatus.GONE:
            return UnavailableError(f"{server} no longer has what was asked for", "try again")
        case HTTPStatus.TOO_MANY_REQUESTS:
            return UnavailableError(f"{server} has too much to do: {message}", "try again")
        case _ if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return UnavailableError(f"{server} answered {code}: {message}", "try again")
    return UserError(message)


def _not_found(status: dict[str, Any], message: str, server: str, namespace: str) -> UserError:
    if not status:
        # No object is missing but the whole resource.
        return UserError(
            f"the cluster at {server} has no TrainingJobs",
            "choose another --context, or have the operator installed (docs/install.md)",
        )
    name = str(_details(status).get("name"))
    match _details(status).get("kind"):
        case "namespaces":
            return no_namespace(name, server)
        case kind if kind == PLURAL:
            return NotFoundError(
                f"there is no TrainingJob {name} in namespace {namespace}",
                "tj ls shows those that are there; --namespace chooses another",
            )
    return NotFoundError(message)


def unreachable(server: str, cause: str) -> UnavailableError:
    """The error for a server that no connection reaches."""
    return UnavailableError(
        f"the API server {server} does not answer: {cause}",
        "is the cluster up, the VPN on, and the context right (kubectl config current-context)?",
    )


def no_namespace(namespace: str, server: str) -> UserError:
    """The error for a namespace that does not exist."""
    return UserError(
        f"{server} has no namespace {namespace}",
        "choose another by --namespace, or have it created",
    )


def _forbidden(message: str, namespace: str) -> str:
    if '"system:anonymous"' in message:
        return "log in again, as for kubectl: this call had no login"
    if "exceeded quota" in message:
        return "ask for less, wait until other jobs end, or have the quota raised"
    if "being terminated" in message:
        return "the namespace is being deleted: choose another by --namespace"
    return (
        f"choose another --namespace, or ask for the role edit in namespace {namespace} "
        "(docs/install.md)"
    )


def _details(status: dict[str, Any]) -> dict[str, Any]:
    found = status.get("details")
    return found if isinstance(found, dict) else {}


def _status(body: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("kind") == "Status" else {}

"""What the operator asks of a server, and what it gets, as far as they differ for the tests."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs

import orjson


class Server(StrEnum):
    """Where a call goes."""

    API = "api"
    MLFLOW = "mlflow"


class Kind(StrEnum):
    """What a call is to the tests.

    Renewals of the Lease depend on time alone, so that they are no place to be counted.
    """

    READ = "read"
    WATCH = "watch"
    LEASE = "lease"
    WRITE = "write"


_ALL_NAMESPACES = re.compile(
    r"^(/api/v1|/apis/[^/]+/[^/]+)/(trainingjobs|trainingruntimes|jobs|pods|services)$"
)
_NAMESPACED = re.compile(
    r"^(?:/api/v1|/apis/[^/]+/[^/]+)/namespaces/[^/]+/(?P<plural>[^/]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<part>[^/]+))?$"
)
_MLFLOW = "/api/2.0/mlflow/"
_MLFLOW_READS = (
    *("runs/search", "runs/get", "experiments/get-by-name", "experiments/search"),
    *("logged-models/search", "/api/3.0/mlflow/server-info"),
)


class Dropped(Exception):  # noqa: N818 - says what happened, not that it is an error
    """The connection is closed without an answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request; `what` names its sort, such as "PATCH trainingjobs/status"."""

    replica: str
    server: Server
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    kind: Kind
    what: str

    @property
    def is_list(self) -> bool:
        """Whether it asks for a page of all objects of a resource."""
        return self.kind is Kind.READ and "limit" in parse_qs(self.query)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def api_error(cls, status: int, reason: str, wait: int | None = None) -> "Answer":
        """An error as the API server spells it."""
        reported = {"kind": "Status", "code": status, "reason": reason, "message": "a fault"}
        headers = {"Content-Type": "application/json"}
        if wait is not None:
            headers["Retry-After"] = str(wait)
        return cls(status, orjson.dumps(reported), headers)

    @classmethod
    def mlflow_error(cls, status: int, code: str) -> "Answer":
        """An error as MLflow spells it."""
        body = orjson.dumps({"error_code": code, "message": "a fault"})
        return cls(status, body, {"Content-Type": "application/json"})


def in_namespace(path: str, namespace: str) -> str:
    """The path of one namespace where the operator means all.

    So can several operators work side by side, each with a small world of its own.
    """
    return _ALL_NAMESPACES.sub(rf"\1/namespaces/{namespace}/\2", path)


def api_sort(method: str, path: str, query: str) -> tuple[Kind, str]:
    """What a call of the API server is, and the name of its sort."""
    found = _NAMESPACED.match(path)
    plural = found["plural"] if found else path
    part = f"/{found['part']}" if found and found["part"] else ""
    kind = Kind.READ
    if plural == "leases":
        kind = Kind.LEASE
    elif method != "GET":
        kind = Kind.WRITE
    elif parse_qs(query).get("watch") == ["true"]:
        kind = Kind.WATCH
    return kind, f"{method} {plural}{part}"


def mlflow_sort(path: str, body: bytes) -> tuple[Kind, str]:
    """What a call of MLflow is; a change of the status is named with it."""
    what = path.removeprefix(_MLFLOW)
    if what == "runs/update":
        reported: dict[str, Any] = orjson.loads(body)
        what = f"{what} {reported.get('status')}"
    return (Kind.READ if what in _MLFLOW_READS else Kind.WRITE), what

"""MLflow behind a login: for ServiceAccounts with a token for the audience `mlflow` only.

TARGET is the MLflow server. Each request prints `user NAME`, or `user refused`.
"""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

import requests

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REVIEWS = "https://kubernetes.default.svc/apis/authentication.k8s.io/v1/tokenreviews"


class Threads(ThreadingMixIn, WSGIServer):
    pass


def user_of(token: str) -> str | None:
    """The user that the API server finds in the token, if it is for this audience."""
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["mlflow"]},
    }
    login = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
    answer = requests.post(
        REVIEWS, json=review, headers=login, verify=str(ACCOUNT / "ca.crt"), timeout=10
    )
    answer.raise_for_status()
    status = answer.json()["status"]
    return str(status["user"]["username"]) if status.get("authenticated") else None


def gate(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    user = user_of(environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer "))
    sys.stdout.write(f"user {user or 'refused'}\n")
    sys.stdout.flush()
    if user is None:
        start_response("401 Unauthorized", [])
        return [b""]
    answer = requests.request(
        environ["REQUEST_METHOD"],
        f"{os.environ['TARGET']}{environ['PATH_INFO']}?{environ['QUERY_STRING']}",
        data=body,
        headers={"Content-Type": environ.get("CONTENT_TYPE") or "application/json"},
        timeout=60,
    )
    kind = answer.headers.get("Content-Type", "text/plain")
    start_response(f"{answer.status_code} {answer.reason}", [("Content-Type", kind)])
    return [answer.content]


if __name__ == "__main__":
    make_server("", 5000, gate, Threads).serve_forever()

"""Logs MLflow's client in with a token from a file that is renewed from outside.

MLflow itself reads a token from its environment, which is fixed as the pod starts, or with the
package kubernetes from the pod's ServiceAccount. This is one of its plugins, a provider of
authentication (mlflow/tracking/request_auth): it reads the file before each request.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from requests import PreparedRequest

TOKEN_FILE = "MLFLOW_TRACKING_TOKEN_FILE"  # noqa: S105 - the name of a variable
_AUTH = "MLFLOW_TRACKING_AUTH"
_OTHER_LOGINS = (_AUTH, "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME")
_PROVIDER = "trainingjob"
# That of the job, wherever `mlflow.set_tracking_uri` points by now; outside of trainingjob-exec the
# other.
_TRACKING_URIS = ("TRAININGJOB_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI")


def login_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what makes MLflow use the file; nothing without one, or with another login."""
    if not environment.get(TOKEN_FILE) or any(environment.get(name) for name in _OTHER_LOGINS):
        return {}
    return {_AUTH: _PROVIDER}


def register() -> None:
    """Name the provider to MLflow in this process; in the script's the hook does it."""
    from mlflow.tracking.request_auth import registry

    providers = registry._request_auth_provider_registry  # noqa: SLF001 - as for its other plugins, there is no public one
    if not any(one.get_name() == _PROVIDER for one in providers):
        providers.register(TokenFileProvider)  # type: ignore[no-untyped-call]  # MLflow's


class TokenFileProvider:
    """MLflow's provider of the login `trainingjob`."""

    def get_name(self) -> str:
        """Return the value of MLFLOW_TRACKING_AUTH that asks for it."""
        return _PROVIDER

    def get_auth(self) -> TokenFileLogin:
        """Return what logs one request in."""
        uris = (os.environ.get(name) for name in _TRACKING_URIS)
        return TokenFileLogin(Path(os.environ[TOKEN_FILE]), next((uri for uri in uris if uri), ""))


class TokenFileLogin:
    """Adds the token to requests to the job's server, and to no other.

    Raises, at a request:
        OSError: the file cannot be read.
    """

    def __init__(self, file: Path, tracking_uri: str) -> None:
        self._file = file
        self._server = _origin(tracking_uri)

    def __call__(self, request: PreparedRequest) -> Any:
        """Return the request with its login, as requests asks for it."""
        if _origin(request.url or "") == self._server:
            token = self._file.read_text(encoding="utf-8").strip()
            request.headers["Authorization"] = f"Bearer {token}"
        return request


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc

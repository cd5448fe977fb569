"""A client for each MLflow server, each with its own login: no credentials go to another one."""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from trainingjob_operator.adapters.mlflow_rest import Credentials, MlflowApi
from trainingjob_operator.adapters.proxies import environment_proxy
from trainingjob_operator.settings import Settings, SettingsError

# MLflow's own names: of the files of a login, and of environment variables for the default server.
LOGIN = {
    "username": "MLFLOW_TRACKING_USERNAME",
    "password": "MLFLOW_TRACKING_PASSWORD",
    "token": "MLFLOW_TRACKING_TOKEN",
}
CA_PATH = "MLFLOW_TRACKING_SERVER_CERT_PATH"

OnCall = Callable[[str, str, float], None]


class ClientPool:
    """Gives the client of a tracking URI; those with a login are made at once.

    Raises:
        SettingsError: a login or a CA certificate cannot be read; the message names the file.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str], on_call: OnCall) -> None:
        self._on_call = on_call
        self._clients: dict[str, MlflowApi] = {}
        default = {field: environment.get(name, "") for field, name in LOGIN.items()}
        if settings.mlflow_login_directory:
            default |= _login(settings.mlflow_login_directory)
        self._open(
            settings.mlflow_tracking_uri,
            Credentials(**default, ca_path=environment.get(CA_PATH, "")),
        )
        for server in settings.mlflow_servers:
            login = _login(server.login_directory) if server.login_directory else {}
            self._open(server.uri, Credentials(**login, ca_path=server.ca_path))

    def __call__(self, uri: str) -> MlflowApi:
        """The client of a server; one that is only allowed gets no credentials."""
        return self._clients.get(uri) or self._open(uri, Credentials())

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.close()

    def _open(self, uri: str, credentials: Credentials) -> MlflowApi:
        proxy = environment_proxy(uri)
        try:
            client = MlflowApi(uri, credentials, self._on_call, proxy=proxy)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"CA certificate {credentials.ca_path} of {uri}: {error}"
            ) from error
        self._clients[uri] = client
        return client


def _login(directory: Path) -> dict[str, str]:
    """The parts of a login that are there; a Secret is mounted as one file for each key."""
    parts: dict[str, str] = {}
    try:
        for field, name in LOGIN.items():
            if (directory / name).exists():
                parts[field] = (directory / name).read_text().rstrip("\n")
    except OSError as error:
        raise SettingsError(f"login in {directory}: {error}") from error
    if not parts.get("token") and not parts.get("username"):
        names = f"{LOGIN['token']} or {LOGIN['username']}"
        raise SettingsError(f"login in {directory}: there is no {names}")
    return parts

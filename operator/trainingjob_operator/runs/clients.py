"""A client for each MLflow server, with a login of its own that no other server gets."""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from trainingjob_operator.adapters.mlflow_rest import (
    LOGIN,
    Credentials,
    FileLogin,
    Login,
    LoginError,
    MlflowApi,
)
from trainingjob_operator.adapters.proxies import environment_proxy
from trainingjob_operator.settings import Settings, SettingsError

# MLflow's own name, for the default server.
CA_PATH = "MLFLOW_TRACKING_SERVER_CERT_PATH"

OnCall = Callable[[str, str, float], None]


class ClientPool:
    """Returns the client of a workspace on a server; clients with a login are created at once.

    Raises:
        SettingsError: a login or a CA certificate cannot be read; the message names the file.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str], on_call: OnCall) -> None:
        self._on_call = on_call
        self._clients: dict[str, MlflowApi] = {}
        default = {field: environment.get(name, "") for field, name in LOGIN.items()}
        self._open(
            settings.mlflow_tracking_uri,
            Credentials(**default, ca_path=environment.get(CA_PATH, "")),
            settings.mlflow_login_directory,
        )
        for server in settings.mlflow_servers:
            self._open(server.uri, Credentials(ca_path=server.ca_path), server.login_directory)

    def __call__(self, uri: str, workspace: str = "") -> MlflowApi:
        """The client of a server; without credentials for a server that is merely allowed."""
        server = self._clients.get(uri) or self._open(uri, Credentials(), None)
        return server.in_workspace(workspace) if workspace else server

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.close()

    def _open(self, uri: str, credentials: Credentials, directory: Path | None) -> MlflowApi:
        proxy = environment_proxy(uri)
        try:
            login: Login = FileLogin(directory, credentials) if directory else credentials
            client = MlflowApi(uri, login, self._on_call, proxy=proxy)
        except LoginError as error:
            raise SettingsError(str(error)) from error
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"CA certificate {credentials.ca_path} of {uri}: {error}"
            ) from error
        self._clients[uri] = client
        return client

"""The login of kubectl, or of the pod that this runs in, and errors in the user's words."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError, MaxRetryError

from trainingjob.core import refusals
from trainingjob.core.calls import BY_DEFAULT, Calls
from trainingjob.errors import UserError

CALL_SECONDS = 30
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DEFAULT_NAMESPACE = "default"
# How reading anything else than a kubeconfig ends: the client of Kubernetes does not check first.
_UNREADABLE = (yaml.YAMLError, OSError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Connection:
    """A client of one API server, and the namespace of the calls."""

    api: Any
    server: str
    namespace: str
    calls: Calls = BY_DEFAULT

    @contextmanager
    def errors_explained(self) -> Iterator[None]:
        """Raise UserError for whatever a call ends with."""
        try:
            yield
        except ApiException as error:
            if not error.status:
                # The client's own, for a connection that broke in TLS.
                cause = str(error.reason).strip().rpartition("\n")[2]
                raise refusals.unreachable(self.server, cause) from error
            body = error.body.decode() if isinstance(error.body, bytes) else error.body
            raise refusals.of_answer(
                error.status,
                body or str(error.reason),
                self.server,
                self.namespace,
                self.calls,
            ) from error
        except HTTPError as error:
            raise refusals.unreachable(self.server, _cause(error)) from error


def connect(context: str | None, namespace: str | None) -> Connection:
    """Log in as kubectl would, else as the pod's ServiceAccount.

    Raises:
        UserError: there is no kubeconfig, or it has not the context.
    """
    configuration = client.Configuration()
    # urllib3 would try each address three times over.
    configuration.retries = False
    try:
        found = _from_kubeconfig(configuration, context)
    except config.ConfigException as error:
        if context is not None or not _OWN_NAMESPACE.is_file():
            raise _no_cluster(" ".join(str(error).split())) from error
        config.load_incluster_config(client_configuration=configuration)
        found = _OWN_NAMESPACE.read_text().strip()
    return Connection(
        client.ApiClient(configuration),
        configuration.host,
        namespace or found,
        Calls(namespace, context),
    )


def _no_cluster(cause: str) -> UserError:
    return UserError(
        f"no cluster: {cause}",
        "name a kubeconfig by KUBECONFIG, as for kubectl, and one of its contexts by --context",
    )


def _from_kubeconfig(configuration: Any, context: str | None) -> str:
    """Fill the configuration; return the namespace of the context."""
    # As it is now: the client's own default is that of its import.
    file = os.environ.get("KUBECONFIG") or None
    try:
        config.load_kube_config(file, context, client_configuration=configuration)
        contexts, active = config.list_kube_config_contexts(file)
    except _UNREADABLE as error:
        cause = " ".join(str(error).split())
        raise _no_cluster(f"{file or '~/.kube/config'} is no kubeconfig: {cause}") from error
    if context is not None:
        active = next(one for one in contexts if one["name"] == context)
    return str(active["context"].get("namespace") or _DEFAULT_NAMESPACE)


def _cause(error: HTTPError) -> str:
    """Only the reason: urllib3 repeats the address and the path."""
    reason = error.reason if isinstance(error, MaxRetryError) else error
    return str(reason).rpartition(": ")[2] or type(error).__name__

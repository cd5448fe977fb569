"""What there is in a cluster, for `tj doctor`."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from trainingjob.adapters.kube.connection import CALL_SECONDS, Connection
from trainingjob.core.checkup import Right

_OPERATOR = "app.kubernetes.io/name=trainingjob-operator"
_GPU = "nvidia.com/gpu"
_KUEUE = {"group": "kueue.x-k8s.io", "plural": "localqueues"}
# Kueue's releases serve one of these or both.
_KUEUE_VERSIONS = ("v1beta2", "v1beta1")
_UNSEEN = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


class Survey:
    """Questions to the API server. What the login may not see is None; other errors UserError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def server(self) -> str:
        """Address of the API server."""
        return self._connection.server

    def version(self) -> str:
        """Version of the API server, such as v1.37.0."""
        with self._connection.errors_explained():
            api = client.VersionApi(self._connection.api)
            return str(api.get_code(_request_timeout=CALL_SECONDS).git_version)

    def lacks(self, right: Right) -> bool:
        """Whether this login does not have a right in the namespace."""
        asked = {
            "spec": {
                "resourceAttributes": {
                    "namespace": self._connection.namespace,
                    "verb": right.verb,
                    "group": right.group,
                    "resource": right.resource,
                    "subresource": right.subresource,
                }
            }
        }
        with self._connection.errors_explained():
            api = client.AuthorizationV1Api(self._connection.api)
            answer = api.create_self_subject_access_review(asked, _request_timeout=CALL_SECONDS)
        return not answer.status.allowed

    def operators(self) -> list[int] | None:
        """Ready replicas of each Deployment of the operator, in any namespace."""
        api = client.AppsV1Api(self._connection.api)
        found = self._seen(
            lambda: (
                api.list_deployment_for_all_namespaces(
                    label_selector=_OPERATOR, _request_timeout=CALL_SECONDS
                ).items
            )
        )
        return None if found is None else [one.status.ready_replicas or 0 for one in found]

    def gpus(self) -> list[int] | None:
        """NVIDIA GPUs that each node can give."""
        api = client.CoreV1Api(self._connection.api)
        found = self._seen(lambda: api.list_node(_request_timeout=CALL_SECONDS).items)
        if found is None:
            return None
        return [int((one.status.allocatable or {}).get(_GPU, "0")) for one in found]

    def queues(self) -> list[str] | None:
        """Names of the namespace's LocalQueues; None without Kueue."""
        answers = (self._queues(version) for version in _KUEUE_VERSIONS)
        return next((found for found in answers if found is not None), None)

    def _queues(self, version: str) -> list[str] | None:
        api = client.CustomObjectsApi(self._connection.api)
        scope = {**_KUEUE, "version": version, "namespace": self._connection.namespace}
        found = self._seen(
            lambda: api.list_namespaced_custom_object(**scope, _request_timeout=CALL_SECONDS)[
                "items"
            ]
        )
        return None if found is None else [str(one["metadata"]["name"]) for one in found]

    def _seen(self, ask: Callable[[], Any]) -> list[Any] | None:
        with self._connection.errors_explained():
            try:
                found: list[Any] = ask()
            except ApiException as error:
                if error.status in _UNSEEN:
                    return None
                raise
            return found

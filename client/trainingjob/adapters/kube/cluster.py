"""Calls to the API server about TrainingJobs, their pods, logs and events."""

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from trainingjob.adapters.kube.connection import CALL_SECONDS, Connection, connect
from trainingjob.adapters.kube.pod_log import read_log
from trainingjob.adapters.kube.streams import Streams
from trainingjob.adapters.kube.survey import Survey
from trainingjob.core import naming, refusals, wire
from trainingjob.core.calls import Calls
from trainingjob.core.pods import Event, Pod
from trainingjob.core.refusals import NotFoundError
from trainingjob.errors import UserError

Body = dict[str, Any]
_WATCH_SECONDS = 60
_PAGE = 500


class Cluster:
    """One namespace of a cluster. Every call raises UserError with what to do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._jobs = client.CustomObjectsApi(connection.api)
        self._core = client.CoreV1Api(connection.api)
        self._group = {"group": wire.GROUP, "version": wire.VERSION, "plural": wire.PLURAL}
        self._scope = {**self._group, "namespace": connection.namespace}

    @classmethod
    def connect(cls, context: str | None = None, namespace: str | None = None) -> "Cluster":
        """Log in as kubectl does; the namespace is by default that of the context."""
        return cls(connect(context, namespace))

    @property
    def namespace(self) -> str:
        """The namespace of all calls."""
        return self._connection.namespace

    @property
    def calls(self) -> Calls:
        """How `tj` is called for the same namespace."""
        return self._connection.calls

    def survey(self) -> Survey:
        """Questions about the cluster as a whole."""
        return Survey(self._connection)

    def training_jobs(self, *, all_namespaces: bool = False) -> list[Body]:
        """All TrainingJobs."""
        with self._connection.errors_explained():
            if all_namespaces:
                call, scope = self._jobs.list_cluster_custom_object, self._group
            else:
                call, scope = self._jobs.list_namespaced_custom_object, self._scope
            found: list[Body] = call(**scope, _request_timeout=CALL_SECONDS)["items"]
        if not found and not all_namespaces:
            self._check_namespace()
        return found

    def get(self, name: str) -> Body:
        """A TrainingJob.

        Raises:
            NotFoundError: there is none.
        """
        with self._connection.errors_explained():
            found: Body = self._jobs.get_namespaced_custom_object(
                **self._named(name), _request_timeout=CALL_SECONDS
            )
        return found

    def create(self, body: Body) -> Body:
        """Create a TrainingJob.

        Raises:
            TakenError: there is one of this name.
        """
        with self._connection.errors_explained():
            made: Body = self._jobs.create_namespaced_custom_object(
                **self._scope, body=body, _request_timeout=CALL_SECONDS
            )
        return made

    def patch_spec(self, name: str, **fields: Any) -> Body:
        """Change fields of a TrainingJob's spec."""
        with self._connection.errors_explained():
            changed: Body = self._jobs.patch_namespaced_custom_object(
                **self._named(name), body={"spec": fields}, _request_timeout=CALL_SECONDS
            )
        return changed

    def stop(self, name: str) -> Body:
        """End a TrainingJob for good (`spec.stop`); one that has ended stays as it is.

        Raises:
            UserError: the TrainingJobs of this cluster have no such field.
        """
        changed = self.patch_spec(name, stop=True)
        if changed["spec"].get("stop") is not True:
            raise UserError(
                f"the TrainingJobs of {self._connection.server} cannot be stopped",
                f"have the operator upgraded, or end it by {self.calls('delete', name)}",
            )
        return changed

    def delete(self, name: str) -> None:
        """Ask for a TrainingJob's deletion."""
        with self._connection.errors_explained():
            self._jobs.delete_namespaced_custom_object(
                **self._named(name), _request_timeout=CALL_SECONDS
            )

    def changes(self, name: str, streams: Streams) -> Iterator[Body | None]:
        """A TrainingJob now and after each change, None at last when it is gone; for a minute.

        Then, or when the connection breaks, the caller asks again.
        """
        try:
            found = self.get(name)
        except NotFoundError:
            yield None
            return
        yield found
        watcher = watch.Watch()
        stream = watcher.stream(
            self._jobs.list_namespaced_custom_object,
            **self._scope,
            field_selector=f"metadata.name={name}",
            resource_version=found["metadata"]["resourceVersion"],
            timeout_seconds=_WATCH_SECONDS,
            _request_timeout=_WATCH_SECONDS + CALL_SECONDS,
        )
        with self._connection.errors_explained(), streams.reading(watcher.stop):
            for event in stream:
                if event["type"] == "DELETED":
                    yield None
                    return
                yield event["object"]

    def create_config_map(self, body: Body, *, dry_run: bool = False) -> None:
        """Create a ConfigMap, or only ask whether it would be taken.

        Raises:
            TakenError: there is one of this name.
        """
        extra = {"dry_run": "All"} if dry_run else {}
        with self._connection.errors_explained():
            self._core.create_namespaced_config_map(
                self.namespace, body, _request_timeout=CALL_SECONDS, **extra
            )

    def config_map(self, name: str) -> Body:
        """A ConfigMap.

        Raises:
            NotFoundError: there is none.
        """
        with self._connection.errors_explained():
            found = self._core.read_namespaced_config_map(
                name, self.namespace, _request_timeout=CALL_SECONDS
            )
        body: Body = self._connection.api.sanitize_for_serialization(found)
        return body

    def pods(self, uid: str) -> list[Pod]:
        """All pods of a TrainingJob that exist, of every attempt."""
        with self._connection.errors_explained():
            found = self._core.list_namespaced_pod(
                self.namespace,
                label_selector=f"{wire.LABEL_UID}={uid}",
                _request_timeout=CALL_SECONDS,
            )
        return [_pod(one) for one in found.items]

    def child_job_uids(self, uid: str) -> list[str]:
        """The uids of the batch/v1 Jobs of a TrainingJob."""
        with self._connection.errors_explained():
            found = client.BatchV1Api(self._connection.api).list_namespaced_job(
                self.namespace,
                label_selector=f"{wire.LABEL_UID}={uid}",
                _request_timeout=CALL_SECONDS,
            )
        return [one.metadata.uid for one in found.items]

    def log(
        self, pod: Pod, since: str | None = None, follow: Streams | None = None
    ) -> Iterator[str]:
        """The lines of a pod's trainer with their times, as the kubelet stamps them.

        A log that is gone, or not there yet, has none. `since` is an RFC 3339 time. With `follow`,
        which may end it, those to come, too.
        """
        with self._connection.errors_explained():
            yield from read_log(self._connection, pod.name, since, follow)

    def events(self, uids: set[str]) -> list[Event]:
        """The Events about objects with these uids, oldest first."""
        found: list[Event] = []
        token = None
        with self._connection.errors_explained():
            while True:
                page = self._core.list_namespaced_event(
                    self.namespace, limit=_PAGE, _continue=token, _request_timeout=CALL_SECONDS
                )
                found += [_event(one) for one in page.items if one.involved_object.uid in uids]
                token = page.metadata._continue  # noqa: SLF001 - the generated name of `continue`
                if not token:
                    return sorted(found, key=lambda event: event.time)

    def _named(self, name: str) -> dict[str, Any]:
        """The place of one TrainingJob; without a name, a deletion would be one of all jobs."""
        return {**self._scope, "name": naming.existing(name)}

    def _check_namespace(self) -> None:
        """Refuse a namespace that is not there: its list is as empty as that of another."""
        try:
            self._core.read_namespace(self.namespace, _request_timeout=CALL_SECONDS)
        except ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                server = self._connection.server
                raise refusals.no_namespace(self.namespace, server) from error
            # Who may not read namespaces sees an empty list.
        except HTTPError as error:
            raise refusals.unreachable(self._connection.server, str(error)) from error


def _pod(found: Any) -> Pod:
    labels, annotations = found.metadata.labels or {}, found.metadata.annotations or {}
    return Pod(
        _number(labels.get(wire.LABEL_ATTEMPT)),
        _number(annotations.get(wire.INDEX_ANNOTATION)),
        found.metadata.name,
        found.metadata.uid,
        _phase(found.status),
    )


def _phase(status: Any) -> str:
    """The phase of a pod; that of its trainer once it has ended, which a sidecar may outlive."""
    for one in status.container_statuses or []:
        if one.name == wire.CONTAINER_NAME and one.state and one.state.terminated:
            return "Failed" if one.state.terminated.exit_code else "Succeeded"
    return status.phase or ""


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _event(found: Any) -> Event:
    moment = found.last_timestamp or found.event_time or found.metadata.creation_timestamp
    return Event(
        moment if isinstance(moment, datetime) else datetime.now(UTC),
        found.involved_object.kind or "",
        found.involved_object.name or "",
        found.type or "Normal",
        found.reason or "",
        found.message or "",
        found.count or 1,
    )

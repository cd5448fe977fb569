"""A test's view of the API server and of MLflow."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException, NotFoundException
from mlflow.tracking import MlflowClient

from tests.support.waiting import beside, wait_for

GROUP, VERSION, PLURAL = "trainingjob.dev", "v1alpha1", "trainingjobs"
TERMINAL_STATES = ("Succeeded", "Failed", "Stopped")
TERMINAL_RUNS = ("FINISHED", "FAILED", "KILLED")
WRITES = ("create", "patch", "update", "delete", "deletecollection")
Manifest = dict[str, Any]


def manifest(name: str, *, nodes: int = 1, annotations: dict[str, str] | None = None) -> Manifest:
    """A TrainingJob for fake nodes, steered by the annotations of its pods."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {"image": "fake:1", "numNodes": nodes, "podAnnotations": annotations or {}},
    }


class Cluster:
    """Calls that the tests of the operator make, in one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        api = config.new_client_from_config(str(kubeconfig))
        self.namespace = namespace
        self.core = client.CoreV1Api(api)
        self.batch = client.BatchV1Api(api)
        self.objects = client.CustomObjectsApi(api)
        self._scope = {
            "group": GROUP,
            "version": VERSION,
            "namespace": namespace,
            "plural": PLURAL,
        }

    def create_namespace(self, name: str | None = None) -> None:
        """Make the namespace; one that exists is used."""
        try:
            self.core.create_namespace({"metadata": {"name": name or self.namespace}})
        except ApiException as error:
            if error.status != 409:
                raise

    def apply(self, *manifests: Manifest) -> None:
        """Create TrainingJobs, several at once."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: self._create(one), manifests))

    def _create(self, one: Manifest) -> None:
        self.objects.create_namespaced_custom_object(**self._scope, body=one)

    def get(self, name: str) -> Manifest | None:
        """A TrainingJob, None if there is none."""
        try:
            found: Manifest = self.objects.get_namespaced_custom_object(**self._scope, name=name)
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return found

    def status(self, name: str) -> dict[str, Any]:
        """The status of a TrainingJob that is there; empty before the operator has seen it."""
        found = self.get(name)
        assert found is not None, f"there is no {name}"
        reported: dict[str, Any] = found.get("status", {})
        return reported

    def state(self, name: str) -> str | None:
        """The state of a TrainingJob."""
        found = self.get(name)
        return found.get("status", {}).get("state") if found else None

    def jobs(self) -> list[Manifest]:
        """All TrainingJobs of the namespace."""
        found: list[Manifest] = self.objects.list_namespaced_custom_object(**self._scope)["items"]
        return found

    def states(self) -> dict[str, str | None]:
        """The state of each TrainingJob of the namespace."""
        return {job["metadata"]["name"]: job.get("status", {}).get("state") for job in self.jobs()}

    def patch_status(self, name: str, **fields: Any) -> None:
        """Change fields of a TrainingJob's status, as another release of the operator might."""
        self.objects.patch_namespaced_custom_object_status(
            **self._scope, name=name, body={"status": fields}
        )

    def release_jobs(self) -> None:
        """Take the finalizers off all Jobs of the namespace, as where no operator is left."""
        for job in self.batch.list_namespaced_job(self.namespace).items:
            # Its operator may still be at it.
            with suppress(NotFoundException):
                self.batch.patch_namespaced_job(
                    job.metadata.name, self.namespace, {"metadata": {"finalizers": None}}
                )

    def has_ended(self, name: str, *states: str) -> bool:
        """Whether a TrainingJob has ended, in one of these states, and its Jobs are released."""
        if self.state(name) not in (states or TERMINAL_STATES):
            return False
        return not any(job.metadata.finalizers for job in self.batch_jobs(name))

    def batch_jobs(self, name: str) -> list[Any]:
        """The Jobs of all attempts of a TrainingJob."""
        selector = f"trainingjob.dev/name={name}"
        found = self.batch.list_namespaced_job(self.namespace, label_selector=selector)
        return list(found.items)

    def created_job(self, name: str, attempt: int) -> Any:
        """The Job of an attempt, as soon as it is there: in a queue the status comes first."""
        wanted = f"{name}-{attempt}"

        def found() -> Any | None:
            jobs = self.batch_jobs(name)
            return next((one for one in jobs if one.metadata.name == wanted), None)

        return wait_for(f"Job {wanted} is there", found, 60)

    def condition(self, name: str, kind: str) -> dict[str, Any] | None:
        """A condition of a TrainingJob, None where it has none of the type."""
        conditions = self.status(name).get("conditions", [])
        return next((one for one in conditions if one["type"] == kind), None)

    def delete(self, name: str) -> None:
        """Ask for a TrainingJob's deletion."""
        self.objects.delete_namespaced_custom_object(**self._scope, name=name)

    def change(self, name: str, **spec: Any) -> None:
        """Change fields of a TrainingJob's spec."""
        body = {"spec": spec}
        self.objects.patch_namespaced_custom_object(**self._scope, name=name, body=body)

    def wait_for_state(self, name: str, state: str) -> None:
        """Wait until the TrainingJob is in this state."""
        wait_for(f"{name} is {state}", lambda: self.state(name) == state, 60)

    def delete_all(self) -> None:
        """Ask for the deletion of all TrainingJobs of the namespace."""
        self.objects.delete_collection_namespaced_custom_object(**self._scope)

    def events(self, name: str) -> list[tuple[str, str]]:
        """Type and reason of the events about a TrainingJob, oldest first."""
        selector = f"involvedObject.kind=TrainingJob,involvedObject.name={name}"
        found = self.core.list_namespaced_event(self.namespace, field_selector=selector).items
        ordered = sorted(found, key=lambda event: event.event_time)
        return [(event.type, event.reason) for event in ordered]

    @contextmanager
    def terminal_times(self) -> Iterator[dict[str, float]]:
        """When each TrainingJob's state was first seen to be terminal (time.monotonic)."""
        seen: dict[str, float] = {}
        call = self.objects.list_namespaced_custom_object

        def follow(ended: threading.Event) -> None:
            while not ended.is_set():
                for event in watch.Watch().stream(call, **self._scope, timeout_seconds=2):
                    job = event["object"]
                    if job.get("status", {}).get("state") in TERMINAL_STATES:
                        seen.setdefault(job["metadata"]["name"], time.monotonic())

        with beside(follow):
            yield seen


class Runs:
    """The runs of one experiment, which is named like the namespace."""

    def __init__(self, uri: str, experiment: str) -> None:
        self.client = MlflowClient(uri)
        self._experiment = experiment

    def all(self) -> list[Any]:
        """All active runs of the experiment."""
        experiment = self.client.get_experiment_by_name(self._experiment)
        if experiment is None:
            return []
        return list(self.client.search_runs([experiment.experiment_id], max_results=5000))

    def by_job(self) -> dict[str, list[Any]]:
        """The runs of each TrainingJob by its name."""
        found: dict[str, list[Any]] = {}
        for run in self.all():
            found.setdefault(run.data.tags["trainingjob.name"], []).append(run)
        return found


@contextmanager
def recorded_ends(database: Path, experiment: str, poll: float = 0.1) -> Iterator[dict[str, float]]:
    """When each run of an experiment was first terminal in MLflow's database (time.monotonic).

    Read there and not by the server, which would be slowed by being asked ten times a second.
    """
    seen: dict[str, float] = {}
    query = (
        "SELECT runs.name FROM runs JOIN experiments USING (experiment_id) "
        "WHERE experiments.name = ? AND runs.status IN (?, ?, ?)"
    )

    def follow(ended: threading.Event) -> None:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            while not ended.wait(poll):
                for (name,) in connection.execute(query, (experiment, *TERMINAL_RUNS)):
                    seen.setdefault(name, time.monotonic())

    with beside(follow):
        yield seen


def operator_writes(
    audit_log: Path, namespace: str, offset: int = 0, *, accepted: bool = False
) -> list[str]:
    """The operator's writes in a namespace by the audit log, as "verb resource/subresource".

    All of them, since a refused one costs the API server as much, or the accepted ones. Those of
    the Lease by which an installation serves the namespace belong to no job.
    """
    found = []
    with audit_log.open() as lines:
        lines.seek(offset)
        for line in lines:
            entry = json.loads(line)
            target = entry.get("objectRef", {})
            ours = entry.get("userAgent", "").startswith(("trainingjob-operator", "kopf"))
            if accepted and entry["responseStatus"]["code"] >= HTTPStatus.BAD_REQUEST:
                continue
            if target.get("resource") == "leases":
                continue
            if ours and entry["verb"] in WRITES and target.get("namespace") == namespace:
                part = f"/{target['subresource']}" if target.get("subresource") else ""
                found.append(f"{entry['verb']} {target['resource']}{part}")
    return found

"""Runtimes as the API server would give them, and TrainingJobs that have one."""

from dataclasses import dataclass, field
from typing import Any

from kubernetes import client
from trainingjob_operator.api import Failure, RuntimeKind, TrainingJob, TrainingRuntimeSpec
from trainingjob_operator.core import resolution
from trainingjob_operator.core.intent import EventIntent, RunView
from trainingjob_operator.core.observe import Observed, RuntimeView

from tests.support.jobs import SERVERS, training_job
from tests.support.plans import NOW, decide


def view(
    spec: dict[str, Any], kind: str = "ClusterTrainingRuntime", name: str = "gpu", **more: Any
) -> RuntimeView:
    """A runtime as the informers keep it."""
    values: dict[str, Any] = {
        "kind": RuntimeKind(kind),
        "namespace": "ml" if kind == "TrainingRuntime" else "",
        "name": name,
        "uid": "r-1",
        "generation": 3,
        "spec": TrainingRuntimeSpec.model_validate(spec),
    }
    return RuntimeView(**{**values, **more})


def asking(spec: dict[str, Any] | None = None, **ref: str) -> TrainingJob:
    """A new TrainingJob that names a runtime, by default the ClusterTrainingRuntime gpu."""
    return training_job({"runtimeRef": ref or {"name": "gpu"}, **(spec or {})})


def seeing(runtime: RuntimeView | None, **more: Any) -> Observed:
    """Nothing of the job, and the runtime that it would get."""
    return Observed(None, (), runtime=runtime, **more)


def with_runtime(
    runtime: dict[str, Any], spec: dict[str, Any] | None = None, **status: Any
) -> TrainingJob:
    """A TrainingJob as it is read once its runtime is stored."""
    stored = {"kind": "ClusterTrainingRuntime", "name": "gpu", "spec": runtime}
    job = training_job({"runtimeRef": {"name": "gpu"}, **(spec or {})}, status)
    raw = job.model_dump(mode="json", exclude_unset=True)
    raw["status"]["runtime"] = stored
    return resolution.effective(TrainingJob.model_validate(raw))


@dataclass
class RuntimeObjects:
    """Runtimes in the API server: those of one namespace, and of the cluster."""

    objects: client.CustomObjectsApi
    namespace: str
    _wide: list[str] = field(default_factory=list)

    def create(self, name: str, spec: dict[str, Any], *, cluster_wide: bool = False) -> None:
        """Make one."""
        kind = "ClusterTrainingRuntime" if cluster_wide else "TrainingRuntime"
        body = {**_HEAD, "kind": kind, "metadata": {"name": name}, "spec": spec}
        if cluster_wide:
            self._wide.append(name)
            self.objects.create_cluster_custom_object(*_GROUP, "clustertrainingruntimes", body)
        else:
            self.objects.create_namespaced_custom_object(*_GROUP, *self._place(), body)

    def replace(self, name: str, spec: dict[str, Any]) -> None:
        """Give one of the namespace another spec."""
        found = self.objects.get_namespaced_custom_object(*_GROUP, *self._place(), name)
        self.objects.replace_namespaced_custom_object(
            *_GROUP, *self._place(), name, {**found, "spec": spec}
        )

    def delete(self, name: str) -> None:
        """Delete one of the namespace."""
        self.objects.delete_namespaced_custom_object(*_GROUP, *self._place(), name)

    def delete_all(self) -> None:
        """Delete all that were made."""
        self.objects.delete_collection_namespaced_custom_object(*_GROUP, *self._place())
        for name in self._wide:
            self.objects.delete_cluster_custom_object(*_GROUP, "clustertrainingruntimes", name)

    def _place(self) -> tuple[str, str]:
        return self.namespace, "trainingruntimes"


_GROUP = ("trainingjob.dev", "v1alpha1")
_HEAD = {"apiVersion": "trainingjob.dev/v1alpha1"}


def why_it_does_not_begin(job: TrainingJob, observed: Observed) -> Failure:
    """The failure in the status; the job has no run and no pods, and an Event says the same."""
    plan = decide(job, observed, RunView(), NOW, SERVERS)
    assert plan.status is not None
    assert (plan.run, plan.actions) == (None, ())
    failure = plan.status.failure
    assert failure is not None
    assert plan.events == (EventIntent("Warning", failure.reason or "", failure.message or ""),)
    [running, *_] = plan.status.conditions
    if plan.status.state == "Pending":
        assert (running.type, running.status) == ("Running", "False")
        assert (running.reason, running.message) == (failure.reason, failure.message)
    return failure

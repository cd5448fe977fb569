"""The runtimes that jobs may get: of the namespaces, and where it may be read the cluster's."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from trainingjob_operator.adapters.informer import Informer, Source
from trainingjob_operator.adapters.kube import (
    CLUSTER_TRAINING_RUNTIMES,
    TRAINING_RUNTIMES,
    Resource,
)
from trainingjob_operator.api import RuntimeKind, TrainingJob
from trainingjob_operator.cluster.namespaces import NamespaceInformers
from trainingjob_operator.core import names
from trainingjob_operator.core.decode import runtime_view
from trainingjob_operator.core.observe import RuntimeView
from trainingjob_operator.core.policies import runtimes

RESOURCES = {
    RuntimeKind.TRAINING_RUNTIME: TRAINING_RUNTIMES,
    RuntimeKind.CLUSTER_TRAINING_RUNTIME: CLUSTER_TRAINING_RUNTIMES,
}


class Sources(Protocol):
    """What watching runtimes needs of the Kubernetes API."""

    def source(self, resource: Resource, *, namespace: str | None) -> Source:
        """Return the list and watch of one resource, in one namespace or in all."""


class Runtimes:
    """Their copies, in the given namespaces; without any in all, and those of the cluster.

    `on_change` gets the namespace and name of each that was added, differs or is gone, as a key;
    the namespace of those of the cluster is "".
    """

    def __init__(
        self,
        kube: Sources,
        namespaces: tuple[str, ...],
        on_change: Callable[[str], None],
        on_error: Callable[[str], None],
    ) -> None:
        kinds = [RuntimeKind.TRAINING_RUNTIME] if namespaces else list(RuntimeKind)
        self._informers = {
            kind: NamespaceInformers(
                {
                    scope: Informer(
                        kube.source(RESOURCES[kind], namespace=scope or None),
                        partial(runtime_view, kind),
                        _key,
                        on_change,
                        on_error=on_error,
                    )
                    for scope in namespaces or ("",)
                }
            )
            for kind in kinds
        }

    @property
    def informers(self) -> Mapping[str, NamespaceInformers[RuntimeView]]:
        """Those of the kinds, by the resource's plural."""
        return {RESOURCES[kind].plural: one for kind, one in self._informers.items()}

    @property
    def of_cluster(self) -> bool:
        """Whether those of the cluster are read."""
        return RuntimeKind.CLUSTER_TRAINING_RUNTIME in self._informers

    def of(self, job: TrainingJob) -> RuntimeView | None:
        """The runtime that a job would get now; None where there is none."""
        for kind, name in runtimes.candidates(job):
            namespaced = kind == RuntimeKind.TRAINING_RUNTIME
            informers = self._informers.get(kind)
            namespace = job.metadata.namespace if namespaced else ""
            found = informers.get(namespace, name) if informers is not None else None
            if found is not None:
                return found
        return None


def _key(runtime: RuntimeView) -> str:
    return names.key(runtime.namespace, runtime.name)

"""The resources that the operator reads and writes, and their URL paths."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the API, by its group ("" for core), version and plural."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the URL path; without a namespace that of all, or of a resource of the cluster."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        tail = "".join(f"/{quote(part, safe='')}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{tail}"


TRAININGJOBS = Resource("trainingjob.dev", "v1alpha1", "trainingjobs")
TRAINING_RUNTIMES = Resource("trainingjob.dev", "v1alpha1", "trainingruntimes")
CLUSTER_TRAINING_RUNTIMES = Resource("trainingjob.dev", "v1alpha1", "clustertrainingruntimes")
JOBS = Resource("batch", "v1", "jobs")
PODS = Resource("", "v1", "pods")
CLAIMS = Resource("", "v1", "persistentvolumeclaims")
SERVICES = Resource("", "v1", "services")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
NAMESPACES = Resource("", "v1", "namespaces")
EVENTS = Resource("events.k8s.io", "v1", "events")

"""The Kubernetes API as plain dicts."""

from trainingjob_operator.adapters.kube.client import BoundSource, Kube
from trainingjob_operator.adapters.kube.errors import ApiError, Conflict, NotFound
from trainingjob_operator.adapters.kube.resources import (
    CLAIMS,
    CLUSTER_TRAINING_RUNTIMES,
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    PODS,
    SERVICES,
    TRAINING_RUNTIMES,
    TRAININGJOBS,
    Resource,
)

__all__ = [
    "CLAIMS",
    "CLUSTER_TRAINING_RUNTIMES",
    "EVENTS",
    "JOBS",
    "LEASES",
    "NAMESPACES",
    "PODS",
    "SERVICES",
    "TRAININGJOBS",
    "TRAINING_RUNTIMES",
    "ApiError",
    "BoundSource",
    "Conflict",
    "Kube",
    "NotFound",
    "Resource",
]

"""The Kubernetes API as plain dicts."""

from trainingjob_operator.adapters.kube.client import BoundSource, Kube
from trainingjob_operator.adapters.kube.errors import ApiError, Conflict, NotFound
from trainingjob_operator.adapters.kube.resources import (
    CLAIMS,
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    PODS,
    SERVICES,
    TRAININGJOBS,
    Resource,
)

__all__ = [
    "CLAIMS",
    "EVENTS",
    "JOBS",
    "LEASES",
    "NAMESPACES",
    "PODS",
    "SERVICES",
    "TRAININGJOBS",
    "ApiError",
    "BoundSource",
    "Conflict",
    "Kube",
    "NotFound",
    "Resource",
]

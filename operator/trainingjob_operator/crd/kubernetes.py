"""Structural schemas of the Kubernetes types that a TrainingJob contains.

They come from the API server's own /openapi/v3, pruned to what a training pod may use and
kept in kubernetes.json beside this module (`python -m trainingjob_operator.crd --refresh`).
"""

import json
from importlib import resources
from typing import Any

from trainingjob_operator.api.cel import rule, validations
from trainingjob_operator.api.container_rules import (
    CONTAINER_FIELDS,
    POD_SECURITY_CONTEXT_FIELDS,
    SECURITY_CONTEXT_FIELDS,
)
from trainingjob_operator.api.kubernetes_types import QUANTITY_SCHEMA
from trainingjob_operator.api.pod_rules import resource_rules
from trainingjob_operator.api.rules import VOLUME_SOURCES

Schema = dict[str, Any]

# For the quantities deep inside of volumes, where a CEL rule would be too costly.
QUANTITY_PATTERN = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"

CORE = "io.k8s.api.core.v1."
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
ROOT_TYPES = (
    "Affinity",
    "Container",
    "EnvFromSource",
    "EnvVar",
    "HostAlias",
    "LocalObjectReference",
    "PodDNSConfig",
    "PodResourceClaim",
    "PodSecurityContext",
    "ResourceRequirements",
    "Toleration",
    "TopologySpreadConstraint",
    "Volume",
    "VolumeMount",
)
# Types of which only some fields make sense in a TrainingJob.
KEPT_PROPERTIES = {
    CORE + "Container": CONTAINER_FIELDS,
    CORE + "GRPCAction": ("port", "service"),
    # No host: by one a probe reaches what the pod's own network may not.
    CORE + "HTTPGetAction": ("httpHeaders", "path", "port", "scheme"),
    CORE + "PodSecurityContext": POD_SECURITY_CONTEXT_FIELDS,
    CORE + "Probe": (
        *("exec", "grpc", "httpGet", "tcpSocket"),
        *("failureThreshold", "initialDelaySeconds", "periodSeconds", "timeoutSeconds"),
    ),
    CORE + "SecurityContext": SECURITY_CONTEXT_FIELDS,
    CORE + "TCPSocketAction": ("port",),
    CORE + "Volume": ("name", *VOLUME_SOURCES),
    META + "ObjectMeta": ("annotations", "labels"),
}

_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_DNS_LABEL = {"pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "minLength": 1, "maxLength": 63}
_DNS_NAME = {"pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"}
_QUANTITIES = {"maxProperties": 32, "additionalProperties": QUANTITY_SCHEMA}
_USER = {"minimum": 1, "maximum": 2**31 - 1}
_GROUP = {"minimum": 0, "maximum": 2**31 - 1}
_ADDRESS = {"maxLength": 45, **validations(rule("isIP(self)", "must be an IP address"))}


def _keyed(key: str, max_items: int) -> Schema:
    return {
        "maxItems": max_items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
    }


# What the API server checks in code rather than in the schema that it publishes. With it here
# the mistake is refused when the TrainingJob is created, not when the pods are.
EXTRA_VALIDATION: dict[tuple[str, str], Schema] = {
    (CORE + "Container", "args"): {"maxItems": 1024},
    (CORE + "Container", "command"): {"maxItems": 256},
    (CORE + "Container", "env"): _keyed("name", 256),
    (CORE + "Container", "envFrom"): {"maxItems": 64},
    (CORE + "Container", "image"): {"minLength": 1, "maxLength": 1024, "pattern": r"^\S+$"},
    (CORE + "Container", "name"): _DNS_LABEL,
    (CORE + "Container", "resources"): resource_rules("resources"),
    (CORE + "Container", "volumeMounts"): _keyed("mountPath", 64),
    (CORE + "Container", "workingDir"): {"maxLength": 4096},
    (CORE + "EnvVar", "name"): {"minLength": 1, "maxLength": 256, "pattern": "^[^=]+$"},
    (CORE + "GRPCAction", "port"): _PORT,
    (CORE + "HostAlias", "hostnames"): {
        "minItems": 1,
        "maxItems": 64,
        "items": {"type": "string", "maxLength": 253, **_DNS_NAME},
    },
    (CORE + "HostAlias", "ip"): _ADDRESS,
    (CORE + "LocalObjectReference", "name"): {"minLength": 1, "maxLength": 253},
    (CORE + "PodDNSConfig", "nameservers"): {
        "maxItems": 3,
        "items": {"type": "string", **_ADDRESS},
    },
    (CORE + "PodDNSConfig", "options"): {"maxItems": 32},
    (CORE + "PodDNSConfig", "searches"): {
        "maxItems": 32,
        "items": {"type": "string", "maxLength": 255},
    },
    (CORE + "PodResourceClaim", "name"): _DNS_LABEL,
    # As good as left out. `kubectl apply` drops it by itself, and server-side apply does not.
    (CORE + "PodSecurityContext", "fsGroup"): {"nullable": True, **_GROUP},
    (CORE + "PodSecurityContext", "runAsGroup"): _GROUP,
    (CORE + "PodSecurityContext", "runAsUser"): _USER,
    (CORE + "PodSecurityContext", "supplementalGroups"): {
        "maxItems": 32,
        "items": {"type": "integer", "format": "int64", **_GROUP},
    },
    (CORE + "ResourceClaim", "name"): _DNS_LABEL,
    (CORE + "ResourceRequirements", "claims"): {"maxItems": 32},
    (CORE + "ResourceRequirements", "limits"): _QUANTITIES,
    (CORE + "ResourceRequirements", "requests"): _QUANTITIES,
    (CORE + "SecurityContext", "runAsGroup"): _GROUP,
    (CORE + "SecurityContext", "runAsUser"): _USER,
    (CORE + "TopologySpreadConstraint", "maxSkew"): {"minimum": 1},
    (CORE + "TopologySpreadConstraint", "minDomains"): {"minimum": 1},
    (CORE + "TopologySpreadConstraint", "topologyKey"): {"minLength": 1, "maxLength": 317},
    (CORE + "Volume", "name"): _DNS_LABEL,
    (CORE + "VolumeMount", "mountPath"): {"minLength": 1, "maxLength": 4096, "pattern": "^[^:]+$"},
    # Bidirectional mounts are for privileged containers only.
    (CORE + "VolumeMount", "mountPropagation"): {"enum": ["None", "HostToContainer"]},
    (CORE + "VolumeMount", "name"): _DNS_LABEL,
}
EXTRA_REQUIRED = {
    CORE + "Container": ["name", "image"],
    CORE + "HostAlias": ["hostnames", "ip"],
    CORE + "LocalObjectReference": ["name"],
}

_KEPT_KEYWORDS = ("type", "format", "enum", "x-kubernetes-int-or-string", "x-kubernetes-map-type")


def kubernetes_type(name: str) -> Schema:
    """Return the structural schema of a core/v1 type, e.g. `EnvVar`, without references."""
    document = json.loads(resources.files(__package__).joinpath("kubernetes.json").read_text())
    return _structural(CORE + name, document["schemas"])


def _structural(type_name: str, schemas: dict[str, Schema]) -> Schema:
    if type_name == QUANTITY:
        return {
            "x-kubernetes-int-or-string": True,
            "pattern": QUANTITY_PATTERN,
            "maxLength": 64,
        }
    if type_name == INT_OR_STRING:
        # Only probes have one: their port, which has no name where a container names none.
        return dict(_PORT)
    schema = _convert(schemas[type_name], schemas)
    for name, property_schema in schema.get("properties", {}).items():
        property_schema.update(EXTRA_VALIDATION.get((type_name, name), {}))
    if type_name in EXTRA_REQUIRED:
        schema["required"] = EXTRA_REQUIRED[type_name]
    return schema


def _convert(schema: Schema, schemas: dict[str, Schema]) -> Schema:
    reference = _reference(schema)
    if reference:
        result = _structural(reference, schemas)
    else:
        result = {key: schema[key] for key in _KEPT_KEYWORDS if key in schema}
    if "description" in schema:
        result["description"] = schema["description"].split("\n\n")[0]
    if "properties" in schema:
        result["properties"] = {
            name: _convert(value, schemas) for name, value in schema["properties"].items()
        }
    for nested in ("items", "additionalProperties"):
        if isinstance(schema.get(nested), dict):
            result[nested] = _convert(schema[nested], schemas)
            result[nested].pop("description", None)
    if "items" in schema:
        # Nothing merges inside these lists: the spec cannot be changed.
        result["x-kubernetes-list-type"] = "atomic"
    if schema.get("required"):
        result["required"] = schema["required"]
    return result


def _reference(schema: Schema) -> str | None:
    """Name of the type that a property refers to, directly or as the one member of allOf."""
    target = schema.get("$ref") or next(
        (member["$ref"] for member in schema.get("allOf", []) if "$ref" in member), None
    )
    return target.rsplit("/", 1)[-1] if target else None

"""Structural schemas of the Kubernetes types that a TrainingJob contains.

They come from the API server's own /openapi/v3, pruned to what a training pod may use and
kept in kubernetes.json beside this module (`python -m trainingjob_operator.crd --refresh`).
"""

import json
from importlib import resources
from typing import Any

from trainingjob_operator.api.kubernetes_types import QUANTITY_SCHEMA
from trainingjob_operator.api.rules import VOLUME_SOURCES

Schema = dict[str, Any]

# For the quantities deep inside of volumes, where a CEL rule would be too costly.
QUANTITY_PATTERN = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"

CORE = "io.k8s.api.core.v1."
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
ROOT_TYPES = (
    "Affinity",
    "EnvFromSource",
    "EnvVar",
    "LocalObjectReference",
    "ResourceRequirements",
    "Toleration",
    "Volume",
    "VolumeMount",
)
# Types of which only some fields make sense in a TrainingJob.
KEPT_PROPERTIES = {
    CORE + "ResourceRequirements": ("limits", "requests"),
    CORE + "Volume": ("name", *VOLUME_SOURCES),
    META + "ObjectMeta": ("annotations", "labels"),
}

_DNS_LABEL = {"pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "minLength": 1, "maxLength": 63}
_QUANTITIES = {"maxProperties": 32, "additionalProperties": QUANTITY_SCHEMA}
# What the API server checks in code rather than in the schema that it publishes. With it here
# the mistake is refused when the TrainingJob is created, not when the pods are.
EXTRA_VALIDATION: dict[tuple[str, str], Schema] = {
    (CORE + "EnvVar", "name"): {"minLength": 1, "maxLength": 256, "pattern": "^[^=]+$"},
    (CORE + "LocalObjectReference", "name"): {"minLength": 1, "maxLength": 253},
    (CORE + "ResourceRequirements", "limits"): _QUANTITIES,
    (CORE + "ResourceRequirements", "requests"): _QUANTITIES,
    (CORE + "Volume", "name"): _DNS_LABEL,
    (CORE + "VolumeMount", "mountPath"): {"minLength": 1, "maxLength": 4096, "pattern": "^[^:]+$"},
    (CORE + "VolumeMount", "name"): _DNS_LABEL,
}
EXTRA_REQUIRED = {CORE + "LocalObjectReference": ["name"]}

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

"""Kubernetes values inside the spec: plain dicts and lists here, full schemas in the CRD.

`kubernetesType` names a type of the core/v1 API; the CRD generator puts its schema there.
The bounds on sizes are far above real use; the API server needs them to bound the cost of
the CEL rules.
"""

from typing import Annotated, Any

from pydantic import WithJsonSchema
from pydantic.config import JsonDict

from trainingjob_operator.api.container_rules import (
    INIT_CONTAINER_RULES,
    RESOURCE_CLAIM_RULES,
    SIDECAR_RULES,
    SPREAD_RULES,
)
from trainingjob_operator.api.pod_rules import TOLERATION_RULES
from trainingjob_operator.api.rules import BYTES_RULES, QUANTITY_RULES, VOLUME_RULES, variable_rules

_INT_OR_STRING: dict[str, Any] = {"x-kubernetes-int-or-string": True, "maxLength": 64}
QUANTITY_SCHEMA: dict[str, Any] = {**_INT_OR_STRING, **QUANTITY_RULES}
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"


def _reference(type_name: str) -> WithJsonSchema:
    return WithJsonSchema({"kubernetesType": type_name})


def _list(
    type_name: str, max_items: int, *keys: str, item_rules: JsonDict | None = None
) -> WithJsonSchema:
    schema: dict[str, Any] = {
        "type": "array",
        "items": {"kubernetesType": type_name, **(item_rules or {})},
        "maxItems": max_items,
        "x-kubernetes-list-type": "atomic",
    }
    if keys:
        schema["x-kubernetes-list-type"] = "map"
        schema["x-kubernetes-list-map-keys"] = [*keys]
    return WithJsonSchema(schema)


def _string_map(max_properties: int, **value: Any) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": "object",
            "maxProperties": max_properties,
            "additionalProperties": {"type": "string", **value},
        }
    )


KubernetesObject = dict[str, Any]

ClaimTemplate = Annotated[KubernetesObject, _reference("PersistentVolumeClaimSpec")]
Affinity = Annotated[KubernetesObject, _reference("Affinity")]
DNSConfig = Annotated[KubernetesObject, _reference("PodDNSConfig")]
EnvFromSources = Annotated[list[KubernetesObject], _list("EnvFromSource", 64)]
EnvVars = Annotated[
    list[KubernetesObject], _list("EnvVar", 256, "name", item_rules=variable_rules("spec.env"))
]
HostAliases = Annotated[list[KubernetesObject], _list("HostAlias", 64, "ip")]
InitContainers = Annotated[
    list[KubernetesObject], _list("Container", 16, "name", item_rules=INIT_CONTAINER_RULES)
]
InitializerEnvVars = Annotated[
    list[KubernetesObject],
    _list("EnvVar", 16, "name", item_rules=variable_rules("spec.initializers.env")),
]
LocalObjectReferences = Annotated[list[KubernetesObject], _list("LocalObjectReference", 16, "name")]
PodSecurityContext = Annotated[KubernetesObject, _reference("PodSecurityContext")]
ResourceClaims = Annotated[
    list[KubernetesObject], _list("PodResourceClaim", 32, "name", item_rules=RESOURCE_CLAIM_RULES)
]
ResourceRequirements = Annotated[KubernetesObject, _reference("ResourceRequirements")]
Sidecars = Annotated[
    list[KubernetesObject], _list("Container", 16, "name", item_rules=SIDECAR_RULES)
]
Tolerations = Annotated[
    list[KubernetesObject], _list("Toleration", 64, item_rules=TOLERATION_RULES)
]
TopologySpreadConstraints = Annotated[
    list[KubernetesObject],
    _list(
        "TopologySpreadConstraint",
        16,
        "topologyKey",
        "whenUnsatisfiable",
        item_rules=SPREAD_RULES,
    ),
]
VolumeMounts = Annotated[list[KubernetesObject], _list("VolumeMount", 64, "mountPath")]
Volumes = Annotated[list[KubernetesObject], _list("Volume", 64, "name", item_rules=VOLUME_RULES)]

Annotations = Annotated[dict[str, str], _string_map(64, maxLength=65536)]
Labels = Annotated[dict[str, str], _string_map(64, maxLength=63, pattern=LABEL_VALUE_PATTERN)]
NodeSelector = Annotated[dict[str, str], _string_map(64, maxLength=63, pattern=LABEL_VALUE_PATTERN)]
Bytes = Annotated[str | int, WithJsonSchema({**_INT_OR_STRING, **BYTES_RULES})]

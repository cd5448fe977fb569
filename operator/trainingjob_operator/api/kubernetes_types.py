"""Kubernetes values inside the spec: plain dicts and lists here, full schemas in the CRD.

`kubernetesType` names a type of the core/v1 API; the CRD generator puts its schema there.
The bounds on sizes are far above real use; the API server needs them to bound the cost of
the CEL rules.
"""

from typing import Annotated, Any

from pydantic import WithJsonSchema
from pydantic.config import JsonDict

from trainingjob_operator.api.pod_rules import TOLERATION_RULES
from trainingjob_operator.api.rules import BYTES_RULES, QUANTITY_RULES, VARIABLE_RULES, VOLUME_RULES

_INT_OR_STRING: dict[str, Any] = {"x-kubernetes-int-or-string": True, "maxLength": 64}
QUANTITY_SCHEMA: dict[str, Any] = {**_INT_OR_STRING, **QUANTITY_RULES}
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"


def _reference(type_name: str) -> WithJsonSchema:
    return WithJsonSchema({"kubernetesType": type_name})


def _list(
    type_name: str, max_items: int, key: str | None = None, item_rules: JsonDict | None = None
) -> WithJsonSchema:
    schema: dict[str, Any] = {
        "type": "array",
        "items": {"kubernetesType": type_name, **(item_rules or {})},
        "maxItems": max_items,
        "x-kubernetes-list-type": "atomic",
    }
    if key:
        schema["x-kubernetes-list-type"] = "map"
        schema["x-kubernetes-list-map-keys"] = [key]
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
EnvFromSources = Annotated[list[KubernetesObject], _list("EnvFromSource", 64)]
EnvVars = Annotated[
    list[KubernetesObject], _list("EnvVar", 256, key="name", item_rules=VARIABLE_RULES)
]
LocalObjectReferences = Annotated[
    list[KubernetesObject], _list("LocalObjectReference", 16, key="name")
]
ResourceRequirements = Annotated[KubernetesObject, _reference("ResourceRequirements")]
Tolerations = Annotated[
    list[KubernetesObject], _list("Toleration", 64, item_rules=TOLERATION_RULES)
]
VolumeMounts = Annotated[list[KubernetesObject], _list("VolumeMount", 64, key="mountPath")]
Volumes = Annotated[
    list[KubernetesObject], _list("Volume", 64, key="name", item_rules=VOLUME_RULES)
]

Annotations = Annotated[dict[str, str], _string_map(64, maxLength=65536)]
Labels = Annotated[dict[str, str], _string_map(64, maxLength=63, pattern=LABEL_VALUE_PATTERN)]
NodeSelector = Annotated[dict[str, str], _string_map(64, maxLength=63, pattern=LABEL_VALUE_PATTERN)]
Bytes = Annotated[str | int, WithJsonSchema({**_INT_OR_STRING, **BYTES_RULES})]

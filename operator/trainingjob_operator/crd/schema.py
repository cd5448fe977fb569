"""From the JSON schema that pydantic makes to the structural schema that Kubernetes takes."""

from typing import Any

from trainingjob_operator.api import ApiModel
from trainingjob_operator.crd.kubernetes import Schema, kubernetes_type

_KEPT_KEYWORDS = (
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "maxItems",
    "maxProperties",
    "kubernetesType",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)


def model_schema(model: type[ApiModel]) -> Schema:
    """Return the schema of a model, without references, nulls and titles.

    Kubernetes types stay as `{"kubernetesType": name}`; expand_kubernetes_types replaces them.
    A field that may be None is one that may be absent: Kubernetes drops nulls, so nothing is
    declared nullable.
    """
    schema = model.model_json_schema(mode="serialization")
    return _convert(schema, schema.get("$defs", {}))


def without_defaults(schema: Schema) -> Schema:
    """Return the schema without defaults at any depth."""
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in result:
        result["properties"] = {
            name: without_defaults(value) for name, value in result["properties"].items()
        }
    if "items" in result:
        result["items"] = without_defaults(result["items"])
    return result


def expand_kubernetes_types(schema: Any) -> Any:
    """Replace each `kubernetesType` by the schema of that type; what stands beside it wins."""
    if isinstance(schema, list):
        return [expand_kubernetes_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: expand_kubernetes_types(value) for key, value in schema.items()}
    name = result.pop("kubernetesType", None)
    return {**kubernetes_type(name), **result} if name else result


def _convert(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    result: Schema = {}
    for inherited in _inherited(schema, definitions):
        result |= _convert(inherited, definitions)
    result |= {key: schema[key] for key in _KEPT_KEYWORDS if key in schema}
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if "description" in schema:
        result["description"] = " ".join(schema["description"].split("\n\n")[0].split())
    default = _useful_default(schema.get("default"))
    if default is not None:
        result["default"] = default
    if "properties" in schema:
        result["properties"] = {
            name: _convert(value, definitions) for name, value in schema["properties"].items()
        }
    for nested in ("items", "additionalProperties"):
        if isinstance(schema.get(nested), dict):
            result[nested] = _convert(schema[nested], definitions)
    if result.get("type") == "array":
        result.setdefault("x-kubernetes-list-type", "atomic")
    required = [name for name in schema.get("required", []) if not _is_computed(schema, name)]
    if required:
        result["required"] = required
    return result


def _inherited(schema: Schema, definitions: dict[str, Schema]) -> list[Schema]:
    """Schemas that a schema takes over: the target of its $ref, the one real type of anyOf."""
    inherited = [member for member in schema.get("anyOf", []) if member.get("type") != "null"]
    if len(inherited) > 1:
        raise ValueError(f"a structural schema cannot choose between types: {schema}")
    if "$ref" in schema:
        inherited.append(definitions[schema["$ref"].rsplit("/", 1)[-1]])
    return inherited


def _is_computed(schema: Schema, name: str) -> bool:
    return bool(schema["properties"][name].get("readOnly"))


def _useful_default(value: Any) -> Any:
    """A default without what only means absence: None, "", and empty lists and objects."""
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if _useful_default(item) is not None}
    return None if value in (None, "", [], {}) else value

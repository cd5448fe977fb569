import json
from http import HTTPStatus
from typing import Any

from kubernetes import client, config

from trainingjob_operator.crd.kubernetes import CORE, KEPT_PROPERTIES, ROOT_TYPES, Schema


def fetch_kubernetes_types() -> Schema:
    """Read the types from the cluster of KUBECONFIG: `{"kubernetes": version, "schemas": …}`.

    Raises kubernetes.client.ApiException and kubernetes.config.ConfigException.
    """
    config.load_kube_config()
    with client.ApiClient() as api:
        version = client.VersionApi(api).get_code().git_version
        request = api.param_serialize("GET", "/openapi/v3/api/v1", auth_settings=["BearerToken"])
        response = api.call_api(*request)
        if response.status != HTTPStatus.OK:
            raise client.ApiException(http_resp=response)
        document = json.loads(response.read())
    return {"kubernetes": version, "schemas": prune(document)}


def prune(document: Schema) -> dict[str, Schema]:
    """Keep the types of a core/v1 OpenAPI document that a TrainingJob contains.

    Leaves out the sources of volumes that the restricted Pod Security Standard forbids, the
    fields of KEPT_PROPERTIES that are not listed, and alpha fields.
    """
    schemas = document["components"]["schemas"]
    kept: dict[str, Schema] = {}
    waiting = [CORE + name for name in ROOT_TYPES]
    while waiting:
        name = waiting.pop()
        if name in kept:
            continue
        kept[name] = _without_unused(name, schemas[name])
        waiting.extend(_references(kept[name]))
    return dict(sorted(kept.items()))


def _without_unused(name: str, schema: Schema) -> Schema:
    if "properties" not in schema:
        return schema
    allowed = KEPT_PROPERTIES.get(name, tuple(schema["properties"]))
    properties = {
        key: value
        for key, value in schema["properties"].items()
        if key in allowed and "alpha field" not in value.get("description", "")
    }
    return {**schema, "properties": properties}


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"].rsplit("/", 1)[-1]] if "$ref" in value else []
        return own + [name for nested in value.values() for name in _references(nested)]
    if isinstance(value, list):
        return [name for nested in value for name in _references(nested)]
    return []

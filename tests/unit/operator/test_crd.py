from collections.abc import Iterator
from typing import Any

import pytest
from trainingjob_operator.api import OF_THE_JOB, RuntimeKind
from trainingjob_operator.crd.__main__ import drifted_files, generated_files
from trainingjob_operator.crd.definition import custom_resource_definition
from trainingjob_operator.crd.refresh import prune
from trainingjob_operator.crd.runtimes import runtime_definition

VERSION = custom_resource_definition()["spec"]["versions"][0]
SCHEMA: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
SPEC: dict[str, Any] = SCHEMA["properties"]["spec"]["properties"]
RUNTIMES = [
    runtime_definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for kind in RuntimeKind
]
STATUS: dict[str, Any] = SCHEMA["properties"]["status"]["properties"]


def test_generated_files_are_up_to_date() -> None:
    assert drifted_files() == [], "run python -m trainingjob_operator.crd"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            SPEC["monitoring"],
            {
                "type": "object",
                "description": "System metrics and the Prometheus exporter.",
                "properties": {
                    "enabled": {
                        "type": "boolean",
                        "description": "Log system and GPU metrics and serve them to Prometheus. "
                        "Default: true.",
                    },
                    "intervalSeconds": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": 3600,
                        "description": "Seconds from one sample of the system metrics to the next. "
                        "Default: 10.",
                    },
                    "port": {
                        "type": "integer",
                        "minimum": 1024,
                        "maximum": 65535,
                        "description": "Port of the Prometheus exporter in each pod. "
                        "Default: 9400.",
                    },
                },
            },
        ),
        (
            SPEC["numProcPerNode"],
            {
                "x-kubernetes-int-or-string": True,
                "maxLength": 16,
                "x-kubernetes-validations": [
                    {
                        "rule": "type(self) == int ? self >= 1 : self == 'auto'",
                        "message": "spec.numProcPerNode must be auto or a number from 1",
                    }
                ],
                "description": "Processes of torchrun in each pod: a number from 1, or auto for "
                "one per nvidia.com/gpu (one where there is none; for MIG and other devices give "
                "the number). Default: auto.",
            },
        ),
        (
            SPEC["resourcesPerNode"]["properties"]["limits"]["additionalProperties"],
            {
                "x-kubernetes-int-or-string": True,
                "maxLength": 64,
                "x-kubernetes-validations": [
                    {
                        "rule": "isQuantity(string(self))"
                        " && !quantity(string(self)).isLessThan(quantity('0'))",
                        "message": "must be a quantity such as 500m, 2 or 4Gi",
                    }
                ],
            },
        ),
        (
            STATUS["startTime"],
            {
                "type": "string",
                "format": "date-time",
                "description": "When the operator first acted on the job.",
            },
        ),
        (
            STATUS["progress"]["properties"]["metrics"],
            {
                "type": "object",
                "additionalProperties": {"type": "number"},
                "description": "Latest values of the main training metrics by name.",
            },
        ),
    ],
)
def test_schema(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert schema == expected


@pytest.mark.parametrize(
    ("schema", "keys"),
    [
        (SPEC["env"], ["name"]),
        (SPEC["volumes"], ["name"]),
        (SPEC["volumeMounts"], ["mountPath"]),
        (SPEC["imagePullSecrets"], ["name"]),
        (SPEC["initContainers"], ["name"]),
        (SPEC["initContainers"]["items"]["properties"]["env"], ["name"]),
        (SPEC["sidecars"], ["name"]),
        (SPEC["topologySpreadConstraints"], ["topologyKey", "whenUnsatisfiable"]),
        (STATUS["conditions"], ["type"]),
    ],
)
def test_lists_by_key(schema: dict[str, Any], keys: list[str]) -> None:
    assert schema["x-kubernetes-list-type"] == "map"
    assert schema["x-kubernetes-list-map-keys"] == keys
    assert set(keys) <= set(schema["items"]["required"])


def test_volumes_are_those_of_the_restricted_pod_security_standard() -> None:
    assert sorted(SPEC["volumes"]["items"]["properties"]) == [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "name",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ]


def test_containers_and_users_are_those_of_the_restricted_pod_security_standard() -> None:
    context = ["readOnlyRootFilesystem", "runAsGroup", "runAsUser"]
    for field in ("initContainers", "sidecars"):
        container = SPEC[field]["items"]["properties"]
        assert sorted(container) == [
            "args",
            "command",
            "env",
            "envFrom",
            "image",
            "imagePullPolicy",
            "name",
            "resources",
            "securityContext",
            "startupProbe",
            "volumeMounts",
            "workingDir",
        ]
        assert sorted(container["securityContext"]["properties"]) == context
    assert sorted(SPEC["securityContext"]["properties"]) == [
        "fsGroup",
        "fsGroupChangePolicy",
        "runAsGroup",
        "runAsUser",
        "supplementalGroups",
    ]


def test_required_fields() -> None:
    assert SCHEMA["required"] == ["spec"]
    assert "required" not in SCHEMA["properties"]["spec"]
    assert "required" not in SCHEMA["properties"]["status"]


@pytest.mark.parametrize("schema", RUNTIMES)
def test_a_runtime_has_defaults_for_every_field_but_the_jobs_own(schema: dict[str, Any]) -> None:
    fields = schema["properties"]["spec"]["properties"]["defaults"]["properties"]
    assert fields.keys() == SPEC.keys() - set(OF_THE_JOB)


def test_columns() -> None:
    columns = VERSION["additionalPrinterColumns"]
    assert [column["name"] for column in columns if "priority" not in column] == [
        "State", "Progress", "ETA", "Attempt", "Run", "Age",
    ]  # fmt: skip


@pytest.mark.parametrize("schema", [SCHEMA, *RUNTIMES])
def test_every_field_is_described(schema: dict[str, Any]) -> None:
    fields = dict(_fields("", schema))
    undescribed = [path for path, schema in fields.items() if "description" not in schema]
    assert undescribed == [".metadata"]  # the API server describes it itself


@pytest.mark.parametrize("schema", [SCHEMA, *RUNTIMES])
def test_schema_is_structural_and_writes_no_defaults(schema: dict[str, Any]) -> None:
    allowed = {
        "description", "enum", "format", "items", "maximum", "maxItems", "maxLength",
        "maxProperties", "minimum", "minItems", "minLength", "nullable", "pattern", "properties",
        "required", "type",
        "additionalProperties", "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type", "x-kubernetes-map-type", "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    }  # fmt: skip
    for path, field in _fields("", schema):
        assert set(field) <= allowed, path
        assert "type" in field or "x-kubernetes-int-or-string" in field, path


def test_yaml_has_no_anchors() -> None:
    assert not any("&id" in text for text in generated_files().values())


def test_prune_keeps_only_what_is_reachable() -> None:
    core = "io.k8s.api.core.v1."
    empty = {"type": "object"}
    volume = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "hostPath": {"allOf": [{"$ref": f"#/components/schemas/{core}HostPathVolumeSource"}]},
            "secret": {"allOf": [{"$ref": f"#/components/schemas/{core}SecretVolumeSource"}]},
        },
    }
    mount = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "bindMountOptions": {"type": "array", "description": "This is an alpha field."},
        },
    }
    others = ("Affinity", "Container", "EnvFromSource", "EnvVar", "HostAlias",
              "LocalObjectReference", "PodDNSConfig", "PodResourceClaim", "PodSecurityContext",
              "ResourceRequirements", "Toleration", "TopologySpreadConstraint",
              "HostPathVolumeSource", "SecretVolumeSource", "Pod")  # fmt: skip
    schemas: dict[str, Any] = {core + name: empty for name in others}
    schemas |= {core + "Volume": volume, core + "VolumeMount": mount}
    pruned = prune({"components": {"schemas": schemas}})
    assert core + "SecretVolumeSource" in pruned
    assert core + "HostPathVolumeSource" not in pruned
    assert core + "Pod" not in pruned
    assert list(pruned[core + "Volume"]["properties"]) == ["name", "secret"]
    assert list(pruned[core + "VolumeMount"]["properties"]) == ["name"]


def _fields(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of a schema with its path, at any depth."""
    for name, value in schema.get("properties", {}).items():
        yield f"{path}.{name}", value
        yield from _fields(f"{path}.{name}", value)
    for nested in ("items", "additionalProperties"):
        if nested in schema:
            yield from _fields(f"{path}[]", schema[nested])


def test_kubectl_explain_names_every_state_and_every_field_that_may_change() -> None:
    assert STATUS["state"]["description"] == (
        "Pending, Suspended, Queued, Starting, Running, Restarting, Succeeded, Failed or Stopped."
    )
    assert SCHEMA["properties"]["spec"]["description"] == (
        "What is trained, on how many nodes, and where it is tracked. Of an existing job only "
        "these can be changed: suspend, stop, activeDeadlineSeconds, preRunningDeadlineSeconds, "
        "ttlSecondsAfterFinished, attemptHistoryLimit, a higher backoffLimit and, while the job is "
        "suspended, queueName. For anything else delete the job and create it again."
    )

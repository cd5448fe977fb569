"""The CustomResourceDefinitions of the runtimes, made of the schema of a TrainingJob's spec."""

from typing import Any

from trainingjob_operator.api import GROUP, OF_THE_JOB, VERSION, RuntimeKind, TrainingRuntimeSpec
from trainingjob_operator.api.cel import validations
from trainingjob_operator.api.runtime_rules import (
    ANNOTATION_RULES,
    CONTAINER_RULES,
    LABEL_RULES,
    OPERATORS,
    POD_RULES,
    allow_rules,
)
from trainingjob_operator.api.spec_rules import DEFAULTS_RULES
from trainingjob_operator.crd.definition import job_spec_schema
from trainingjob_operator.crd.kubernetes import Schema
from trainingjob_operator.crd.schema import (
    expand_kubernetes_types,
    model_schema,
    without_defaults,
)

SCOPES = {
    RuntimeKind.TRAINING_RUNTIME: "Namespaced",
    RuntimeKind.CLUSTER_TRAINING_RUNTIME: "Cluster",
}
DESCRIPTIONS = {
    RuntimeKind.TRAINING_RUNTIME: "What a platform team gives the TrainingJobs of one namespace: "
    "defaults, and a pod template. The one of the name default is for all that name none.",
    RuntimeKind.CLUSTER_TRAINING_RUNTIME: "What a platform team gives the TrainingJobs of all "
    "namespaces: defaults, and a pod template. The one of the name default is for all that name "
    "none, in namespaces without a default of their own.",
}
PRINTER_COLUMNS: list[Schema] = [
    {
        "name": "Image",
        "type": "string",
        "jsonPath": ".spec.defaults.image",
        "description": "Image of jobs that set none.",
    },
    {
        "name": "Age",
        "type": "date",
        "jsonPath": ".metadata.creationTimestamp",
        "description": "Time since the runtime was created.",
    },
]
# A whole object of Kubernetes, as any release of it has it: the API server checks it with each Job.
ANY: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
REFUSED: Schema = {"description": "The operator's own: refused."}


def runtime_schema(kind: RuntimeKind) -> Schema:
    """Return the schema of a runtime with `kubernetesType` in place of Kubernetes types."""
    spec = model_schema(TrainingRuntimeSpec)
    fields = spec["properties"]
    given = defaults_schema()
    fields["defaults"] = {**given, "description": fields["defaults"]["description"]}
    fields["allow"] |= allow_rules(list(given["properties"]))
    fields["template"] = {**template_schema(), "description": fields["template"]["description"]}
    return {
        "type": "object",
        "description": DESCRIPTIONS[kind],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": str(kind)},
            "metadata": {"type": "object"},
            "spec": spec,
        },
    }


def defaults_schema() -> Schema:
    """The spec of a TrainingJob with nothing required, and without what is a job's own."""
    spec = without_defaults(job_spec_schema())
    spec.pop("required", None)
    for name in OF_THE_JOB:
        del spec["properties"][name]
    spec.update(validations(*DEFAULTS_RULES))
    moved: Schema = _moved(spec)
    return moved


def template_schema() -> Schema:
    """A PodTemplateSpec with those of its fields that have rules, and all others as they are."""
    texts = {"type": "object", "maxProperties": 64, "additionalProperties": _text(65536)}
    variable = _named("Name of the variable.", 256)
    container = _named("Name of the container.", 63)
    container["properties"]["env"] = _list(variable, 256, "Environment variables.", keyed=False)
    volume = _named("Name of the volume.", 63)
    labels = {**texts, "description": "Labels added to the pods.", **LABEL_RULES}
    annotations = {**texts, "description": "Annotations added to the pods.", **ANNOTATION_RULES}
    metadata = {
        "type": "object",
        "description": "Labels and annotations of the pods.",
        "properties": {"labels": labels, "annotations": annotations},
    }
    whole_seconds = {"type": "integer", "format": "int64"}
    pod = {
        **ANY,
        "description": "Spec of the pods: all fields of core/v1 PodSpec, of which these have rules "
        "of their own.",
        "properties": {
            "containers": _list({**container, **CONTAINER_RULES}, 16, "The trainer, and others."),
            "initContainers": _list(container, 16, "Containers that run before, and sidecars."),
            "volumes": _list(volume, 64, "Volumes of the pods, of any kind."),
            "restartPolicy": {**_text(16), "description": "Never."},
            **{
                name: {**(whole_seconds if name.endswith("Seconds") else _text(63)), **REFUSED}
                for name in OPERATORS
            },
        },
        **POD_RULES,
    }
    return {"type": "object", "properties": {"metadata": metadata, "spec": pod}}


def runtime_definition(kind: RuntimeKind) -> Schema:
    """Return the CustomResourceDefinition of one kind of runtime."""
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": SCOPES[kind],
            "names": {
                "kind": str(kind),
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": PRINTER_COLUMNS,
                    "schema": {"openAPIV3Schema": expand_kubernetes_types(runtime_schema(kind))},
                }
            ],
        },
    }


def _moved(schema: Any) -> Any:
    """The schema with messages that name the fields where they are in a runtime."""
    if isinstance(schema, list):
        return [_moved(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: _moved(value) for name, value in schema.items()}
    if isinstance(result.get("message"), str):
        result["message"] = result["message"].replace("spec.", "spec.defaults.")
    return result


def _text(length: int) -> Schema:
    return {"type": "string", "maxLength": length}


def _named(description: str, length: int) -> Schema:
    name = {**_text(length), "description": description}
    return {**ANY, "required": ["name"], "properties": {"name": name}}


def _list(item: Schema, most: int, description: str, *, keyed: bool = True) -> Schema:
    keys: Schema = {"x-kubernetes-list-type": "atomic"}
    if keyed:
        keys = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    return {"type": "array", "description": description, "items": item, "maxItems": most, **keys}

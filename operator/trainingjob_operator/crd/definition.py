from trainingjob_operator.api import (
    GROUP,
    KIND,
    PLURAL,
    VERSION,
    TrainingJobSpec,
    TrainingJobStatus,
)
from trainingjob_operator.api.rules import NAME_RULE
from trainingjob_operator.crd.kubernetes import Schema
from trainingjob_operator.crd.schema import expand_kubernetes_types, model_schema

PRINTER_COLUMNS: list[Schema] = [
    {
        "name": "State",
        "type": "string",
        "jsonPath": ".status.state",
        "description": "Where the job is in its life.",
    },
    {
        "name": "Progress",
        "type": "string",
        "jsonPath": ".status.progress.completed",
        "description": "Part of the training that is done.",
    },
    {
        "name": "ETA",
        "type": "string",
        "jsonPath": ".status.progress.remaining",
        "description": "Time until the end at the present pace.",
    },
    {
        "name": "Attempt",
        "type": "integer",
        "jsonPath": ".status.attempt",
        "description": "Number of the current or last attempt.",
    },
    {
        "name": "Run",
        "type": "string",
        "jsonPath": ".status.mlflow.runId",
        "description": "Id of the MLflow run.",
    },
    {
        "name": "Age",
        "type": "date",
        "jsonPath": ".metadata.creationTimestamp",
        "description": "Time since the job was created.",
    },
    {
        "name": "Nodes",
        "type": "integer",
        "jsonPath": ".spec.numNodes",
        "description": "Number of pods that train together.",
        "priority": 1,
    },
    {
        "name": "Run Status",
        "type": "string",
        "jsonPath": ".status.mlflow.status",
        "description": "Status of the MLflow run.",
        "priority": 1,
    },
    {
        "name": "Run URL",
        "type": "string",
        "jsonPath": ".status.mlflow.url",
        "description": "Page of the run in the MLflow UI.",
        "priority": 1,
    },
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": ".status.failure.reason",
        "description": "Why the job failed.",
        "priority": 1,
    },
    {
        "name": "Message",
        "type": "string",
        "jsonPath": ".status.failure.message",
        "description": "Explanation of the failure.",
        "priority": 1,
    },
]


def training_job_schema() -> Schema:
    """Return the schema of a TrainingJob with `kubernetesType` in place of Kubernetes types."""
    spec = model_schema(TrainingJobSpec)
    spec["description"] = (
        "What is trained, on how many nodes, and where it is tracked. Only suspend, "
        "activeDeadlineSeconds, preRunningDeadlineSeconds and ttlSecondsAfterFinished can be "
        "changed; for anything else delete the job and create it again."
    )
    return {
        "type": "object",
        "description": "A PyTorch training whose MLflow run always has the status of its pods.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": KIND},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": _without_defaults(model_schema(TrainingJobStatus)),
        },
        "x-kubernetes-validations": [NAME_RULE],
    }


def custom_resource_definition() -> Schema:
    """Return the CustomResourceDefinition of the TrainingJob."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["tj"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": PRINTER_COLUMNS,
                    "schema": {"openAPIV3Schema": expand_kubernetes_types(training_job_schema())},
                }
            ],
        },
    }


def _without_defaults(schema: Schema) -> Schema:
    """Drop defaults: in a status they would claim what the operator never wrote."""
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in result:
        result["properties"] = {
            name: _without_defaults(value) for name, value in result["properties"].items()
        }
    if "items" in result:
        result["items"] = _without_defaults(result["items"])
    return result

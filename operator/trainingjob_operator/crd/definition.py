from trainingjob_operator.api import (
    GROUP,
    KIND,
    PLURAL,
    VERSION,
    TrainingJobSpec,
    TrainingJobStatus,
)
from trainingjob_operator.api.spec_rules import CHANGES, NAME_RULE
from trainingjob_operator.crd.kubernetes import Schema
from trainingjob_operator.crd.schema import (
    expand_kubernetes_types,
    model_schema,
    without_defaults,
)

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
        "jsonPath": ".status.numNodes",
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


def job_spec_schema() -> Schema:
    """Return the schema of a TrainingJob's spec with `kubernetesType` in place of such types."""
    spec = model_schema(TrainingJobSpec)
    spec["description"] = (
        "What is trained, on how many nodes, and where it is tracked. Of an existing job only "
        f"these can be changed: {CHANGES}. For anything else delete the job and create it again."
    )
    return spec


def training_job_schema() -> Schema:
    """Return the schema of a TrainingJob with `kubernetesType` in place of Kubernetes types."""
    return {
        "type": "object",
        "description": "A PyTorch training whose MLflow run always has the status of its pods.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": KIND},
            "metadata": {"type": "object"},
            "spec": job_spec_schema(),
            "status": status_schema(),
        },
        "x-kubernetes-validations": [NAME_RULE],
    }


def status_schema() -> Schema:
    """The status, with the spec of the job's runtime as it was; defaults would claim too much."""
    status = without_defaults(model_schema(TrainingJobStatus))
    runtime = status["properties"]["runtime"]["properties"]
    runtime["spec"] = {
        "type": "object",
        "description": runtime["spec"]["description"],
        "x-kubernetes-preserve-unknown-fields": True,
    }
    return status


def custom_resource_definition() -> Schema:
    """Return the CustomResourceDefinition of the TrainingJob.

    Without defaults: the API server would write them into each job, and nobody could see what its
    author has chosen from what a runtime may give.
    """
    schema = expand_kubernetes_types(without_defaults(training_job_schema()))
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
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }

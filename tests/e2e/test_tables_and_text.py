"""Trainings without pictures, in pods: run, samples of their kind, a model with its signature."""

from typing import Any

import pytest

from tests.support.api import Cluster, Manifest
from tests.support.node import IMAGE, Installed, log, pods, wait_for_end

TASKS: dict[str, tuple[list[str], str, float, list[str]]] = {
    "wine": (
        ["--epochs", "20", "--batch-size", "32"],
        "-1, 13",
        0.9,
        [f"samples/epoch_{epoch:03}.csv" for epoch in range(1, 21)],
    ),
    "text": (
        ["--epochs", "1", "--set", "width=32"],
        "-1, 64",
        0.4,
        ["samples/epoch_001.txt"],
    ),
}


def training(task: str) -> Manifest:
    return {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": task},
        "spec": {
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "args": ["run", task, "--learning-rate", "0.01", *TASKS[task][0]],
            "resourcesPerNode": {
                "requests": {"cpu": "200m", "memory": "700Mi"},
                "limits": {"memory": "2Gi"},
            },
        },
    }


def signature_of(installed: Installed, run: Any) -> str:
    from mlflow.models import get_model_info

    logged = [installed.mlflow.get_logged_model(one.model_id) for one in run.outputs.model_outputs]
    [model] = [one for one in logged if one.name == "model"]
    info = get_model_info(model.model_uri)
    assert info.saved_input_example_info is not None
    return str(info.signature.inputs.to_dict()[0]["tensor-spec"]["shape"])


@pytest.mark.timeout(600)
def test_a_table_and_a_text_are_learned(
    installed: Installed, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", installed.tracking_uri)
    cluster.apply(*(training(task) for task in TASKS))
    for task, (_, shape, accuracy, samples) in TASKS.items():
        status = wait_for_end(cluster, task, 300)
        [pod] = pods(cluster, task)
        text = log(cluster, pod.metadata.name)
        run = installed.mlflow.get_run(status["mlflow"]["runId"])

        assert (status["state"], run.info.status) == ("Succeeded", "FINISHED"), text
        assert run.data.metrics["val/accuracy"] > accuracy
        found = installed.mlflow.list_artifacts(run.info.run_id, "samples")
        assert sorted(one.path for one in found) == samples
        assert signature_of(installed, run) == f"({shape})"

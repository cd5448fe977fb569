from typing import Any

import pytest
from trainingjob_operator.core import manifests
from trainingjob_operator.core.tracking_uris import Tracking

from tests.support.jobs import OWNER, RUN, SELECTOR, training_job

RANK = {
    "fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}
}


def test_a_job_with_defaults_becomes_one_restricted_pod() -> None:
    assert manifests.child_job(training_job(), 1, RUN, Tracking("http://mlflow:5000")) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "mnist-1",
            "namespace": "ml",
            "labels": {**SELECTOR, "trainingjob.dev/attempt": "1"},
            "annotations": {
                "trainingjob.dev/created": "2026-01-01T00:00:00Z",
                "trainingjob.dev/mlflow": '{"trackingUri":"http://mlflow:5000"}',
            },
            "ownerReferences": [OWNER],
            "finalizers": ["trainingjob.dev/attempt"],
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": 1,
            "parallelism": 1,
            "backoffLimitPerIndex": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    }
                ]
            },
            "template": {
                "metadata": {"labels": {**SELECTOR, "trainingjob.dev/attempt": "1"}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 60,
                    "enableServiceLinks": False,
                    "automountServiceAccountToken": False,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "fsGroup": 65532,
                        "fsGroupChangePolicy": "OnRootMismatch",
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "trainer",
                            "image": "trainer:1",
                            "env": [
                                {"name": "TRAININGJOB_NAME", "value": "mnist"},
                                {"name": "TRAININGJOB_NAMESPACE", "value": "ml"},
                                {"name": "TRAININGJOB_UID", "value": "u-1"},
                                {"name": "TRAININGJOB_ATTEMPT", "value": "1"},
                                {"name": "TRAININGJOB_NODE_RANK", "valueFrom": RANK},
                                {"name": "TRAININGJOB_NUM_NODES", "value": "1"},
                                {"name": "TRAININGJOB_MONITOR_ENABLED", "value": "true"},
                                {"name": "TRAININGJOB_MONITOR_INTERVAL", "value": "10"},
                                {"name": "TRAININGJOB_METRICS_PORT", "value": "9400"},
                                {"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow:5000"},
                                {"name": "MLFLOW_EXPERIMENT_ID", "value": "7"},
                                {"name": "MLFLOW_RUN_ID", "value": "f00d"},
                                {"name": "TRAININGJOB_MLFLOW_RUN_ID", "value": "f00d"},
                                {
                                    "name": "TRAININGJOB_MLFLOW_RUN_URL",
                                    "value": "http://mlflow:5000/#/experiments/7/runs/f00d",
                                },
                                {
                                    "name": "MLFLOW_RUN_CONTEXT",
                                    "value": '{"trainingjob.opened_by": "u-1"}',
                                },
                                {"name": "PET_NNODES", "value": "1"},
                                {"name": "PET_NPROC_PER_NODE", "value": "1"},
                                {"name": "PET_NODE_RANK", "valueFrom": RANK},
                                {"name": "PET_MASTER_ADDR", "value": "127.0.0.1"},
                                {"name": "PET_MASTER_PORT", "value": "29500"},
                                {"name": "NNODES", "value": "1"},
                                {"name": "NODE_RANK", "valueFrom": RANK},
                                {"name": "MASTER_ADDR", "value": "127.0.0.1"},
                                {"name": "MASTER_PORT", "value": "29500"},
                                {"name": "WORLD_SIZE", "value": "1"},
                                {"name": "RANK", "valueFrom": RANK},
                            ],
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                            },
                            "ports": [{"name": "metrics", "containerPort": 9400}],
                        }
                    ],
                },
            },
        },
    }


def test_every_field_of_the_spec_reaches_the_pod() -> None:
    job = training_job(
        {
            "imagePullPolicy": "Always",
            "imagePullSecrets": [{"name": "registry"}],
            "command": ["torchrun", "train.py"],
            "args": ["--epochs", "3"],
            "workingDir": "/work",
            "env": [{"name": "SEED", "value": "1"}],
            "envFrom": [{"secretRef": {"name": "wandb"}}],
            "resourcesPerNode": {"limits": {"nvidia.com/gpu": 4, "memory": "64Gi"}},
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "sharedMemory": "8Gi",
            "nodeSelector": {"gpu": "a100"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "priorityClassName": "high",
            "schedulerName": "volcano",
            "runtimeClassName": "nvidia",
            "serviceAccountName": "trainer",
            "podLabels": {"team": "vision"},
            "podAnnotations": {"note": "x"},
            "terminationGracePeriodSeconds": 120,
            "numNodes": 2,
            "monitoring": {"enabled": False, "port": 9999},
        }
    )
    template = manifests.child_job(job, 3, None, Tracking("http://mlflow:5000"))["spec"]["template"]
    container = template["spec"].pop("containers")[0]
    environment = {one["name"]: one.get("value") for one in container.pop("env")}

    assert template["metadata"] == {
        "labels": {"team": "vision", **SELECTOR, "trainingjob.dev/attempt": "3"},
        "annotations": {"note": "x"},
    }
    assert template["spec"] == {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 120,
        "enableServiceLinks": False,
        "automountServiceAccountToken": True,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": 65532,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "subdomain": "mnist",
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
        ],
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "high",
        "schedulerName": "volcano",
        "runtimeClassName": "nvidia",
        "serviceAccountName": "trainer",
        "imagePullSecrets": [{"name": "registry"}],
    }
    assert container == {
        "name": "trainer",
        "image": "trainer:1",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "imagePullPolicy": "Always",
        "command": ["torchrun", "train.py"],
        "args": ["--epochs", "3"],
        "workingDir": "/work",
        "envFrom": [{"secretRef": {"name": "wandb"}}],
        "resources": {"limits": {"nvidia.com/gpu": 4, "memory": "64Gi"}},
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - the pod's
        ],
    }
    assert environment == {
        "SEED": "1",
        "TRAININGJOB_NAME": "mnist",
        "TRAININGJOB_NAMESPACE": "ml",
        "TRAININGJOB_UID": "u-1",
        "TRAININGJOB_ATTEMPT": "3",
        "TRAININGJOB_NODE_RANK": None,
        "TRAININGJOB_NUM_NODES": "2",
        "TRAININGJOB_MONITOR_ENABLED": "false",
        "TRAININGJOB_MONITOR_INTERVAL": "10",
        "TRAININGJOB_METRICS_PORT": "9999",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "MLFLOW_RUN_CONTEXT": '{"trainingjob.opened_by": "u-1"}',
        "PET_NNODES": "2",
        "PET_NPROC_PER_NODE": "4",
        "PET_NODE_RANK": None,
        "PET_MASTER_ADDR": "mnist-3-0.mnist",
        "PET_MASTER_PORT": "29500",
        "NNODES": "2",
        "NODE_RANK": None,
        "MASTER_ADDR": "mnist-3-0.mnist",
        "MASTER_PORT": "29500",
    }


@pytest.mark.parametrize(
    ("resources", "shared"),
    [
        (None, None),
        ({"limits": {"nvidia.com/gpu": 1}}, None),
        ({"limits": {"nvidia.com/gpu.shared": 1}}, "true"),
        ({"requests": {"nvidia.com/mig-1g.10gb.shared": 1}}, "true"),
        ({"limits": {"example.com/lock.shared": 1}}, None),
    ],
)
def test_a_pod_knows_that_its_gpu_is_a_share(
    resources: dict[str, Any] | None, shared: str | None
) -> None:
    spec = {"resourcesPerNode": resources} if resources else {}
    job = manifests.child_job(training_job(spec), 1, RUN, Tracking("http://mlflow:5000"))
    [container] = job["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}

    assert variables.get("TRAININGJOB_GPU_SHARED") == shared


def test_a_queued_job_is_created_suspended_for_its_queue() -> None:
    child = manifests.child_job(
        training_job({"queueName": "gpus"}), 1, RUN, Tracking("http://mlflow:5000")
    )
    assert child["metadata"]["labels"] == {
        **SELECTOR,
        "trainingjob.dev/attempt": "1",
        "kueue.x-k8s.io/queue-name": "gpus",
    }
    assert child["spec"]["suspend"] is True
    assert child["spec"]["template"]["metadata"]["labels"] == {
        **SELECTOR,
        "trainingjob.dev/attempt": "1",
    }


def test_the_service_of_a_multi_node_job_names_its_pods_before_they_are_ready() -> None:
    assert manifests.headless_service(training_job({"numNodes": 2})) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "mnist",
            "namespace": "ml",
            "labels": SELECTOR,
            "ownerReferences": [OWNER],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": SELECTOR,
            "ports": [{"name": "master", "port": 29500}],
        },
    }

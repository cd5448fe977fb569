import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.chart.conftest import Render

NAME = "trainingjob-operator"
SELECTOR = {
    "app.kubernetes.io/name": "trainingjob-operator",
    "app.kubernetes.io/instance": "trainingjob-operator",
}
LABELS = {
    **SELECTOR,
    "app.kubernetes.io/version": "0.1.0",
    "app.kubernetes.io/part-of": "trainingjob",
    "app.kubernetes.io/managed-by": "Helm",
    "app.kubernetes.io/component": "operator",
    "helm.sh/chart": "trainingjob-operator-0.1.0",
}
RELABELING = {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}
DROP = {"action": "drop", "sourceLabels": ["__name__"], "regex": "trainingjob_gpu_.*"}


def probe(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, **timing}


def test_deployment_of_the_default_values(render: Render) -> None:
    deployment = render()["Deployment", NAME]
    assert deployment["spec"] == {
        "replicas": 1,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        },
        "selector": {"matchLabels": SELECTOR},
        "template": {
            "metadata": {
                "labels": LABELS,
                "annotations": {"kubectl.kubernetes.io/default-container": "operator"},
            },
            "spec": {
                "serviceAccountName": "trainingjob-operator",
                "automountServiceAccountToken": True,
                "terminationGracePeriodSeconds": 30,
                "enableServiceLinks": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "runAsGroup": 65532,
                    "fsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "operator",
                        "image": "trainingjob/operator:0.1.0",
                        "imagePullPolicy": "IfNotPresent",
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "env": [
                            {
                                "name": "TRAININGJOB_OPERATOR_NAMESPACE",
                                "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
                            },
                            {
                                "name": "TRAININGJOB_OPERATOR_IDENTITY",
                                "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
                            },
                            {
                                "name": "TRAININGJOB_OPERATOR_INSTALLATION",
                                "value": "trainingjob-operator",
                            },
                            {
                                "name": "TRAININGJOB_OPERATOR_MLFLOW_TRACKING_URI",
                                "value": "https://mlflow.example.com",
                            },
                            {"name": "TRAININGJOB_OPERATOR_MLFLOW_POLL_SECONDS", "value": "5"},
                            {
                                "name": "TRAININGJOB_OPERATOR_POD_SECURITY_CONTEXT",
                                "value": '{"fsGroup":65532,"fsGroupChangePolicy":"OnRootMismatch"}',
                            },
                            {
                                "name": "TRAININGJOB_OPERATOR_AGENT_IMAGE",
                                "value": "trainingjob/agent:0.1.0",
                            },
                            {
                                "name": "TRAININGJOB_OPERATOR_AGENT_IMAGE_PULL_POLICY",
                                "value": "IfNotPresent",
                            },
                            {"name": "TRAININGJOB_OPERATOR_AGENT_DEFAULT", "value": "Image"},
                            {"name": "TRAININGJOB_OPERATOR_WORKERS", "value": "4"},
                            {"name": "TRAININGJOB_OPERATOR_LEASE_SECONDS", "value": "15"},
                            {"name": "TRAININGJOB_OPERATOR_LOG_LEVEL", "value": "INFO"},
                            {"name": "TRAININGJOB_OPERATOR_LOG_FORMAT", "value": "json"},
                        ],
                        "startupProbe": probe("/healthz", periodSeconds=1, failureThreshold=60),
                        "livenessProbe": probe(
                            "/healthz", periodSeconds=10, timeoutSeconds=5, failureThreshold=3
                        ),
                        "readinessProbe": probe(
                            "/readyz", periodSeconds=5, timeoutSeconds=5, failureThreshold=3
                        ),
                        "resources": {
                            "requests": {"cpu": "50m", "memory": "128Mi"},
                            "limits": {"memory": "512Mi"},
                        },
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - in the pod
                    }
                ],
                "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
            },
        },
    }


def test_a_digest_counts_more_than_a_tag(render: Render) -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    image = f'{{"repository":"r.example.com/op","tag":"1","digest":"{digest}"}}'
    pod = render(f"image={image}")["Deployment", NAME]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"r.example.com/op@{digest}"


def test_ids_are_left_to_a_platform_that_chooses_them(render: Render) -> None:
    none = '{"runAsUser":null,"runAsGroup":null,"fsGroup":null}'
    pod = render(f"podSecurityContext={none}")["Deployment", NAME]["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_operator_may_read_no_secrets_and_has_no_wildcards(render: Render) -> None:
    """That it may do all that it does is shown by the integration tests, which have its rights."""
    objects = render()
    rules = [rule for kind in ("ClusterRole", "Role") for rule in objects[kind, NAME]["rules"]]
    named = {
        name
        for rule in rules
        for part in ("apiGroups", "resources", "verbs")
        for name in rule[part]
    }
    assert not named & {"*", "secrets", "configmaps", "escalate", "bind", "impersonate"}


@pytest.mark.parametrize(("replicas", "present"), [(1, False), (2, True)])
def test_disruption_budget_and_spread_come_with_the_second_replica(
    render: Render, replicas: int, present: bool
) -> None:
    objects = render(f"replicas={replicas}")
    assert (("PodDisruptionBudget", NAME) in objects) is present
    pod = objects["Deployment", NAME]["spec"]["template"]["spec"]
    assert ("topologySpreadConstraints" in pod) is present


def test_the_definitions_are_the_generated_ones_and_outlive_the_release(
    render: Render, chart: Path
) -> None:
    objects = render()
    generated = list(yaml.safe_load_all((chart / "files" / "crd.yaml").read_text()))
    assert [one["metadata"]["name"] for one in generated] == [
        f"{kind}s.trainingjob.dev"
        for kind in ("trainingjob", "trainingruntime", "clustertrainingruntime")
    ]
    for one in generated:
        definition = objects["CustomResourceDefinition", one["metadata"]["name"]]
        assert definition["spec"] == one["spec"]
        assert definition["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_definition_can_be_left_out(render: Render) -> None:
    assert not [kind for kind, _ in render("crds.install=false") if kind.startswith("Custom")]


def test_monitors(render: Render) -> None:
    objects = render(
        'monitoring.serviceMonitor={"enabled":true,"labels":{"release":"prometheus"}}',
        'monitoring.podMonitor={"enabled":true,"interval":"1m30s","annotations":{"a":"1"},'
        f'"scrapeTimeout":"10s","relabelings":[{json.dumps(RELABELING)}],'
        f'"metricRelabelings":[{json.dumps(DROP)}]}}',
    )
    service_monitor = objects["ServiceMonitor", NAME]
    assert service_monitor["metadata"]["labels"] == {**LABELS, "release": "prometheus"}
    assert service_monitor["spec"] == {
        "selector": {"matchLabels": SELECTOR},
        "endpoints": [{"port": "http", "path": "/metrics", "interval": "30s"}],
    }
    pod_monitor = objects["PodMonitor", f"{NAME}-training-pods"]
    assert pod_monitor["metadata"]["annotations"] == {"a": "1"}
    assert pod_monitor["spec"] == {
        "namespaceSelector": {"any": True},
        "selector": {"matchExpressions": [{"key": "trainingjob.dev/name", "operator": "Exists"}]},
        "podTargetLabels": ["trainingjob.dev/name", "trainingjob.dev/attempt"],
        "podMetricsEndpoints": [
            {
                "port": "metrics",
                "honorLabels": True,
                "path": "/metrics",
                "interval": "1m30s",
                "scrapeTimeout": "10s",
                "relabelings": [RELABELING],
                "metricRelabelings": [DROP],
            }
        ],
    }


def test_users_get_trainingjobs_with_the_built_in_roles(render: Render) -> None:
    objects = render()
    aggregated = {
        name: [label for label in role["metadata"]["labels"] if "aggregate-to" in label]
        for (kind, name), role in objects.items()
        if kind == "ClusterRole"
    }
    assert aggregated == {
        NAME: [],
        f"{NAME}-edit": [
            "rbac.authorization.k8s.io/aggregate-to-edit",
            "rbac.authorization.k8s.io/aggregate-to-admin",
        ],
        f"{NAME}-view": ["rbac.authorization.k8s.io/aggregate-to-view"],
        # A runtime gives more than a tenant has.
        f"{NAME}-runtimes-edit": [],
    }

"""Pods that cannot start: the scheduler, the Job controller and Events tell the status why."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes import client

from tests.support.api import Cluster, Manifest, manifest
from tests.support.fixtures import Kwok
from tests.support.pods import FOREVER, live_pods, wait_for_attempt
from tests.support.processes import OperatorProcess
from tests.support.waiting import wait_for

NEVER = {"kwok.trainingjob.dev/start-seconds": "forever"}
CLAIM = {
    "metadata": {"name": "unbound"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
        "resources": {"requests": {"storage": "1Gi"}},
    },
}
QUOTA = {"metadata": {"name": "compute"}, "spec": {"hard": {"limits.cpu": "4"}}}
RANGE = {
    "metadata": {"name": "defaults"},
    "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]},
}


def job(name: str, annotations: dict[str, str] = FOREVER, **spec: Any) -> Manifest:
    made = manifest(name, annotations=annotations)
    made["spec"] |= spec
    return made


def claimed(name: str, claim: str) -> Manifest:
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
    return job(name, volumes=[volume], volumeMounts=[{"name": "data", "mountPath": "/data"}])


def wait_for_failure(cluster: Cluster, name: str, reason: str) -> dict[str, Any]:
    """The failure that a job reports, once it has the reason."""

    def reported() -> dict[str, Any] | None:
        failure: dict[str, Any] = cluster.status(name).get("failure") or {}
        return failure if failure.get("reason") == reason else None

    failure = wait_for(f"{name} reports {reason}", reported, 120)
    (running,) = (one for one in cluster.status(name)["conditions"] if one["type"] == "Running")
    assert (running["status"], running["reason"], running["message"]) == (
        "False",
        reason,
        failure["message"],
    )
    assert cluster.state(name) == "Starting"
    wait_for("the event is there", lambda: cluster.events(name) == [("Warning", reason)], 60)
    return failure


def wait_for_recovery(cluster: Cluster, name: str) -> None:
    wait_for_attempt(cluster, name, 1, 240)
    assert "failure" not in cluster.status(name)


def test_pods_that_find_no_node(kwok: Kwok, cluster: Cluster, operator: OperatorProcess) -> None:
    cluster.core.create_namespaced_persistent_volume_claim(cluster.namespace, CLAIM)
    cluster.apply(
        job("nowhere", nodeSelector={"pool": "none-of-these"}),
        claimed("unbound", "unbound"),
        claimed("unclaimed", "absent"),
    )
    messages = {
        name: wait_for_failure(cluster, name, "Unschedulable")["message"]
        for name in ("nowhere", "unbound", "unclaimed")
    }
    assert messages["nowhere"].startswith("pod nowhere-1-0-")
    assert "didn't match Pod's node affinity/selector" in messages["nowhere"]
    assert "unbound immediate PersistentVolumeClaims" in messages["unbound"]
    assert 'persistentvolumeclaim "absent" not found' in messages["unclaimed"]

    wide = kwok.kubectl("get", "tj", "nowhere", "--output=wide", f"--namespace={cluster.namespace}")
    assert "Unschedulable" in wide
    assert messages["nowhere"] in wide
    described = kwok.kubectl("describe", "tj", "nowhere", f"--namespace={cluster.namespace}")
    assert described.count(messages["nowhere"]) == 3  # the condition, the failure and the Event


def test_pods_that_are_refused_by_a_quota_or_a_range(
    cluster: Cluster, operator: OperatorProcess
) -> None:
    cluster.core.create_namespaced_limit_range(cluster.namespace, RANGE)
    ample = {"limits": {"memory": "2Gi", "cpu": 1}}
    cluster.apply(job("ranged", resourcesPerNode=ample))
    failure = wait_for_failure(cluster, "ranged", "FailedCreate")
    assert failure["message"].startswith("Job ranged-1: Error creating: pods ")
    assert "maximum memory usage per Container is 1Gi, but limit is 2Gi" in failure["message"]

    cluster.core.delete_namespaced_limit_range("defaults", cluster.namespace)
    cluster.core.create_namespaced_resource_quota(cluster.namespace, QUOTA)
    cluster.apply(job("unlimited"))
    failure = wait_for_failure(cluster, "unlimited", "FailedCreate")
    assert "failed quota: compute: must specify limits.cpu" in failure["message"]

    cluster.core.delete_namespaced_resource_quota("compute", cluster.namespace)
    wait_for_recovery(cluster, "unlimited")


@pytest.fixture
def policy(kwok: Kwok, cluster: Cluster) -> Iterator[str]:
    """An admission policy that lets no pod of the namespace be made."""
    name = cluster.namespace
    rules = client.AdmissionregistrationV1Api(cluster.core.api_client)
    where = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    pods = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    rules.create_validating_admission_policy(
        {
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [pods], "namespaceSelector": where},
                "validations": [{"expression": "false", "message": "no pods on a Sunday"}],
            },
        }
    )
    binding = {"policyName": name, "validationActions": ["Deny"]}
    rules.create_validating_admission_policy_binding({"metadata": {"name": name}, "spec": binding})
    yield "no pods on a Sunday"
    rules.delete_validating_admission_policy_binding(name)
    rules.delete_validating_admission_policy(name)


def test_pods_that_a_policy_refuses(
    cluster: Cluster, policy: str, operator: OperatorProcess
) -> None:
    pod = {
        "metadata": {"name": "probe"},
        "spec": {"containers": [{"name": "probe", "image": "fake:1"}]},
    }

    def in_force() -> bool:
        try:
            cluster.core.create_namespaced_pod(cluster.namespace, pod, dry_run="All")
        except client.ApiException as error:
            return policy in error.body
        return False

    wait_for("the policy is in force", in_force, 60)
    cluster.apply(job("refused"))
    assert policy in wait_for_failure(cluster, "refused", "FailedCreate")["message"]


def test_a_volume_that_is_mounted_late(cluster: Cluster, operator: OperatorProcess) -> None:
    """The fake kubelet reports nothing: the test does it, as the real one would."""
    cluster.apply(job("late", annotations=NEVER))
    (pod,) = wait_for("the pod is there", lambda: live_pods(cluster, "late"), 60)
    now = datetime.now(UTC)
    message = 'MountVolume.SetUp failed for volume "data" : configmap "absent" not found'
    cluster.core.create_namespaced_event(
        cluster.namespace,
        {
            "metadata": {"name": f"{pod.metadata.name}.1"},
            "involvedObject": {
                "kind": "Pod",
                "namespace": cluster.namespace,
                "name": pod.metadata.name,
                "uid": pod.metadata.uid,
            },
            "type": "Warning",
            "reason": "FailedMount",
            "message": message,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        },
    )
    failure = wait_for_failure(cluster, "late", "FailedMount")
    assert failure == {
        "reason": "FailedMount",
        "message": f"pod {pod.metadata.name}: {message}",
        "node": failure["node"],
        "rank": 0,
    }

    ready = {"type": "PodReadyToStartContainers", "status": "True"}
    cluster.core.patch_namespaced_pod_status(
        pod.metadata.name, cluster.namespace, {"status": {"conditions": [ready]}}
    )
    wait_for("it reports it no more", lambda: "failure" not in cluster.status("late"), 60)
    assert cluster.state("late") == "Starting"

"""A container that an admission policy puts beside the trainer has no part in the job's end."""

from collections.abc import Iterator

import pytest
from kubernetes import client

from tests.support.api import Cluster, Manifest
from tests.support.node import Installed, log, pods, script_job, wait_for_end
from tests.support.training import outcomes
from tests.support.waiting import wait_for

# A mesh's proxy, as its injector adds it: what it runs is in an annotation of the pod.
MESH = """
[
  JSONPatch{
    op: "add",
    path: "/spec/containers/-",
    value: Object.spec.containers{
      name: "mesh",
      image: object.spec.containers[0].image,
      imagePullPolicy: "IfNotPresent",
      command: ["tini", "--", "sh", "-c", string(object.metadata.annotations["mesh"])],
      securityContext: Object.spec.containers.securityContext{
        allowPrivilegeEscalation: false,
        capabilities: Object.spec.containers.securityContext.capabilities{drop: ["ALL"]}
      }
    }
  }
]
"""


def policy(name: str) -> Manifest:
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    return {
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [rule]},
            "matchConditions": [
                {
                    "name": "meshed",
                    "expression": '"mesh" in object.metadata.?annotations.orValue({})',
                }
            ],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": MESH}}],
        },
    }


def binding(name: str) -> Manifest:
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    return {
        "metadata": {"name": name},
        "spec": {"policyName": name, "matchResources": {"namespaceSelector": namespace}},
    }


@pytest.fixture
def mesh(cluster: Cluster) -> Iterator[None]:
    """The policy for the test's namespace, in force."""
    api = client.AdmissionregistrationV1Api(cluster.core.api_client)
    api.create_mutating_admission_policy(policy(cluster.namespace))
    api.create_mutating_admission_policy_binding(binding(cluster.namespace))
    try:
        yield
    finally:
        api.delete_mutating_admission_policy_binding(cluster.namespace)
        api.delete_mutating_admission_policy(cluster.namespace)


def meshed(name: str, sidecar: str, command: list[str] | None = None) -> Manifest:
    job = script_job(name, "exit_3.py")
    job["spec"] |= {"podAnnotations": {"mesh": sidecar}, "backoffLimit": 0}
    if command:
        job["spec"]["command"] = command
    return job


def in_force(cluster: Cluster) -> bool:
    """The API server takes a new policy up a moment after it is stored."""
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    probe = {
        "metadata": {"name": "probe", "annotations": {"mesh": "true"}},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "probe", "image": "absent", "securityContext": restricted}],
        },
    }
    found = cluster.core.create_namespaced_pod(cluster.namespace, probe, dry_run="All")
    return len(found.spec.containers) == 2


def container_ends(cluster: Cluster, name: str) -> dict[str, int | None]:
    """Exit codes of the containers of a job's only pod; None for one that runs."""
    [pod] = pods(cluster, name)
    states = {one.name: one.state.terminated for one in pod.status.container_statuses}
    return {name: state.exit_code if state else None for name, state in states.items()}


def test_only_the_trainers_container_decides_and_no_pod_stays(
    installed: Installed, cluster: Cluster, mesh: None
) -> None:
    wait_for("the policy is in force", lambda: in_force(cluster), 60)
    cluster.apply(
        meshed("beside-success", "exec sleep infinity", ["tini", "--", "sleep", "2"]),
        meshed("beside-failure", "exec sleep infinity"),
        meshed("broken", "exit 7", ["tini", "--", "sleep", "10"]),
    )
    ends = {
        name: wait_for_end(cluster, name, 240)
        for name in ("beside-success", "beside-failure", "broken")
    }

    assert {name: outcomes(status) for name, status in ends.items()} == {
        "beside-success": [("Succeeded", None, 0)],
        "beside-failure": [("Failed", "NonZeroExitCode", 3)],
        "broken": [("Succeeded", None, 0)],
    }
    runs = {name: installed.mlflow.get_run(one["mlflow"]["runId"]) for name, one in ends.items()}
    assert {name: run.info.status for name, run in runs.items()} == {
        "beside-success": "FINISHED",
        "beside-failure": "FAILED",
        "broken": "FINISHED",
    }

    def freed() -> bool:
        return all(None not in container_ends(cluster, name).values() for name in ends)

    wait_for("no container runs any more", freed, 120)
    assert container_ends(cluster, "broken") == {"trainer": 0, "mesh": 7}
    [failed] = pods(cluster, "beside-failure")
    assert "the data set is empty" in log(cluster, failed.metadata.name)

"""A pod that the real kubelet cannot start: the job says why, and ends."""

from typing import Any

from tests.support.api import Cluster, Manifest
from tests.support.node import Installed, pods, sampled_status, script_job, wait_for_end
from tests.support.waiting import wait_for

# Where no registry listens: refused at once, on any machine.
ABSENT = "127.0.0.1:1/trainer:1"
# Another test drains the node meanwhile, which must not be what these wait for.
CORDONED = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}
SECRET = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "token"}}}


def mounted(source: dict[str, Any]) -> dict[str, Any]:
    mount = {"name": "data", "mountPath": "/data"}
    return {"volumes": [{"name": "data", **source}], "volumeMounts": [mount]}


ABSENT_CONFIG = mounted({"configMap": {"name": "absent"}})
CAUSES: dict[str, tuple[dict[str, Any], str, str]] = {
    "absent-image": ({"image": ABSENT}, "ImagePullBackOff", ABSENT),
    "wrong-image": ({"image": "Trainer:1"}, "InvalidImageName", "Trainer:1"),
    "absent-secret": ({"env": [SECRET]}, "CreateContainerConfigError", '"absent" not found'),
    "no-gpu": (
        {"resourcesPerNode": {"limits": {"nvidia.com/gpu": 1000}}},
        "Unschedulable",
        "Insufficient nvidia.com/gpu",
    ),
    "absent-claim": (
        mounted({"persistentVolumeClaim": {"claimName": "absent"}}),
        "Unschedulable",
        'persistentvolumeclaim "absent" not found',
    ),
    "absent-config": (ABSENT_CONFIG, "FailedMount", 'configmap "absent" not found'),
    "absent-volume": (
        mounted({"secret": {"secretName": "absent"}}),
        "FailedMount",
        'secret "absent" not found',
    ),
    # Not even the sandbox of a pod starts in so little.
    "no-memory": (
        {"resourcesPerNode": {"limits": {"memory": "1Mi"}}},
        "FailedCreatePodSandBox",
        "sandbox",
    ),
}


def stuck(name: str, **spec: Any) -> Manifest:
    job = script_job(name, "exit_3.py")
    job["spec"] |= {"preRunningDeadlineSeconds": 30, "tolerations": [CORDONED], **spec}
    return job


def test_what_a_pod_waits_for_is_why_its_job_failed(installed: Installed, cluster: Cluster) -> None:
    cluster.apply(*(stuck(name, **spec) for name, (spec, _, _) in CAUSES.items()))
    with sampled_status(installed.mlflow, cluster, "absent-image") as statuses:
        ends = {name: wait_for_end(cluster, name, 180) for name in CAUSES}

    deadline = "not all pods ran within spec.preRunningDeadlineSeconds (30 s)"
    for name, (_, reason, message) in CAUSES.items():
        failure = ends[name]["failure"]
        assert (ends[name]["state"], failure["reason"]) == ("Failed", reason), failure
        assert failure["message"].startswith(deadline)
        assert message in failure["message"]
        assert [one["outcome"] for one in ends[name]["attempts"]] == ["Failed"]
        assert "runningTime" not in ends[name]
        # One that has no node is gone; one that has is kept to be looked at.
        assert {pod.status.phase for pod in pods(cluster, name)} <= {"Failed"}
        assert installed.mlflow.get_run(ends[name]["mlflow"]["runId"]).info.status == "FAILED"
    assert statuses.seen[-2:] == ["SCHEDULED", "FAILED"]


def test_a_config_map_that_comes_late(cluster: Cluster) -> None:
    cluster.apply(stuck("late-config", preRunningDeadlineSeconds=None, **ABSENT_CONFIG))

    def failure() -> dict[str, Any] | None:
        reported: dict[str, Any] | None = cluster.status("late-config").get("failure")
        return reported

    reported = wait_for("its status says why it does not start", failure, 120)
    assert reported["reason"] == "FailedMount"
    assert 'configmap "absent" not found' in reported["message"]
    assert cluster.events("late-config") == [("Warning", "FailedMount")]
    assert cluster.state("late-config") == "Starting"

    cluster.core.create_namespaced_config_map(cluster.namespace, {"metadata": {"name": "absent"}})
    # The kubelet tries again every two minutes at the latest.
    status = wait_for_end(cluster, "late-config", 300)
    assert status["failure"]["reason"] == "NonZeroExitCode"
    assert status["runningTime"]


def test_a_command_that_is_not_in_the_image(installed: Installed, cluster: Cluster) -> None:
    job = stuck("mistyped", backoffLimit=3, retry={"retryableExitCodes": [127, 128]})
    job["spec"]["command"] = ["trainingjob-exce", "--", "python", "-c", "print('hello')"]
    cluster.apply(job)
    status = wait_for_end(cluster, "mistyped", 180)
    failure = status["failure"]
    assert (status["state"], failure["reason"]) == ("Failed", "StartError"), failure
    assert failure["message"].startswith("the container could not be started: ")
    assert "trainingjob-exce" in failure["message"]
    assert [one["outcome"] for one in status["attempts"]] == ["Failed"]
    assert "runningTime" not in status
    assert installed.mlflow.get_run(status["mlflow"]["runId"]).info.status == "FAILED"

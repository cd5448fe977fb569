"""A pod that the real kubelet cannot start: the job ends, and says why."""

from typing import Any

from tests.support.api import Cluster, Manifest
from tests.support.node import Installed, pods, sampled_status, script_job, wait_for_end

# Where no registry listens: refused at once, on any machine.
ABSENT = "127.0.0.1:1/trainer:1"
# Another test drains the node meanwhile, which must not be what these wait for.
CORDONED = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}
SECRET = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "token"}}}
CAUSES: dict[str, tuple[dict[str, Any], str, str]] = {
    "absent-image": ({"image": ABSENT}, "ImagePullBackOff", ABSENT),
    "wrong-image": ({"image": "Trainer:1"}, "InvalidImageName", "Trainer:1"),
    "absent-secret": ({"env": [SECRET]}, "CreateContainerConfigError", '"absent" not found'),
    "no-gpu": (
        {"resourcesPerNode": {"limits": {"nvidia.com/gpu": 1000}}},
        "Unschedulable",
        "Insufficient nvidia.com/gpu",
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
        assert pods(cluster, name) == []
        assert installed.mlflow.get_run(ends[name]["mlflow"]["runId"]).info.status == "FAILED"
    assert statuses.seen == ["SCHEDULED", "FAILED"]

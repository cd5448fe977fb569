"""Whatever a job chooses, its pods pass the restricted standard that their namespace enforces."""

from typing import Any

from tests.support.api import Cluster, Manifest, manifest
from tests.support.pods import FOREVER, live_pods
from tests.support.processes import OperatorProcess
from tests.support.waiting import wait_for

ENFORCED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
MOUNT = {"name": "data", "mountPath": "/data"}


def job(name: str, **spec: Any) -> Manifest:
    made = manifest(name, annotations=FOREVER)
    made["spec"] |= {"resourcesPerNode": {"limits": {"memory": "1Gi"}}, **spec}
    return made


def chosen() -> Manifest:
    container = {
        "image": "fake:2",
        "volumeMounts": [MOUNT],
        "securityContext": {"runAsUser": 2000, "readOnlyRootFilesystem": True},
    }
    return job(
        "chosen",
        volumes=[{"name": "data", "emptyDir": {}}],
        volumeMounts=[MOUNT],
        securityContext={"runAsUser": 1000, "fsGroup": None, "supplementalGroups": [0]},
        readOnlyRootFilesystem=True,
        initContainers=[{"name": "fetch", **container}],
        sidecars=[{"name": "mesh", **container, "startupProbe": {"tcpSocket": {"port": 80}}}],
        topologySpreadConstraints=[
            {
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "maxSkew": 1,
            }
        ],
        dnsConfig={"searches": ["example.com"]},
        hostAliases=[{"ip": "10.0.0.7", "hostnames": ["nfs"]}],
        jobLabels={"helm.sh/chart": "trainings"},
    )


def wait_for_pod(cluster: Cluster, name: str) -> Any:
    [pod] = wait_for(f"{name} has a pod", lambda: live_pods(cluster, name), 60)
    return pod


def test_what_the_job_chose_is_what_the_pod_has(
    cluster: Cluster, operator: OperatorProcess
) -> None:
    cluster.core.patch_namespace(cluster.namespace, ENFORCED)
    claims = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]}
    claimed = job("claimed", **claims, resourcesPerNode={"claims": [{"name": "gpu"}]})
    cluster.apply(chosen(), claimed)

    spec = wait_for_pod(cluster, "chosen").spec
    assert spec.security_context.run_as_user == 1000
    assert spec.security_context.fs_group is None
    assert [(one.name, one.restart_policy) for one in spec.init_containers] == [
        ("mesh", "Always"),
        ("fetch", None),
    ]
    [constraint] = spec.topology_spread_constraints
    assert constraint.label_selector.match_labels["trainingjob.dev/attempt"] == "1"
    wait_for("it runs", lambda: cluster.state("chosen") == "Running", 60)
    [child] = cluster.batch_jobs("chosen")
    assert child.metadata.labels["helm.sh/chart"] == "trainings"

    spec = wait_for_pod(cluster, "claimed").spec
    assert spec.resource_claims[0].resource_claim_template_name == "gpu"
    assert spec.containers[0].resources.claims[0].name == "gpu"

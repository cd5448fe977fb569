"""Jobs with runtimes on the real control plane, and runtimes that change while the jobs live."""

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from tests.support.api import Cluster, Runs, manifest, operator_writes
from tests.support.fixtures import Kwok
from tests.support.pods import FOREVER, end_pods, wait_for_attempt
from tests.support.processes import OperatorProcess
from tests.support.runtimes import RuntimeObjects
from tests.support.waiting import wait_for

STATUS = "patch trainingjobs/status"


@pytest.fixture
def runtimes(cluster: Cluster) -> Iterator[RuntimeObjects]:
    found = RuntimeObjects(cluster.objects, cluster.namespace)
    yield found
    found.delete_all()


@pytest.fixture
def wide() -> str:
    """A name for a runtime of the whole cluster."""
    return f"gpu-{uuid4().hex[:8]}"


def job(name: str, **spec: Any) -> dict[str, Any]:
    made = manifest(name)
    made["spec"] = {"podAnnotations": FOREVER, **spec}
    return made


def ref(name: str, kind: str = "TrainingRuntime") -> dict[str, str]:
    return {"kind": kind, "name": name}


def images(cluster: Cluster, name: str) -> list[str]:
    """The images of a job's attempts."""
    jobs = sorted(cluster.batch_jobs(name), key=lambda one: str(one.metadata.name))
    return [one.spec.template.spec.containers[0].image for one in jobs]


def reason(cluster: Cluster, name: str) -> str | None:
    found = cluster.condition(name, "Running")
    return found["reason"] if found else None


def test_a_job_with_a_runtime_costs_one_write_more(
    kwok: Kwok,
    cluster: Cluster,
    runs: Runs,
    runtimes: RuntimeObjects,
    wide: str,
    operator: OperatorProcess,
) -> None:
    runtimes.create(wide, {"defaults": {"image": "fake:9"}}, cluster_wide=True)
    short = {"kwok.trainingjob.dev/run-seconds": "1"}
    asked = {"podAnnotations": short, "runtimeRef": ref(wide, "ClusterTrainingRuntime")}
    costs = []
    for name in ("mine", "second", "third", "fourth"):
        offset = kwok.audit_log.stat().st_size
        cluster.apply(job(name, **asked))
        wait_for("it ended", partial(cluster.has_ended, name, "Succeeded"), 60)
        costs.append(operator_writes(kwok.audit_log, cluster.namespace, offset, accepted=True))
    # A slow MLflow or pod, as on a busy machine, costs one more write, which reports the wait.
    assert [STATUS, "create jobs", STATUS, STATUS, "patch jobs"] in costs, costs
    runtime = cluster.status("mine")["runtime"]
    assert (runtime["kind"], runtime["name"]) == ("ClusterTrainingRuntime", wide)
    assert runtime["sources"] == {"image": "Runtime", "podAnnotations": "Job"}
    assert runtime["spec"] == {"defaults": {"image": "fake:9"}, "template": {}}
    # What the author wrote stays as it was.
    stored = cluster.get("mine")
    assert stored is not None
    assert "image" not in stored["spec"]


def test_an_edited_runtime_changes_no_attempt_of_a_job_that_has_it(
    cluster: Cluster, runs: Runs, runtimes: RuntimeObjects, operator: OperatorProcess
) -> None:
    runtimes.create("gpu", {"defaults": {"image": "fake:1", "backoffLimit": 3}})
    cluster.apply(job("edited", runtimeRef=ref("gpu")))
    wait_for_attempt(cluster, "edited", 1)

    runtimes.replace("gpu", {"defaults": {"image": "fake:2"}, "allow": []})
    end_pods(cluster, "edited", 139)
    wait_for_attempt(cluster, "edited", 2)

    runtimes.delete("gpu")
    end_pods(cluster, "edited", 139)
    wait_for_attempt(cluster, "edited", 3)

    runtimes.create("gpu", {"defaults": {"image": "fake:3"}})
    operator.end()
    operator.start()
    end_pods(cluster, "edited", 139)
    wait_for_attempt(cluster, "edited", 4)
    end_pods(cluster, "edited", 0)
    cluster.wait_for_state("edited", "Succeeded")
    assert images(cluster, "edited") == ["fake:1"] * 4
    assert cluster.status("edited")["failedAttempts"] == 3

    cluster.apply(job("next", runtimeRef=ref("gpu")))
    wait_for_attempt(cluster, "next", 1)
    assert images(cluster, "next") == ["fake:3"]


def test_nor_of_one_that_is_queued_or_suspended(
    cluster: Cluster, runs: Runs, runtimes: RuntimeObjects, operator: OperatorProcess
) -> None:
    runtimes.create("gpu", {"defaults": {"image": "fake:1", "queueName": "gpus"}})
    cluster.apply(
        job("queued", runtimeRef=ref("gpu")),
        job("suspended", runtimeRef=ref("gpu"), suspend=True),
    )
    cluster.wait_for_state("queued", "Queued")
    cluster.wait_for_state("suspended", "Suspended")
    runtimes.replace("gpu", {"defaults": {"image": "fake:2"}, "allow": []})
    runtimes.delete("gpu")
    runtimes.create("gpu", {"defaults": {"image": "fake:3", "queueName": "others"}})
    cluster.objects.patch_namespaced_custom_object(
        *("trainingjob.dev", "v1alpha1", cluster.namespace, "trainingjobs", "suspended"),
        {"spec": {"suspend": False}},
    )
    cluster.wait_for_state("suspended", "Queued")
    for name in ("queued", "suspended"):
        child = cluster.batch.read_namespaced_job(f"{name}-1", cluster.namespace)
        assert child.metadata.labels["kueue.x-k8s.io/queue-name"] == "gpus"
        admitted = {"spec": {"suspend": False}}
        cluster.batch.patch_namespaced_job(f"{name}-1", cluster.namespace, admitted)
        wait_for_attempt(cluster, name, 1)
    assert images(cluster, "queued") == images(cluster, "suspended") == ["fake:1"]


def test_a_job_waits_for_its_runtime_and_begins_with_it(
    cluster: Cluster, runs: Runs, runtimes: RuntimeObjects, wide: str, operator: OperatorProcess
) -> None:
    cluster.apply(
        job("mine", runtimeRef=ref("late")),
        job("all", runtimeRef=ref(wide, "ClusterTrainingRuntime")),
        job("bare"),
    )
    for name, expected in (
        ("mine", "RuntimeNotFound"),
        ("all", "RuntimeNotFound"),
        ("bare", "ImageMissing"),
    ):
        wait_for(f"{name} says why", partial(reason, cluster, name), 60)
        assert reason(cluster, name) == expected
        assert cluster.state(name) == "Pending"
        assert ("Warning", expected) in cluster.events(name)
    reported = cluster.status("mine")["failure"]["message"]
    assert "there is no TrainingRuntime late in the job's namespace" in reported
    assert runs.all() == []
    assert cluster.batch.list_namespaced_job(cluster.namespace).items == []

    runtimes.create("late", {"defaults": {"image": "fake:1"}})
    runtimes.create(wide, {"defaults": {"image": "fake:2"}}, cluster_wide=True)
    runtimes.create("default", {"defaults": {"image": "fake:3"}})
    for name, image in (("mine", "fake:1"), ("all", "fake:2"), ("bare", "fake:3")):
        wait_for_attempt(cluster, name, 1)
        assert images(cluster, name) == [image]
        assert "failure" not in cluster.status(name)


def test_a_job_that_waits_for_its_runtime_can_be_deleted(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("gone", runtimeRef=ref("never")))
    wait_for("it says why", lambda: reason(cluster, "gone"), 60)
    cluster.delete("gone")
    wait_for("it is gone", lambda: cluster.get("gone") is None, 30)
    assert runs.all() == []


def test_a_default_is_for_jobs_that_begin_after_it(
    cluster: Cluster, runs: Runs, runtimes: RuntimeObjects, operator: OperatorProcess
) -> None:
    before = job("before", image="fake:1", backoffLimit=1)
    cluster.apply(before)
    wait_for_attempt(cluster, "before", 1)
    runtimes.create("default", {"defaults": {"image": "fake:0", "podLabels": {"team": "a"}}})
    end_pods(cluster, "before", 139)
    wait_for_attempt(cluster, "before", 2)
    assert "runtime" not in cluster.status("before")

    cluster.apply(job("after", image="fake:2"))
    wait_for_attempt(cluster, "after", 1)
    assert images(cluster, "after") == ["fake:2"]
    assert cluster.status("after")["runtime"]["sources"] == {
        "image": "Job",
        "podAnnotations": "Job",
        "podLabels": "Runtime",
    }


def test_a_job_that_sets_what_it_may_not_has_failed_at_once(
    cluster: Cluster, runs: Runs, runtimes: RuntimeObjects, operator: OperatorProcess
) -> None:
    runtimes.create(
        "locked", {"defaults": {"image": "fake:1"}, "allow": ["args", "podAnnotations"]}
    )
    cluster.apply(
        job("refused", runtimeRef=ref("locked"), command=["sh"], ttlSecondsAfterFinished=600),
        job("allowed", runtimeRef=ref("locked"), args=["run"]),
    )
    cluster.wait_for_state("refused", "Failed")
    failure = cluster.status("refused")["failure"]
    assert failure["reason"] == "RuntimeOverrideForbidden"
    assert failure["message"].startswith(
        "spec.command is not allowed with TrainingRuntime locked: spec.allow has args, "
        "podAnnotations; "
    )
    condition = cluster.condition("refused", "Failed")
    assert condition is not None
    assert condition["reason"] == "RuntimeOverrideForbidden"
    wait_for_attempt(cluster, "allowed", 1)
    assert [run.info.run_name for run in runs.all()] == ["allowed"]
    assert cluster.batch_jobs("refused") == []


def test_a_template_reaches_the_pods_and_a_mistyped_field_is_reported(
    cluster: Cluster, runs: Runs, runtimes: RuntimeObjects, operator: OperatorProcess
) -> None:
    trainer = {
        "name": "trainer",
        "securityContext": {"runAsUser": 0, "capabilities": {"add": ["IPC_LOCK"]}},
    }
    pod = {
        "hostNetwork": True,
        "securityContext": {"runAsNonRoot": False},
        "volumes": [{"name": "host", "hostPath": {"path": "/dev/infiniband"}}],
        "containers": [trainer, {"name": "beside", "image": "fake:5"}],
    }
    runtimes.create("root", {"defaults": {"image": "fake:1"}, "template": {"spec": pod}})
    runtimes.create("typo", {"template": {"spec": {"hostNetwrk": True}}})
    cluster.apply(
        job("root", runtimeRef=ref("root")), job("typo", image="fake:1", runtimeRef=ref("typo"))
    )
    wait_for_attempt(cluster, "root", 1)
    [found] = cluster.core.list_namespaced_pod(
        cluster.namespace, label_selector="trainingjob.dev/name=root"
    ).items
    assert (found.spec.host_network, found.spec.dns_policy) == (True, "ClusterFirstWithHostNet")
    assert not found.spec.security_context.run_as_non_root
    assert found.spec.security_context.fs_group == 65532
    first, beside = found.spec.containers
    assert (first.name, beside.name, beside.image) == ("trainer", "beside", "fake:5")
    context = first.security_context
    assert (context.run_as_user, context.allow_privilege_escalation) == (0, False)
    assert (context.capabilities.add, context.capabilities.drop) == (["IPC_LOCK"], ["ALL"])

    wait_for("the other says why", lambda: reason(cluster, "typo") == "FailedCreate", 60)
    message = cluster.status("typo")["failure"]["message"]
    assert 'unknown field "spec.template.spec.hostNetwrk"' in message


def test_pods_of_a_root_runtime_are_refused_in_a_restricted_namespace(
    cluster: Cluster, runs: Runs, runtimes: RuntimeObjects, operator: OperatorProcess
) -> None:
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.core.patch_namespace(cluster.namespace, {"metadata": {"labels": label}})
    pod = {"hostNetwork": True}
    runtimes.create("root", {"defaults": {"image": "fake:1"}, "template": {"spec": pod}})
    cluster.apply(job("root", runtimeRef=ref("root")), job("plain", image="fake:1"))
    wait_for_attempt(cluster, "plain", 1)
    wait_for("it says why", lambda: reason(cluster, "root") == "FailedCreate", 60)
    assert "violates PodSecurity" in cluster.status("root")["failure"]["message"]

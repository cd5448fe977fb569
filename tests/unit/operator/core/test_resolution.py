"""What a TrainingJob and its runtime amount to: the spec, where it is from, and the pods."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob_operator.api import Checkpoint, TrainingJobSpec, TrainingRuntimeSpec
from trainingjob_operator.core import manifests, resolution

from tests.support.jobs import RUN, TRACKING, training_job
from tests.support.runtimes import with_runtime

RDMA: dict[str, Any] = {
    "defaults": {
        "image": "ngc:1",
        "args": ["run", "mnist"],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "numNodes": 2,
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "mlflow": {"experiment": "llm", "tags": {"team": "a"}},
        "nodeSelector": {"pool": "gpu"},
    },
    "template": {
        "metadata": {"labels": {"rail": "1"}, "annotations": {"network": "ib"}},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 300,
            "securityContext": {"runAsNonRoot": False, "runAsUser": 0},
            "volumes": [{"name": "fabric", "hostPath": {"path": "/dev/infiniband"}}],
            "initContainers": [{"name": "sysctl", "image": "tools:1", "command": ["sysctl"]}],
            "containers": [
                {
                    "name": "trainer",
                    "env": [{"name": "NCCL_IB_HCA", "value": "mlx5"}],
                    "resources": {"limits": {"nvidia.com/gpu": 8}},
                    "securityContext": {"capabilities": {"add": ["IPC_LOCK"]}},
                    "volumeMounts": [{"name": "fabric", "mountPath": "/dev/infiniband"}],
                },
                {"name": "exporter", "image": "dcgm:1"},
            ],
        },
    },
}


def resolved(wanted: dict[str, Any], **runtime: Any) -> TrainingJobSpec:
    return resolution.resolved(wanted, TrainingRuntimeSpec.model_validate(runtime))


def test_a_job_without_a_runtime_is_as_it_is() -> None:
    job = training_job()
    assert resolution.effective(job) is job


def test_the_job_is_stronger_than_the_defaults_and_the_template_stronger_than_both() -> None:
    job = with_runtime(
        RDMA, {"env": [{"name": "B", "value": "3"}], "numNodes": 4, "mlflow": {"runName": "first"}}
    )
    assert job.spec.model_dump(by_alias=True, exclude_unset=True) == {
        # training_job() has one of its own.
        "image": "trainer:1",
        "runtimeRef": {"name": "gpu"},
        "args": ["run", "mnist"],
        "env": [
            {"name": "A", "value": "1"},
            {"name": "B", "value": "3"},
            {"name": "NCCL_IB_HCA", "value": "mlx5"},
        ],
        "numNodes": 4,
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "mlflow": {"experiment": "llm", "tags": {"team": "a"}, "runName": "first"},
        "nodeSelector": {"pool": "gpu"},
        "terminationGracePeriodSeconds": 300,
        "volumes": [{"name": "fabric", "hostPath": {"path": "/dev/infiniband"}}],
        "volumeMounts": [{"name": "fabric", "mountPath": "/dev/infiniband"}],
        "resourcesPerNode": {"limits": {"nvidia.com/gpu": 8}},
        "podLabels": {"rail": "1"},
        "podAnnotations": {"network": "ib"},
    }


def test_where_each_field_comes_from() -> None:
    wanted = {
        "runtimeRef": {"name": "gpu"},
        "suspend": False,
        "args": ["run", "bert"],
        "env": [{"name": "B", "value": "3"}],
        "mlflow": {"runName": "first", "tags": {"ticket": "1"}},
    }
    reported = resolution.sources(wanted, TrainingRuntimeSpec.model_validate(RDMA))
    assert reported == {
        "image": "Runtime",
        "args": "Job",
        "env": "JobAndRuntime",
        "numNodes": "Runtime",
        "tolerations": "Runtime",
        "mlflow.experiment": "Runtime",
        "mlflow.tags.team": "Runtime",
        "mlflow.tags.ticket": "Job",
        "mlflow.runName": "Job",
        "nodeSelector": "Runtime",
        "terminationGracePeriodSeconds": "Runtime",
        "volumes": "Runtime",
        "volumeMounts": "Runtime",
        "resourcesPerNode": "Runtime",
        "podLabels": "Runtime",
        "podAnnotations": "Runtime",
    }


def test_the_pods_have_what_the_template_has_beyond_the_spec() -> None:
    job = with_runtime(RDMA)
    pod = manifests.child_job(job, 1, RUN, TRACKING)["spec"]["template"]
    spec = pod["spec"]
    trainer, exporter = spec.pop("containers")
    assert pod["metadata"]["labels"]["rail"] == "1"
    assert pod["metadata"]["annotations"] == {"network": "ib"}
    assert spec == {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 300,
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": False,
            "runAsUser": 0,
            "fsGroup": 65532,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "subdomain": "mnist",
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "volumes": [{"name": "fabric", "hostPath": {"path": "/dev/infiniband"}}],
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "initContainers": [{"name": "sysctl", "image": "tools:1", "command": ["sysctl"]}],
    }
    assert exporter == {"name": "exporter", "image": "dcgm:1"}
    assert trainer["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["IPC_LOCK"]},
    }
    variables = {one["name"]: one.get("value") for one in trainer["env"]}
    assert variables["NCCL_IB_HCA"] == "mlx5"
    # What the template asks for counts as the job's own where the operator reads it.
    assert variables["PET_NPROC_PER_NODE"] == "8"
    assert variables["PET_NNODES"] == "2"
    assert trainer["volumeMounts"] == [{"name": "fabric", "mountPath": "/dev/infiniband"}]


def test_no_template_takes_the_operators_variables_and_labels() -> None:
    """The API server refuses such a runtime; where its validation was off the operator wins."""
    template = {
        "metadata": {"labels": {"trainingjob.dev/uid": "other"}},
        "spec": {
            "containers": [{"name": "trainer", "env": [{"name": "PET_NNODES", "value": "9"}]}],
        },
    }
    job = with_runtime({"template": template})
    pod = manifests.child_job(job, 1, RUN, TRACKING)["spec"]["template"]
    assert pod["metadata"]["labels"]["trainingjob.dev/uid"] == "u-1"
    values = [one.get("value") for one in pod["spec"]["containers"][0]["env"]
              if one["name"] == "PET_NNODES"]  # fmt: skip
    assert values[-1] == "1"


@pytest.mark.parametrize(
    ("given", "wanted", "place"),
    [
        ({"claimName": "c", "path": "/c"}, {"volume": "v", "path": "/c"}, ("v", None)),
        ({"volume": "v", "path": "/c"}, {"claimName": "c", "path": "/c"}, (None, "c")),
        ({"claimName": "c", "path": "/c"}, {"claimName": "d", "path": "/c"}, (None, "d")),
        ({"volume": "v", "path": "/c"}, {"keep": 1, "path": "/d"}, ("v", None)),
    ],
)
def test_checkpoints_have_one_place(
    given: dict[str, Any], wanted: dict[str, Any], place: tuple[str | None, str | None]
) -> None:
    checkpoint = resolved({"checkpoint": wanted}, defaults={"checkpoint": given}).checkpoint
    assert isinstance(checkpoint, Checkpoint)
    assert (checkpoint.volume, checkpoint.claim_name) == place
    assert checkpoint.path == wanted["path"]


def test_the_label_of_a_queue_counts_as_the_jobs_queue() -> None:
    job = training_job({}, labels={"kueue.x-k8s.io/queue-name": "mine"})
    assert resolution.own(job) == {"image": "trainer:1", "queueName": "mine"}
    own = training_job({"queueName": "field"}, labels={"kueue.x-k8s.io/queue-name": "mine"})
    assert resolution.own(own)["queueName"] == "field"


def test_what_a_job_changes_later_counts_as_far_as_the_runtime_allows_it() -> None:
    runtime = {"allow": ["image", "backoffLimit"], "defaults": {"queueName": "given"}}
    job = with_runtime(runtime, {"queueName": "chosen", "backoffLimit": 5, "suspend": True})
    assert (job.spec.queue_name, job.spec.backoff_limit, job.spec.suspend) == ("given", 5, True)


LETTERS: st.SearchStrategy[str] = st.sampled_from(["a", "b"])
VARIABLES: st.SearchStrategy[list[dict[str, str]]] = st.lists(
    st.fixed_dictionaries({"name": LETTERS, "value": LETTERS}), unique_by=lambda one: one["name"]
)
FIELDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "image": st.sampled_from(["a", "b"]),
        "args": st.lists(st.sampled_from(["x", "y"]), max_size=2),
        "env": VARIABLES,
        "numNodes": st.integers(1, 3),
        "tolerations": st.lists(st.fixed_dictionaries({"key": LETTERS}), unique_by=str),
        "mlflow": st.fixed_dictionaries(
            {}, optional={"experiment": st.just("e"), "runName": st.sampled_from(["r", "s"])}
        ),
        "nodeSelector": st.dictionaries(LETTERS, LETTERS),
        "terminationGracePeriodSeconds": st.integers(0, 2),
    },
)


@given(FIELDS, FIELDS)
def test_a_spec_that_is_resolved_stays_so(defaults: dict[str, Any], wanted: dict[str, Any]) -> None:
    runtime = TrainingRuntimeSpec(defaults=defaults)
    once = resolution.resolved(wanted, runtime)
    again = resolution.resolved(once.model_dump(by_alias=True, exclude_unset=True), runtime)
    assert again == once


@given(FIELDS, FIELDS, FIELDS)
def test_each_field_is_that_of_the_strongest_who_sets_it(
    defaults: dict[str, Any], wanted: dict[str, Any], fixed: dict[str, Any]
) -> None:
    of_pod = ("nodeSelector", "tolerations", "terminationGracePeriodSeconds")
    pod = {name: value for name, value in fixed.items() if name in of_pod}
    of_trainer = ("image", "args", "env")
    trainer = {name: value for name, value in fixed.items() if name in of_trainer}
    template = {"spec": {**pod, "containers": [{"name": "trainer", **trainer}]}}
    runtime = TrainingRuntimeSpec(defaults=defaults, template=template)
    found = resolution.resolved(wanted, runtime).model_dump(by_alias=True, exclude_unset=True)
    layers: list[dict[str, Any]] = [{**pod, **trainer}, wanted, defaults]
    for name in ("image", "args", "numNodes", "terminationGracePeriodSeconds"):
        said = [layer[name] for layer in layers if name in layer]
        assert found.get(name) == (said[0] if said else None)
    for name, key in (("env", "name"), ("tolerations", "key")):
        everyone = {one[key] for layer in layers for one in layer.get(name, ())}
        assert {one[key] for one in found.get(name, ())} == everyone

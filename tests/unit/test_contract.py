"""Operator and trainer share no code: what one writes, the other must read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trainingjob_agent.causes.termination import Termination
from trainingjob_agent.contract import OPENED_BY_TAG, Contract
from trainingjob_agent.delivery import connection
from trainingjob_agent.initializers.progress import PREPARING_TAG
from trainingjob_agent.monitor.gpu.identity import sharing_of
from trainingjob_agent.supervisor.node_watch import NODES_NOT_JOINED, WARNING_TAG
from trainingjob_operator.core import conditions, contract, initializers, injection, manifests
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.observe import ContainerEnd
from trainingjob_operator.core.policies.failure import cause_of
from trainingjob_operator.core.tracking_uris import Tracking
from trainingjob_trainer.command_line import parse_options
from trainingjob_trainer.progress import Progress

from tests.support.fixtures import REPOSITORY
from tests.support.jobs import RUN, at, child, pod, training_job

INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


def pod_environment(spec: dict[str, Any], rank: int, with_run: bool = True) -> dict[str, str]:
    """The environment that the kubelet makes of the operator's manifest for one rank."""
    job = manifests.child_job(
        training_job(spec), 2, RUN if with_run else None, Tracking("http://mlflow")
    )
    [container] = job["spec"]["template"]["spec"]["containers"]
    return {
        one["name"]: one["value"] if "value" in one else field(one["valueFrom"], rank)
        for one in container["env"]
    }


def field(source: dict[str, Any], rank: int) -> str:
    assert source == {"fieldRef": {"fieldPath": INDEX}}
    return str(rank)


def test_the_trainer_reads_all_that_the_operator_sets() -> None:
    spec = {"numNodes": 2, "monitoring": {"intervalSeconds": 3, "port": 9500}}
    assert Contract.from_environment(pod_environment(spec, rank=1)) == Contract(
        name="mnist",
        namespace="ml",
        uid="u-1",
        attempt=2,
        node_rank=1,
        num_nodes=2,
        monitor_enabled=True,
        monitor_interval_seconds=3,
        metrics_port=9500,
        tracking_uri="http://mlflow",
        experiment_id="7",
        run_id="f00d",
        run_url="http://mlflow/#/experiments/7/runs/f00d",
        rank=1,
        world_size=2,
    )


def test_without_a_run_the_trainer_looks_for_it_by_the_uid() -> None:
    read = Contract.from_environment(pod_environment({}, rank=0, with_run=False))
    assert (read.run_id, read.experiment_id, read.uid, read.tracked) == (None, None, "u-1", True)
    assert connection.UID_TAG == contract.TAG_UID
    assert (connection.NAME_TAG, connection.NAMESPACE_TAG) == (
        contract.TAG_NAME,
        contract.TAG_NAMESPACE,
    )


def test_the_runs_that_the_pods_open_have_the_tag_by_which_the_operator_finds_them() -> None:
    context = json.loads(pod_environment({}, rank=0)["MLFLOW_RUN_CONTEXT"])
    assert context == {contract.TAG_OPENED_BY: "u-1"}
    assert contract.TAG_OPENED_BY == OPENED_BY_TAG


def test_the_operator_knows_the_warning_of_an_agent() -> None:
    assert (contract.TAG_WARNING, conditions.NODES_NOT_JOINED) == (WARNING_TAG, NODES_NOT_JOINED)


def test_the_operator_reads_how_far_an_initializer_is() -> None:
    assert contract.TAG_PREPARING == PREPARING_TAG


def test_tags_that_the_user_gives_to_runs_of_the_pods_stay() -> None:
    own = {"name": "MLFLOW_RUN_CONTEXT", "value": '{"team": "vision"}'}
    assert pod_environment({"env": [own]}, rank=0)["MLFLOW_RUN_CONTEXT"] == own["value"]


def test_the_trainer_knows_where_checkpoints_are() -> None:
    checkpoint = {"volume": "data", "path": "/checkpoints"}
    read = Contract.from_environment(pod_environment({"checkpoint": checkpoint}, rank=0))
    assert read.checkpoint_dir == Path("/checkpoints")


def test_the_monitor_can_be_turned_off() -> None:
    environment = pod_environment({"monitoring": {"enabled": False}}, rank=0)
    assert Contract.from_environment(environment).monitor_enabled is False


def test_the_monitor_knows_that_a_gpu_is_a_share() -> None:
    resources = {"limits": {"nvidia.com/gpu.shared": 1}}
    environment = pod_environment({"resourcesPerNode": resources}, rank=0)
    assert sharing_of(environment) == "time-slicing"


def test_the_checkpoint_of_the_spec_is_that_of_the_trainer() -> None:
    checkpoint = {"volume": "state", "path": "/state", "everySeconds": 60, "keep": 2}
    environment = pod_environment({"checkpoint": checkpoint}, rank=0)
    options = parse_options(["run", "mnist"], environment)
    assert Contract.from_environment(environment).checkpoint_dir == Path("/state")
    assert (options.checkpoint_every_seconds, options.checkpoint_keep) == (60, 2)


TERMINATION = Termination(
    reason="DataLoaderWorkerDied",
    message="worker 3 is gone",
    exception="RuntimeError",
    frame="train.py:7 in <module>",
    rank=0,
    epoch=1,
    step=20,
)


@pytest.mark.parametrize(
    ("termination", "message"),
    [
        (TERMINATION, "worker 3 is gone (train.py:7 in <module>)"),
        (replace(TERMINATION, frame=""), "worker 3 is gone"),
        (replace(TERMINATION, message="é" * 9000), "…" + "é" * 997 + "… (train.py:7 in <module>)"),
    ],
)
def test_the_operator_reports_the_cause_that_the_trainer_wrote(
    termination: Termination, message: str
) -> None:
    end = ContainerEnd(1, "Error", termination.to_json(), at(20))
    failed = pod(phase="Failed", started_at=at(5), end=end)
    assert cause_of(child(failed=True), (failed,)) == Cause(
        "DataLoaderWorkerDied",
        message,
        "node-0",
        0,
        1,
        global_rank=0,
        frame=termination.frame or None,
        epoch=1,
        step=20,
    )


def test_the_operator_knows_the_progress_metrics_by_name() -> None:
    progress = Progress(epochs=2, steps_per_epoch=10, started_seconds=0.0, epoch=1, step=5)
    assert progress.metrics(10.0) == {
        contract.METRIC_PERCENTAGE: 25.0,
        contract.METRIC_EPOCH: 1,
        contract.METRIC_STEP: 5,
        contract.METRIC_REMAINING: 30.0,
    }


def test_the_agents_image_is_made_for_where_the_operator_mounts_it() -> None:
    data = {"name": "data", "source": "https://host/set", "path": "/data"}
    spec = {"agent": "Inject", "command": ["train"], "initializers": [data]}
    job = manifests.child_job(training_job(spec), 1, RUN, Tracking("http://mlflow"))
    job = initializers.with_initializers(job, training_job(spec).spec, injection.AGENT_IMAGE)
    made = injection.with_agent(job, training_job(spec).spec, injection.AGENT_IMAGE)
    pod = made["spec"]["template"]["spec"]
    directory = pod["containers"][0]["volumeMounts"][-1]["mountPath"]
    image = REPOSITORY / "trainer_image" / "agent"

    for container in (*pod["initContainers"], *pod["containers"]):
        program = Path(container["command"][0])
        assert program.parent == Path(directory) / "bin"
        assert (image / "image" / program.name).read_text().startswith(f"#!{directory}/bin/sh\n")
    assert f"COPY --from=build {directory} {directory}\n" in (image / "Dockerfile").read_text()

"""Launchers under `trainingjob-exec`, as the pods of one job on one or two nodes start them."""

import subprocess
import sys
from typing import Any

import pytest
from trainingjob_agent.supervisor.first_step import is_alone
from trainingjob_operator.core import manifests
from trainingjob_operator.core.tracking_uris import Tracking

from tests.integration.agent.executing import ended, script, termination
from tests.support.frameworks import FRAMEWORKS
from tests.support.jobs import RUN, training_job
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer, free_port

PYTHON = sys.executable
TORCHRUN = [PYTHON, "-m", "torch.distributed.run"]
# What docs/trainer/launchers.md has a shell fill in.
ACCELERATE = (
    f'{PYTHON} -m accelerate.commands.launch --multi_gpu --num_machines "$NNODES" '
    '--num_processes $((NNODES * PET_NPROC_PER_NODE)) --machine_rank "$NODE_RANK" '
    '--main_process_ip "$MASTER_ADDR" --main_process_port "$MASTER_PORT" '
)


def pods(nodes: int, processes: int) -> list[dict[str, str]]:
    """The environment that the operator gives each pod, but with its nodes on this machine."""
    spec: dict[str, Any] = {"numNodes": nodes, "numProcPerNode": processes}
    job = manifests.child_job(training_job(spec), 1, RUN, Tracking(""))
    [container] = job["spec"]["template"]["spec"]["containers"]
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    changed = {
        **here,
        **{f"PET_{name}": value for name, value in here.items()},
        "MLFLOW_TRACKING_URI": "",
        "TRAININGJOB_METRICS_PORT": "",
        "TRAININGJOB_MONITOR_ENABLED": "false",
    }
    return [
        {
            one["name"]: changed.get(one["name"], one.get("value", str(rank)))
            for one in container["env"]
        }
        for rank in range(nodes)
    ]


def start(
    trainer: Trainer, command: list[str], nodes: int, processes: int, **environment: str
) -> list[subprocess.Popen[bytes]]:
    """The command as all pods of a job run it."""
    return [
        trainer.execute(*command, PYTHONPATH=str(FRAMEWORKS), **{**pod, **environment})
        for pod in pods(nodes, processes)
    ]


@pytest.mark.parametrize(
    ("command", "nodes", "processes"),
    [
        pytest.param(script("launched_script.py"), 1, 1, id="python"),
        pytest.param(script("launched_script.py"), 2, 1, id="python on two nodes"),
        pytest.param([*TORCHRUN, *script("launched_script.py")[1:]], 1, 2, id="torchrun"),
        pytest.param(
            [*TORCHRUN, *script("launched_script.py")[1:]], 2, 1, id="torchrun on two nodes"
        ),
        pytest.param(
            [*TORCHRUN, *script("launched_script.py")[1:]], 2, 2, id="torchrun, two and two"
        ),
        pytest.param(script("accelerate_script.py"), 2, 1, id="Accelerate without a launcher"),
        pytest.param(
            ["sh", "-c", ACCELERATE + script("accelerate_script.py")[1]],
            2,
            1,
            id="accelerate on two nodes",
        ),
        pytest.param(script("lightning_ranks_script.py"), 1, 2, id="Lightning"),
        pytest.param(script("lightning_ranks_script.py"), 2, 1, id="Lightning on two nodes"),
        pytest.param(script("lightning_ranks_script.py"), 2, 2, id="Lightning, two and two"),
    ],
)
def test_all_ranks_of_all_nodes_train_together(
    trainer: Trainer, command: list[str], nodes: int, processes: int
) -> None:
    ends = [ended(process) for process in start(trainer, command, nodes, processes)]

    assert [code for code, _, _ in ends] == [0] * nodes, ends
    said = [line for _, output, _ in ends for line in output.splitlines() if "ranks" in line]
    assert set(said) == {f"ranks {nodes * processes}"}
    assert not any("NodesNotJoined" in errors for _, _, errors in ends)


def test_the_rank_that_fails_first_is_the_cause(trainer: Trainer) -> None:
    first, second = start(trainer, [*script("launched_script.py"), "--fail"], 2, 1)

    assert ended(second)[0] == 1
    first.terminate()  # as the operator stops the other pods
    ended(first)

    told = termination(trainer)
    assert (told["exception"], told["rank"]) == ("KeyError", 1)


def test_nodes_that_train_without_each_other_are_reported_in_log_and_run(
    trainer: Trainer, mlflow_server: MlflowServer, run_id: str
) -> None:
    tracked = {"MLFLOW_TRACKING_URI": mlflow_server.uri, "TRAININGJOB_MLFLOW_RUN_ID": run_id}
    command = [*script("launched_script.py"), "--alone"]

    ends = [ended(process) for process in start(trainer, command, 2, 1, **tracked)]

    assert [code for code, _, _ in ends] == [0, 0]
    for node, (_, _, errors) in enumerate(ends):
        assert f"node {node} trains with a process that joined no others" in errors
    warning = mlflow_server.client.get_run(run_id).data.tags["trainingjob.warning"]
    assert warning.startswith("NodesNotJoined: the 2 nodes do not train together: node ")


@pytest.mark.parametrize(
    ("world_size", "nodes", "of_node", "alone"),
    [
        (1, 1, 1, False),
        (1, 2, 1, True),
        (2, 2, 1, False),
        (8, 1, 8, False),
        (8, 2, 8, True),
        (16, 2, 8, False),
        (2, 4, 2, True),
    ],
)
def test_who_trains_alone(world_size: int, nodes: int, of_node: int, alone: bool) -> None:
    environment = {"TRAININGJOB_NUM_NODES": str(nodes), "LOCAL_WORLD_SIZE": str(of_node)}
    assert is_alone(world_size, environment) is alone
    without = {"TRAININGJOB_NUM_NODES": str(nodes), "PET_NPROC_PER_NODE": str(of_node)}
    assert is_alone(world_size, without) is alone

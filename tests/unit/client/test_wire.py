"""Client, operator and agent share no code: what one writes, the others must read."""

from pathlib import Path
from types import SimpleNamespace

from trainingjob.core import functions, manifests, snapshot, wire
from trainingjob.core import job as jobs
from trainingjob.core.manifests import Request
from trainingjob.pod import calling, preamble
from trainingjob_agent import login, place
from trainingjob_agent.contract import Contract
from trainingjob_agent.logs.keeper import LogKeeper
from trainingjob_agent.supervisor import jobs_run
from trainingjob_operator import api
from trainingjob_operator.api import State, TrainingJob
from trainingjob_operator.api.lifecycle import MANAGER
from trainingjob_operator.api.spec_rules import MAX_NAME_LENGTH
from trainingjob_operator.core import contract, names, run_status

from tests.unit.client.test_snapshot import FILES


def test_the_names_of_the_api() -> None:
    assert (wire.GROUP, wire.VERSION, wire.KIND, wire.PLURAL) == (
        api.GROUP,
        api.VERSION,
        api.KIND,
        api.PLURAL,
    )
    assert (wire.MANAGER, wire.MAX_NAME_LENGTH) == (MANAGER, MAX_NAME_LENGTH)


def test_the_names_by_which_pods_are_found() -> None:
    assert (wire.LABEL_NAME, wire.LABEL_UID, wire.LABEL_ATTEMPT, wire.CONTAINER_NAME) == (
        contract.LABEL_NAME,
        contract.LABEL_UID,
        contract.LABEL_ATTEMPT,
        contract.CONTAINER_NAME,
    )
    assert wire.INDEX_ANNOTATION == names.JOB_COMPLETION_INDEX


def test_the_states() -> None:
    assert set(jobs.TERMINAL) == {str(state) for state in run_status.TERMINAL_STATES}
    assert jobs.UNSEEN not in set(State)


def test_where_the_agent_keeps_the_output_of_a_node(tmp_path: Path) -> None:
    place = Contract(attempt=3, node_rank=1)
    keeper = LogKeeper(SimpleNamespace(), place, SimpleNamespace(), tmp_path)  # type: ignore[arg-type]  # nothing is sent
    assert f"{keeper.folder}/{keeper.file.name}" == wire.log_file(3, 1)


def test_the_operator_reads_what_the_client_writes() -> None:
    code = snapshot.pack(FILES)
    request = Request(
        *("train-1", "", ("python", "train.py"), 2, 8, "4", "16Gi", "gpus", "e"), runtime="nvidia"
    )
    written = manifests.training_job(request, "print()", code)
    read = TrainingJob.model_validate(written)
    assert read.spec.num_nodes == 2
    assert read.spec.queue_name == "gpus"
    assert read.spec.image == ""
    assert read.spec.runtime_ref is not None
    assert (read.spec.runtime_ref.kind, read.spec.runtime_ref.name) == (
        "ClusterTrainingRuntime",
        "nvidia",
    )
    assert read.spec.resources_per_node == {
        "limits": {"nvidia.com/gpu": 8, "cpu": "4", "memory": "16Gi"}
    }
    assert read.spec.mlflow.experiment == "e"
    assert [mount["name"] for mount in read.spec.volume_mounts] == [
        volume["name"] for volume in read.spec.volumes
    ]


def test_what_runs_in_the_pod_and_the_agent_call_the_same() -> None:
    assert jobs_run.DIRECTORY == preamble._UNDER_AGENT
    assert place._PARENTS_PLACE == preamble._PARENTS_PLACE
    assert login.TOKEN_FILE == preamble._TOKEN_FILE
    read = Contract.from_environment({preamble._TERMINATION_LOG: "/log"})
    assert (read.termination_log, read.code_dir) == (Path("/log"), Path(snapshot.MOUNT_PATH))
    assert functions.RESULT == calling._ARTIFACT

import pytest
from trainingjob_agent.contract import ContractError
from trainingjob_agent.rendezvous import wait_for_name
from trainingjob_trainer.launch import needs_torchrun, processes_per_node


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"PET_NNODES": "1", "PET_NPROC_PER_NODE": "1"}, False),
        ({"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1"}, True),
        ({"PET_NNODES": "1", "PET_NPROC_PER_NODE": "4"}, True),
        ({"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1", "LOCAL_RANK": "0"}, True),
        ({"PET_NNODES": "2", "PET_NPROC_PER_NODE": "4", "TORCHELASTIC_RUN_ID": "none"}, False),
        ({"PET_NPROC_PER_NODE": "auto"}, False),
    ],
)
def test_a_process_starts_workers_or_is_one(environment: dict[str, str], expected: bool) -> None:
    assert needs_torchrun(environment) is expected


def test_a_number_of_processes_that_is_none_is_named() -> None:
    with pytest.raises(ContractError, match="PET_NPROC_PER_NODE: expected a number ≥ 1 or auto"):
        processes_per_node({"PET_NPROC_PER_NODE": "gpu"})


@pytest.mark.parametrize(("host", "found"), [("localhost", True), ("absent.invalid", False)])
def test_the_name_of_the_first_node_is_waited_for(host: str, found: bool) -> None:
    assert wait_for_name(host, within_seconds=0) is found

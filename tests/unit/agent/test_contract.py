from pathlib import Path

import pytest
from trainingjob_agent.contract import Contract, ContractError

POD = {
    "TRAININGJOB_NAME": "digits",
    "TRAININGJOB_NAMESPACE": "team-a",
    "TRAININGJOB_UID": "0b1c",
    "TRAININGJOB_ATTEMPT": "2",
    "TRAININGJOB_NODE_RANK": "1",
    "TRAININGJOB_NUM_NODES": "2",
    "TRAININGJOB_CHECKPOINT_DIR": "/checkpoints",
    "TRAININGJOB_MONITOR_ENABLED": "false",
    "TRAININGJOB_MONITOR_INTERVAL": "2.5",
    "TRAININGJOB_OPTION_MONITOR_LEVEL": "full",
    "TRAININGJOB_METRICS_PORT": "9400",
    "TRAININGJOB_MLFLOW_RUN_ID": "abc",
    "TRAININGJOB_TERMINATION_LOG": "/run/log",
    "MLFLOW_TRACKING_URI": "http://mlflow:5000",
    "MLFLOW_EXPERIMENT_ID": "7",
    "MLFLOW_RUN_ID": "abc",
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
}


def test_outside_of_a_cluster_nothing_need_be_set() -> None:
    contract = Contract.from_environment({})

    assert contract == Contract()
    assert not contract.tracked
    assert contract.system_metric_prefix == "system/"
    assert contract.gpu_tag == "trainingjob.gpus"


def test_all_that_the_operator_sets_on_a_pod() -> None:
    assert Contract.from_environment(POD) == Contract(
        name="digits",
        namespace="team-a",
        uid="0b1c",
        attempt=2,
        node_rank=1,
        num_nodes=2,
        checkpoint_dir=Path("/checkpoints"),
        monitor_enabled=False,
        monitor_interval_seconds=2.5,
        monitor_level="full",
        metrics_port=9400,
        tracking_uri="http://mlflow:5000",
        experiment_id="7",
        run_id="abc",
        termination_log=Path("/run/log"),
        rank=3,
        local_rank=1,
        world_size=4,
        local_world_size=2,
    )
    assert Contract.from_environment(POD).system_metric_prefix == "system/1/"
    assert Contract.from_environment(POD).gpu_tag == "trainingjob.gpus.1"


@pytest.mark.parametrize(
    ("environment", "tracked"),
    [
        ({"MLFLOW_TRACKING_URI": "http://m"}, False),
        ({"MLFLOW_TRACKING_URI": "http://m", "TRAININGJOB_UID": "0b1c"}, True),
        ({"MLFLOW_TRACKING_URI": "http://m", "MLFLOW_RUN_ID": "abc"}, True),
        ({"TRAININGJOB_UID": "0b1c"}, False),
    ],
)
def test_a_run_is_named_or_can_be_found_by_uid(environment: dict[str, str], tracked: bool) -> None:
    assert Contract.from_environment(environment).tracked is tracked


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("TRAININGJOB_ATTEMPT", "two", "TRAININGJOB_ATTEMPT: expected an integer ≥ 0, got 'two'"),
        ("TRAININGJOB_ATTEMPT", "-1", "TRAININGJOB_ATTEMPT: expected an integer ≥ 0, got '-1'"),
        ("TRAININGJOB_NUM_NODES", "0", "TRAININGJOB_NUM_NODES: expected an integer ≥ 1, got '0'"),
        (
            "TRAININGJOB_MONITOR_INTERVAL",
            "0",
            "TRAININGJOB_MONITOR_INTERVAL: expected a number of seconds > 0, got '0'",
        ),
        (
            "TRAININGJOB_MONITOR_INTERVAL",
            "nan",
            "TRAININGJOB_MONITOR_INTERVAL: expected a number of seconds > 0, got 'nan'",
        ),
        (
            "TRAININGJOB_MONITOR_ENABLED",
            "yes",
            "TRAININGJOB_MONITOR_ENABLED: expected true or false, got 'yes'",
        ),
        (
            "TRAININGJOB_OPTION_MONITOR_LEVEL",
            "all",
            "TRAININGJOB_OPTION_MONITOR_LEVEL: expected basic or full, got 'all'",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named(variable: str, value: str, message: str) -> None:
    with pytest.raises(ContractError) as raised:
        Contract.from_environment({variable: value})

    assert str(raised.value) == message

import pytest
from trainingjob_agent.place import place_of, rank_of

POD = {"NODE_RANK": "1", "NNODES": "2"}
ONE_RANK = {**POD, "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        pytest.param({}, None, id="nobody says"),
        pytest.param(POD, None, id="a pod of several ranks"),
        pytest.param(ONE_RANK, 1, id="a pod of one rank"),
        pytest.param({**POD, "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}, 3, id="torchrun"),
        pytest.param({**POD, "LOCAL_RANK": "1", "WORLD_SIZE": "4"}, 3, id="Lightning"),
        pytest.param({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, 1, id="Lightning outside of a pod"),
        pytest.param({"RANK": "first"}, None, id="no number"),
    ],
)
def test_the_rank_of_a_process(environment: dict[str, str], rank: int | None) -> None:
    assert rank_of(environment) == rank


def test_a_worker_of_torchrun_is_in_another_place_than_torchrun_in_the_pod_of_one_rank() -> None:
    worker = {**ONE_RANK, "TORCHELASTIC_RUN_ID": "none"}
    assert place_of(worker) != place_of(ONE_RANK)
    assert place_of({**worker, "OMP_NUM_THREADS": "1"}) == place_of(worker)

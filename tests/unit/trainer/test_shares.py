"""A state cut into shares, one for each rank."""

import pytest
import torch
from trainingjob_trainer.checkpoint.shares import join, share_of, split

from tests.integration.trainer.attempts import exact


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_shares_hold_every_tensor_once_and_weigh_alike(world_size: int) -> None:
    sizes = {f"/{i}": torch.zeros(size) for i, size in enumerate([900, 500, 400, 300, 200, 100])}

    shares = [share_of(sizes, rank, world_size) for rank in range(world_size)]

    assert sorted(path for share in shares for path in share) == sorted(sizes)
    heaviest = max(sum(len(tensor) for tensor in share.values()) for share in shares)
    assert heaviest == {1: 2400, 2: 1200, 3: 900, 8: 900}[world_size]


def test_a_state_is_cut_and_joined_again() -> None:
    state = {"a": [torch.ones(2), {"b": (1, torch.zeros(3))}], 0: torch.tensor(5), "none": None}

    skeleton, tensors = split(state)

    assert skeleton == {
        "a": [{"__tensor__": "/a/0"}, {"b": (1, {"__tensor__": "/a/1/b/1"})}],
        0: torch.tensor(5),
        "none": None,
    }
    assert exact(join(skeleton, tensors)) == exact(state)

"""Batches of any structure go to the device as they are."""

from collections import UserDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from trainingjob_trainer.batches import place

META = torch.device("meta")


class Pair(NamedTuple):
    tokens: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Graph:
    nodes: Tensor
    edges: list[Tensor]
    name: str


class Encoding(UserDict[str, Tensor]):
    """As the tokenizers of Transformers give it."""

    def to(self, device: torch.device) -> "Encoding":
        return Encoding({name: value.to(device) for name, value in self.items()})


def one() -> Tensor:
    return torch.ones(2)


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param(one(), id="a tensor"),
        pytest.param({"image": one(), "names": ["a", "b"], "size": 2}, id="a dict"),
        pytest.param([one(), (one(), None)], id="lists and tuples"),
        pytest.param(Pair(one(), one()), id="a named tuple"),
        pytest.param(Graph(one(), [one(), one()], "g"), id="a dataclass"),
        pytest.param({"deep": [{"er": Pair(one(), one())}]}, id="nested"),
        pytest.param(Encoding({"input_ids": one()}), id="a tokenizer's batch"),
    ],
)
def test_all_tensors_move_and_nothing_else_changes(batch: Any) -> None:
    placed = place(batch, META)

    assert type(placed) is type(batch)
    assert described(placed, "meta") == described(batch, "cpu")


def test_a_packed_sequence_moves_itself() -> None:
    placed = place([pack_sequence([one()])], META)

    assert isinstance(placed[0], PackedSequence)
    assert placed[0].data.device == META


def described(value: Any, device: str) -> Any:
    """Tensors by their shape, once they are found on the device."""
    match value:
        case Tensor():
            assert value.device.type == device
            return tuple(value.shape)
        case dict() | UserDict():
            return {key: described(item, device) for key, item in value.items()}
        case list() | tuple():
            return [described(item, device) for item in value]
        case Graph():
            return [described(item, device) for item in (value.nodes, value.edges, value.name)]
        case _:
            return value

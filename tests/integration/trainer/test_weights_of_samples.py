"""Each sample of a step has the same weight, whichever batch of whichever rank it is in."""

import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from trainingjob_trainer.distributed import Ranks
from trainingjob_trainer.options import Kind, RunOptions
from trainingjob_trainer.parallel import parallel_by
from trainingjob_trainer.stepping import Stepper
from trainingjob_trainer.task import DataRequest, Loaders
from trainingjob_trainer.tasks.images import ImageBatch, ImageTask

from tests.integration.trainer.attempts import IMPORTED
from tests.support.processes import free_port

CPU = torch.device("cpu")
BATCH_SIZE = 4
Sizes = list[list[list[int]]]
# Of each rank, the sizes of its batches in each step.
SIZES: dict[str, Sizes] = {
    "uneven ranks": [[[4], [4], [2]], [[4], [1], [3]]],
    "uneven batches": [[[4, 4], [4, 1]], [[4, 4], [4, 1]]],
    "both": [[[4, 2], [1, 1]], [[3, 4], [4, 2]]],
}


class Plane(ImageTask):
    """A linear model of two numbers, by plain gradient descent."""

    name = "plane"

    def build_model(self) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(2, 2))

    def build_optimizer(self, model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=learning_rate)

    def build_loaders(self, request: DataRequest) -> Loaders:
        raise NotImplementedError

    def loss(self, output: Tensor, batch: ImageBatch) -> Tensor:
        return (output - batch["image"].flatten(1).sin()).square().mean()


def steps_of(sizes: Sizes) -> list[list[list[ImageBatch]]]:
    """Return for each step and rank the batches of numbers that no other one has."""
    generator = torch.Generator().manual_seed(1)
    return [
        [
            [{"image": torch.rand(size, 1, 1, 2, generator=generator)} for size in batches]
            for batches in step
        ]
        for step in zip(*sizes, strict=True)
    ]


def trained(steps: list[list[ImageBatch]], kind: Kind, world_size: int) -> list[float]:
    """Return the weights after some steps of one rank."""
    parallel = parallel_by(kind)
    parallel.set_up(world_size, CPU, 60)
    options = RunOptions("plane", batch_size=BATCH_SIZE, learning_rate=0.5)
    stepper = Stepper(Plane(), options, CPU, len(steps), parallel, Ranks())
    for batches in steps:
        stepper.step(iter(batches), len(batches))
    whole = parallel.whole_model(Plane().build_model)
    parallel.destroy()
    return [] if whole is None else torch.cat([p.flatten() for p in whole.parameters()]).tolist()


def one_of_two(rank: int, kind: Kind, sizes: Sizes, file: Path, port: int) -> None:
    """Train as one rank of two, in a process of its own."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    os.environ.update(address, RANK=str(rank), WORLD_SIZE="2")
    weights = trained([step[rank] for step in steps_of(sizes)], kind, world_size=2)
    if weights:
        torch.save(weights, file)


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_two_ranks_train_as_one_process_with_all_samples_in_one_batch(
    tmp_path: Path, kind: Kind, sizes: list[list[list[int]]]
) -> None:
    together: list[list[ImageBatch]] = [
        [{"image": torch.cat([batch["image"] for rank in step for batch in rank])}]
        for step in steps_of(sizes)
    ]
    context, port = multiprocessing.get_context("forkserver"), free_port()
    context.set_forkserver_preload(IMPORTED)
    processes = [
        context.Process(target=one_of_two, args=(rank, kind, sizes, tmp_path / "weights", port))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    expected = trained(together, "ddp", world_size=1)
    for process in processes:
        process.join(120)

    assert [process.exitcode for process in processes] == [0, 0]
    assert torch.load(tmp_path / "weights") == pytest.approx(expected, rel=1e-5)


def test_one_process_with_uneven_batches_trains_as_with_one_large_one() -> None:
    [[parts]] = steps_of([[[4, 1, 2]]])
    whole: list[ImageBatch] = [{"image": torch.cat([batch["image"] for batch in parts])}]

    assert trained([parts], "ddp", 1) == pytest.approx(trained([whole], "ddp", 1), rel=1e-5)

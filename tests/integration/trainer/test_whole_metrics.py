"""Metrics that are no means over batches are those of the whole validation set."""

import re
from pathlib import Path

import pytest
import torch
from trainingjob_trainer.distributed import Ranks
from trainingjob_trainer.options import RunOptions
from trainingjob_trainer.parallel.replicated import Replicated
from trainingjob_trainer.stepping import Stepper
from trainingjob_trainer.task import Metric, TaskNotFoundError
from trainingjob_trainer.tasks.wine import WineTask
from trainingjob_trainer.validation import Validation

from tests.integration.trainer.attempts import Attempts

CPU = torch.device("cpu")
OPTIONS = ("--epochs", "1", "--batch-size", "6")
TASK = "measured_task:MeasuredTask"


def found(output: str) -> list[str]:
    return re.findall(r"validation loss \S+ (auroc \S+ f1 \S+)", output)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Attempts:
    """A training of one rank, with what it found."""
    trained = Attempts(tmp_path_factory.mktemp("trained"), OPTIONS, task=TASK)
    assert trained.run() == [0], trained.output()
    return trained


def evaluate(trained: Attempts, directory: Path, kind: str) -> Attempts:
    """Prepare to evaluate, with two ranks, what was trained."""
    source = str(trained.directory / "checkpoints")
    options = (*OPTIONS, "--evaluate-only", "--initial-weights", source, "--parallel", kind)
    return Attempts(directory, options, ranks=2, task=TASK)


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_two_ranks_find_what_one_finds(trained: Attempts, tmp_path: Path, kind: str) -> None:
    """Of 20 samples in batches of six: the last batch of each rank has less."""
    two = evaluate(trained, tmp_path, kind)

    assert two.run() == [0, 0], two.output()

    assert found(two.output()) == found(trained.output()) != []


def test_a_rank_without_a_batch_of_validation_is_named(trained: Attempts, tmp_path: Path) -> None:
    two = evaluate(trained, tmp_path, "ddp")

    assert two.run(TINY_VALIDATING="1") == [1, 1]

    expected = "auroc, f1: each rank needs a batch of validation for a metric over all of them"
    assert two.output().count(f"ValueError: {expected}") == 2


class Ignored:
    """A metric that nobody updates."""

    def update(self, *arguments: object) -> None:
        raise NotImplementedError

    def compute(self) -> float:
        raise NotImplementedError

    def reset(self) -> None:
        raise NotImplementedError

    def to(self, device: torch.device) -> "Ignored":  # noqa: ARG002 - it has no state
        return self


class SilentTask(WineTask):
    def build_metrics(self) -> dict[str, Metric]:
        return {"auroc": Ignored()}


def test_a_task_that_builds_metrics_and_never_updates_them_fails_before_the_first_step() -> None:
    options = RunOptions("wine")
    task, parallel, ranks = SilentTask(), Replicated(), Ranks()
    stepper = Stepper(task, options, CPU, total_steps=1, parallel=parallel, ranks=ranks)

    with pytest.raises(TaskNotFoundError, match="task wine builds metrics: it lacks measure"):
        Validation(task, stepper, [], parallel, ranks, CPU, alive=lambda: None)

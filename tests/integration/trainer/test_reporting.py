"""What engineers look at: means over all ranks, the gradient, losses that are not finite."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from trainingjob_agent.exporter import TrainingMetrics
from trainingjob_trainer.distributed import Ranks
from trainingjob_trainer.progress import Means, Progress
from trainingjob_trainer.reporting import Reporter
from trainingjob_trainer.throughput import Throughput

from tests.integration.trainer.attempts import Attempts

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS = ("--epochs", "1", "--batch-size", "6")


def test_the_loss_of_an_epoch_is_that_of_all_ranks(tmp_path: Path) -> None:
    two = Attempts(tmp_path, OPTIONS, ranks=2)
    assert two.run() == [0, 0], two.output()

    losses = [float.fromhex(line.split()[1]) for rank in (0, 1) for line in two.records(rank)]
    [loss] = re.findall(r"train loss (\S+)", two.output())
    assert float(loss) == pytest.approx(sum(losses) / len(losses), abs=1e-4)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp2"])
def test_losses_that_are_not_finite_end_a_training(tmp_path: Path, parallel: str) -> None:
    limit = ("--max-not-finite", "4", "--report-seconds", "0", "--parallel", parallel)
    diverged = Attempts(tmp_path, (*OPTIONS, *limit), ranks=2)

    assert diverged.run(TINY_FACTOR="nan") == [1, 1]

    assert "NotFiniteError: 6 batches had no finite loss up to step 3: " in (diverged.output())


def test_a_report_has_what_was_measured() -> None:
    reported: list[tuple[Mapping[str, float], int]] = []
    progress = Progress(epochs=1, steps_per_epoch=4, started_seconds=0.0, step=2)
    reporter = Reporter(
        progress,
        TrainingMetrics(),
        lambda metrics, step: reported.append((metrics, step)),
        Ranks(),
        torch.device("cpu"),
        every_seconds=5.0,
        throughput=Throughput(flops_per_sample=1e6, peak_flops=1e12, world_size=1),
    )
    for loss in (1.0, 2.0):
        means = Means()
        means.add({"loss": torch.tensor(loss)}, 3)
        reporter.step(means, data_wait_seconds=0.0)

    reporter.flush({"learning_rate": 0.1, "gradient_norm": 0.5}, tokens=60)
    reporter.flush({"learning_rate": 0.1})

    [(metrics, step)] = reported
    assert step == 2
    assert set(metrics) == {
        *("train/loss", "train/learning_rate", "train/gradient_norm"),
        *("perf/samples_per_second", "perf/tokens_per_second", "perf/peak_memory_megabytes"),
        "perf/model_flops_utilization_percentage",
        *("progress/percentage", "progress/epoch", "progress/step"),
        "progress/estimated_remaining_seconds",
    }
    assert metrics["train/loss"] == 1.5
    assert metrics["perf/peak_memory_megabytes"] > 10
    assert metrics["perf/tokens_per_second"] == pytest.approx(
        10 * metrics["perf/samples_per_second"]
    )

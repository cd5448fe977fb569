"""Buffers of any strides are shared, written and read."""

from pathlib import Path

import pytest
from trainingjob_trainer.checkpoint import CheckpointStore

from tests.integration.trainer.attempts import Attempts

OPTIONS = ("--epochs", "1", "--batch-size", "6", "--checkpoint-every-seconds", "0")
STEPS = 5


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_a_buffer_that_is_not_contiguous_goes_through_a_stop(tmp_path: Path, kind: str) -> None:
    options = (*OPTIONS, "--parallel", kind)
    training = Attempts(tmp_path, options, ranks=2, task="buffers_task:BuffersTask")

    stopped = training.run(TINY_SIGNAL="2 0", TINY_SIGNAL_NAME="SIGTERM")
    ended = training.run()

    assert (stopped, ended) == ([143, 143], [0, 0]), training.output()
    weights = CheckpointStore(tmp_path / "checkpoints", keep=3).read_model(STEPS)
    assert weights["0.turned"].tolist() == [[5, 8], [6, 9], [7, 10]]

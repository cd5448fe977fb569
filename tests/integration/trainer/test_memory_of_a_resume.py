"""A rank that goes on needs memory for what it has, not for what all have."""

import json
from pathlib import Path

from tests.integration.trainer.attempts import Attempts

RANKS = 2


def test_a_resume_with_fsdp2_takes_half_more_than_the_ranks_shard_at_most(tmp_path: Path) -> None:
    """The shard, of parameters and Adam's averages, is 300 MB on each of two ranks."""
    for epochs in ("1", "2"):
        options = ("--parallel", "fsdp2", "--epochs", epochs, "--batch-size", "2")
        attempts = Attempts(tmp_path, options, RANKS, task="large_task:LargeTask")
        assert attempts.run() == [0] * RANKS, attempts.output()

    assert attempts.output().count("goes on after step 1,") == RANKS
    for rank in range(RANKS):
        found = json.loads((tmp_path / f"peak_{rank}").read_text())
        assert found["shard"] > 300_000_000
        assert found["peak"] <= 1.5 * found["shard"], found

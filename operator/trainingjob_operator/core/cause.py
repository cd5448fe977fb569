"""Why an attempt or a job failed, as the status records it."""

import signal
from dataclasses import dataclass

# Container exit codes above this are 128 + the number of the signal that ended it.
SIGNAL_BASE = 128
# The trainer's answer to SIGTERM, after a checkpoint.
EXIT_TERMINATED = SIGNAL_BASE + signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Cause:
    """A failure as the status records it; `disrupted` if the cluster ended the attempt.

    `rank` is that of the node. The trainer itself reports the last four: the rank among all
    processes, the line of the user's code, and the progress of the training.
    """

    reason: str
    message: str
    node: str | None = None
    rank: int | None = None
    exit_code: int | None = None
    disrupted: bool = False
    global_rank: int | None = None
    frame: str | None = None
    epoch: int | None = None
    step: int | None = None

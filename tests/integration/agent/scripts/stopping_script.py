"""A user's script that writes a checkpoint when it is asked to stop, and ends as the test says."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType


def stop(_number: int, _frame: FrameType | None) -> None:
    Path(os.environ["CHECKPOINT"]).write_text("saved")
    match sys.argv[1]:
        case "well":
            sys.exit(0)
        case "by an error":
            raise InterruptedError("asked to stop")


signal.signal(signal.SIGTERM, stop)
# One write: the lines of several ranks must not run into each other.
sys.stdout.write("ready\n")
sys.stdout.flush()
while True:
    signal.pause()

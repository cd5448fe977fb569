"""What runs in the process of a rank: the trainer, its output in a file.

A module of its own with few imports, since each process imports it anew.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.tasks import DIRECTORY


def train(arguments: list[str], environment: Mapping[str, str]) -> None:
    """Run the command line with these variables; ends the process with its exit code."""
    from trainingjob_trainer.__main__ import main

    os.setsid()  # as torchrun starts a rank
    os.environ.update(environment)
    directory = Path(environment["TINY_RECORD"])
    sys.path[:0] = [str(DIRECTORY), str(directory)]
    log = directory / f"rank_{environment['RANK']}.log"
    sys.stdout = sys.stderr = log.open("a", buffering=1)
    raise SystemExit(main(arguments))

"""Trains, as it were, until somebody makes the file /tmp/end in the pod."""

import time
from pathlib import Path

while not Path("/tmp/end").exists():  # noqa: S108 - in the pod
    time.sleep(0.2)

"""`make gpu`: the checks on a real GPU, or one line that says why there are none."""

import sys
from pathlib import Path

import pytest

from tests.gpu.machine import why_no_gpu

if __name__ == "__main__":
    missing = why_no_gpu()
    if missing is not None:
        sys.exit(f"make gpu: {missing}; it needs one NVIDIA GPU with a driver for this torch")
    sys.exit(pytest.main(["--capture=no", str(Path(__file__).parent)]))

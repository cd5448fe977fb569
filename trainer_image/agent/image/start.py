"""Starts `trainingjob-exec` with the Python and the packages beside this file, and no others."""

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "source"
"""Has the agent and nothing else, for the script's own Python, whose version nobody knows."""

sys.path += [str(HERE / one) for one in ("agent.zip", "source", "packages", "packages.zip")]
# The image may have no /tmp, or a root that cannot be written.
tempfile.tempdir = str(HERE / "work")
if "TRAININGJOB_IMAGE_PRELOAD" in os.environ:
    os.environ["LD_PRELOAD"] = os.environ.pop("TRAININGJOB_IMAGE_PRELOAD")

if __name__ == "__main__":
    from trainingjob_agent.supervisor.__main__ import main

    raise SystemExit(main(package_directory=SOURCE))

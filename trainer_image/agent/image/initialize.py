"""Starts an initializer with the Python and the packages of the agent's image."""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent

sys.path += [str(HERE / one) for one in ("agent.zip", "packages", "packages.zip", "sources")]

if __name__ == "__main__":
    from trainingjob_agent.initializers.__main__ import main

    # Nothing else can be written to than the volume that is filled: its path is the third argument.
    tempfile.tempdir = sys.argv[3]
    raise SystemExit(main())

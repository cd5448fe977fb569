"""Images that a test brings to the node besides ours, as other people's are."""

import subprocess
import sys
import tempfile
from pathlib import Path

from localcluster import images


def make(image: str, dockerfile: str) -> None:
    """Build an image from the text of a Dockerfile, which has no files, and load it."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "Dockerfile"
        file.write_text(dockerfile)
        images.build_file(file, image, Path(directory), Path(directory) / "log", ())
    command = [sys.executable, "-m", "localcluster", "load", image]
    subprocess.run(command, check=True, capture_output=True)

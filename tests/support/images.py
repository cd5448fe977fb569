"""Images that a test brings to the node besides ours, as other people's are."""

import subprocess
import sys
import tempfile
from pathlib import Path

from localcluster import images


def make(image: str, dockerfile: str) -> None:
    """Build an image from the text of a Dockerfile, which has no files, and load it."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "Dockerfile").write_text(dockerfile)
        make_from(Path(directory), image)


def make_from(directory: Path, image: str) -> None:
    """Build an image from a directory with a Dockerfile, and load it."""
    with tempfile.NamedTemporaryFile() as log:
        images.build_file(directory / "Dockerfile", image, directory, Path(log.name), ())
    command = [sys.executable, "-m", "localcluster", "load", image]
    subprocess.run(command, check=True, capture_output=True)

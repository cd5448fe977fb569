"""What runs in the pod before the command. Sent as text: standard library, Python 3.8 and later.

    python3 -c SOURCE ARCHIVE SHA256 DIRECTORY COMMAND...

An empty ARCHIVE means that no code goes along. The command gets a supervisor where the image has
one: tini, which collects orphaned processes, and trainingjob-exec.
"""

import gzip
import hashlib
import io
import os
import pathlib
import shutil
import sys
import tarfile

_SAYS = "tj: "
_SUPERVISED = ("trainingjob-exec", "trainingjob-trainer", "tini")
_NOT_FOUND = 127


def main(archive: str, sha256: str, directory: str, *command: str) -> None:
    """Unpack, check, and become the command."""
    if archive:
        with gzip.open(archive) as packed:
            content = packed.read()
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            sys.exit(f"{_SAYS}the code is not what was sent: its hash is {found}, not {sha256}")
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            if hasattr(tarfile, "data_filter"):  # not in the early releases of Python 3.8 to 3.11
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(directory)  # noqa: S202 - the hash says that it is our own
        os.chdir(directory)
    program = pathlib.Path(command[0]).name
    if program not in _SUPERVISED:
        if shutil.which("trainingjob-exec"):
            command = ("trainingjob-exec", "--", *command)
        else:
            print(f"{_SAYS}the image has no trainingjob-exec: no system metrics", file=sys.stderr)
    if program != "tini" and shutil.which("tini"):
        command = ("tini", "--", *command)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command of the user, whatever it is
    except OSError as error:
        print(f"{_SAYS}cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(_NOT_FOUND)


if __name__ == "__main__":
    main(*sys.argv[1:])

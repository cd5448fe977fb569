"""One training at a time writes to a directory of checkpoints."""

import json
import os
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from trainingjob_trainer.checkpoint import DirectoryInUseError, Holder, Lease

from tests.integration.trainer.attempts import Attempts
from tests.support.pod_process import wait_until

EVERY = 0.05
FIRST, SECOND = Holder("digits", "u-1", 1), Holder("letters", "u-2", 1)
ELSEWHERE = replace(
    SECOND, token="t", place="node-2 pid:[7]", pid=os.getpid(), started="1", beats=3
)


def lease(directory: Path, holder: Holder) -> Lease:
    return Lease(directory, holder, every_seconds=EVERY)


def write(directory: Path, holder: Holder) -> None:
    (directory / ".lease.json").write_text(json.dumps(asdict(holder)))


def named(directory: Path) -> tuple[str, int]:
    found = json.loads((directory / ".lease.json").read_text())
    return found["job"], found["attempt"]


def test_a_live_holder_keeps_another_job_out(tmp_path: Path) -> None:
    held = lease(tmp_path, FIRST)
    held.acquire()

    with pytest.raises(DirectoryInUseError) as raised:
        lease(tmp_path, SECOND).acquire()

    held.release()
    assert str(raised.value) == (
        f"TrainingJob digits (u-1), attempt 1 writes its checkpoints to {tmp_path}, too: end it, "
        "or use another directory (spec.checkpoint.path or --checkpoint-dir)"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_holder_that_does_not_move_is_gone(tmp_path: Path) -> None:
    """On another node: nobody can look for its process."""
    write(tmp_path, ELSEWHERE)

    held = lease(tmp_path, FIRST)
    held.acquire()

    assert named(tmp_path) == ("digits", 1)
    held.release()


def test_a_process_that_was_killed_here_is_not_waited_for(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; "
        "from trainingjob_trainer.checkpoint.lease import Holder, Lease; "
        "Lease(Path(sys.argv[1]), Holder('local', None, 1), every_seconds=1e3).acquire(); "
        "print(flush=True); time.sleep(1e3)"
    )
    command = ["python", "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        killed.stdout.readline()
        killed.kill()

    # It would be waited for longer than the test may take.
    held = Lease(tmp_path, Holder("local", None, 1), every_seconds=1e3)
    held.acquire()

    held.release()


def test_the_next_attempt_of_a_job_takes_over_and_the_earlier_one_learns_of_it(
    tmp_path: Path,
) -> None:
    """As when a node comes back whose pods were given up."""
    earlier, later = lease(tmp_path, FIRST), lease(tmp_path, replace(FIRST, attempt=2))
    earlier.acquire()
    later.acquire()

    wait_until(lambda: earlier.taken is not None, 10)

    assert str(earlier.taken).startswith("TrainingJob digits (u-1), attempt 2 writes its ")
    assert later.taken is None
    with pytest.raises(DirectoryInUseError, match="attempt 2"):
        lease(tmp_path, FIRST).acquire()
    earlier.release()
    assert named(tmp_path) == ("digits", 2)
    later.release()


def test_of_two_that_begin_at_once_the_first_to_write_learns_of_it(tmp_path: Path) -> None:
    """Both have found nobody."""
    first = lease(tmp_path, FIRST)
    first.acquire()
    write(tmp_path, ELSEWHERE)

    wait_until(lambda: first.taken is not None, 10)

    first.release()
    assert named(tmp_path) == ("letters", 1)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_training_in_a_directory_in_use_ends_before_its_first_step(
    tmp_path: Path, ranks: int
) -> None:
    directory = tmp_path / "checkpoints"
    held = Lease(directory, FIRST)
    held.acquire()
    training = Attempts(tmp_path, ("--epochs", "1"), ranks=ranks)

    assert training.run(TRAININGJOB_NAME="letters", TRAININGJOB_UID="u-2") == [1] * ranks

    held.release()
    assert training.records() == []
    termination = json.loads((tmp_path / "termination-log").read_text())
    assert termination["reason"] == "InvalidConfiguration"
    assert termination["message"].startswith("TrainingJob digits (u-1), attempt 1 writes its ")

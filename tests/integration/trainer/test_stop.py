"""SIGTERM to a training process, and to what it forks."""

import subprocess
import sys

FORKING = """
import multiprocessing, os, signal
from trainingjob_trainer.stop import StopRequest

fork = multiprocessing.get_context("fork")
stop = StopRequest(lambda: os._exit(3), 0, lambda: os._exit(3))
stop.install()
"""


def forking(text: str) -> subprocess.CompletedProcess[str]:
    """Run the text in a process that listens to SIGTERM, the first of its group."""
    return subprocess.run(
        [sys.executable, "-c", FORKING + text],
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        check=False,
    )


def test_a_forked_child_ends_by_its_own_sigterm_and_the_parent_hears_nothing_of_it() -> None:
    ended = forking(
        "children = [fork.Process(target=signal.pause) for _ in range(50)]\n"
        "for child in children:\n"
        "  child.start()\n"
        "  child.terminate()  # also one that has not begun yet\n"
        "for child in children:\n"
        "  child.join()\n"
        "print({child.exitcode for child in children}, stop.requested)\n"
    )

    assert (ended.returncode, ended.stdout) == (0, "{-15} False\n"), ended.stderr


def test_a_signal_for_the_group_reaches_all_but_workers() -> None:
    ended = forking(
        "for daemon in (True, False):\n"
        "  receiver, sender = fork.Pipe(duplex=False)\n"
        "  tell = lambda: sender.send(os.getpgid(0) == os.getppid())\n"
        "  fork.Process(target=tell, daemon=daemon).start()\n"
        "  print('daemonic' if daemon else 'other', receiver.recv())\n"
    )

    assert (ended.returncode, ended.stdout) == (0, "daemonic False\nother True\n"), ended.stderr


def test_a_forked_child_may_begin_a_session() -> None:
    ended = forking(
        "child = fork.Process(target=os.setsid)\n"
        "child.start()\n"
        "child.join()\n"
        "by_hand = os.fork()\n"
        "if not by_hand:\n"
        "  os.setsid()\n"
        "  os._exit(0)\n"
        "print(child.exitcode, os.waitpid(by_hand, 0)[1])\n"
    )

    assert (ended.returncode, ended.stdout) == (0, "0 0\n"), ended.stderr

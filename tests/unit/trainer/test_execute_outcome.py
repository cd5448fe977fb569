"""What trainingjob-exec makes of the end of a command: pure, case by case."""

import signal
from dataclasses import replace

import pytest
from trainingjob_agent.causes.printed import (
    LastWords,
    PrintedTraceback,
    last_lines,
    last_traceback,
    last_words,
    own_lines,
)
from trainingjob_agent.causes.termination import Termination
from trainingjob_agent.supervisor.outcome import Ending, exit_code, explain
from trainingjob_agent.supervisor.records import Record, first_failure

COMMAND = ("torchrun", "train.py")
SHELL = ("sh", "run.sh")
PRINTED = (
    'Traceback (most recent call last):\n  File "/app/prepare.py", line 1, in main\n'
    "ValueError: no cache\n"
)
WATCHDOG = (
    "[rank1]:[E1130 10:15:33.057 ProcessGroupNCCL.cpp:632] [Rank 1] "
    "Watchdog caught collective operation timeout: WorkNCCL(SeqNum=2)\n"
)
PEERS_TRACEBACK = (
    "[rank0]: Traceback (most recent call last):\n"
    '[rank0]:   File "/app/train.py", line 9, in main\n'
    "[rank0]: RuntimeError: [gloo/transport/tcp/pair.cc:525] Connection closed by peer\n"
)
KEY = Termination("UserException", "'label'", "KeyError", "train.py:3 in load", rank=1)
GONE = Termination("CommunicationFailure", "Connection closed by peer", "RuntimeError", rank=0)
AGENT = Termination("UserException", "train.py FAILED", "…ChildFailedError", rank=1)

TOLERATED = Termination("UserException", "no cache", "ValueError", "prepare.py:1 in main", rank=1)
CHILD_FAILED = Termination("UserException", "Command …", "subprocess.CalledProcessError")

FAILED = Record(2.0, KEY, rank=1, pid=11)
HELPER = Record(1.0, TOLERATED, helper=True)
PEER_GONE = Record(1.0, GONE, rank=0)
AGENT_SAW_KILL = Record(3.0, AGENT, rank=1, worker_exit_code=-9)
AGENT_SAW_ERROR = Record(3.0, AGENT, rank=1, worker_exit_code=1)


@pytest.mark.parametrize(
    ("records", "first"),
    [
        pytest.param([], None, id="none"),
        pytest.param([FAILED], FAILED, id="one"),
        pytest.param(
            [Record(5.0, GONE, rank=0), AGENT_SAW_ERROR, FAILED], FAILED, id="first in time"
        ),
        pytest.param([PEER_GONE, AGENT_SAW_KILL], AGENT_SAW_KILL, id="the killed one left none"),
        pytest.param([PEER_GONE, AGENT_SAW_ERROR], PEER_GONE, id="the only one that tells"),
        pytest.param([AGENT_SAW_KILL], AGENT_SAW_KILL, id="nobody but the agent"),
        pytest.param(
            [Record(1.0, GONE, rank=0, restart=0), Record(9.0, KEY, rank=1, restart=1)],
            Record(9.0, KEY, rank=1, restart=1),
            id="of the last restart",
        ),
        pytest.param(
            [Record(1.0, GONE), Record(2.0, KEY)], Record(2.0, KEY), id="no ranks: the last"
        ),
        pytest.param(
            [Record(1.0, TOLERATED, rank=1), FAILED], FAILED, id="one rank: the last of it"
        ),
        pytest.param(
            [Record(1.0, TOLERATED, rank=1, helper=True), FAILED, Record(3.0, GONE, rank=0)],
            FAILED,
            id="not what a helper of a rank ran into",
        ),
        pytest.param([HELPER], None, id="only a helper"),
        pytest.param(
            [HELPER, Record(1.5, CHILD_FAILED)], HELPER, id="a child that its parent waited for"
        ),
        pytest.param(
            [HELPER, Record(90.0, CHILD_FAILED)],
            Record(90.0, CHILD_FAILED),
            id="a helper of long ago is no child that failed",
        ),
    ],
)
def test_the_record_that_tells_the_cause(records: list[Record], first: Record | None) -> None:
    assert first_failure(records) == first


@pytest.mark.parametrize(
    ("ending", "code", "termination"),
    [
        pytest.param(Ending(COMMAND, 0), 0, None, id="done"),
        pytest.param(
            Ending(COMMAND, 0, signal.SIGTERM, rank=1),
            143,
            Termination("Signal", "stopped by SIGTERM", rank=1),
            id="stopped, whatever it exits with",
        ),
        pytest.param(
            Ending(COMMAND, -2, signal.SIGINT),
            130,
            Termination("Signal", "stopped by SIGINT"),
            id="interrupted",
        ),
        pytest.param(Ending(COMMAND, 1, records=[FAILED]), 1, KEY, id="a rank's exception"),
        pytest.param(
            Ending(COMMAND, 1, records=[AGENT_SAW_KILL], tail="\nRoot Cause\n"),
            137,
            Termination("Signal", "rank 1 was ended by SIGKILL: Root Cause", rank=1),
            id="a rank that was killed",
        ),
        pytest.param(
            Ending(COMMAND, 1, records=[PEER_GONE, AGENT_SAW_KILL], tail=PEERS_TRACEBACK),
            137,
            Termination("Signal", "rank 1 was ended by SIGKILL and told nothing", rank=1),
            id="a rank that was killed, and the words of its peer",
        ),
        pytest.param(
            Ending(COMMAND, 1, records=[AGENT_SAW_KILL], out_of_memory=True),
            137,
            Termination(
                "OOMKilled",
                "rank 1 was killed: the pod has used all the memory that it may use",
                rank=1,
            ),
            id="a rank without memory",
        ),
        pytest.param(
            Ending(COMMAND, 1, records=[Record(3.0, AGENT, rank=1, worker_exit_code=7)]),
            7,
            Termination("NonZeroExitCode", "rank 1 ended with code 7 and told nothing", rank=1),
            id="a rank that exits without a word",
        ),
        pytest.param(
            Ending(COMMAND, 5, out_of_memory=True, rank=2),
            5,
            Termination(
                "NonZeroExitCode", "torchrun train.py ended with code 5 and told nothing", rank=2
            ),
            id="another process was out of memory",
        ),
        pytest.param(
            Ending(COMMAND, 0, records=[replace(FAILED, place="1/1/none", trains=True)]),
            0,
            None,
            id="a rank that torchrun has started anew",
        ),
        pytest.param(
            Ending(SHELL, 0, records=[replace(FAILED, pipes=[7, 5])], pipes=[4, 5], seconds=3.0),
            1,
            KEY,
            id="behind a pipe",
        ),
        pytest.param(
            Ending(SHELL, 0, records=[replace(FAILED, trains=True)], pipes=[4, 5], seconds=3.0),
            1,
            KEY,
            id="a training before another command of a shell",
        ),
        pytest.param(
            Ending(SHELL, 0, records=[replace(FAILED, pipes=[4, 5])], pipes=[4, 5], seconds=3.0),
            0,
            None,
            id="a small program whose failure the shell ignores",
        ),
        pytest.param(
            Ending(
                SHELL,
                0,
                records=[replace(FAILED, trains=True)],
                seconds=9.0,
                last_start_seconds=3.0,
            ),
            0,
            None,
            id="a training that was replaced by another",
        ),
        pytest.param(
            Ending(SHELL, 7, records=[FAILED], tail="no GPU\n", seconds=60.0),
            7,
            Termination("NonZeroExitCode", "sh run.sh ended with code 7: no GPU"),
            id="a failure of long ago, and a native program",
        ),
        pytest.param(
            Ending(
                COMMAND,
                1,
                records=[replace(HELPER, termination=replace(TOLERATED, exception="ValueError"))],
                tail=f"{PRINTED}the data set is empty\n",
                seconds=2.0,
            ),
            1,
            Termination(
                "NonZeroExitCode",
                f"torchrun train.py ended with code 1: {PRINTED}the data set is empty",
            ),
            id="the words of a script after the error of its helper",
        ),
        pytest.param(
            Ending(COMMAND, 1, records=[HELPER], tail=PRINTED, seconds=2.0),
            1,
            replace(TOLERATED, rank=0),
            id="the exit code of a child, passed on",
        ),
        pytest.param(
            Ending(COMMAND, -signal.SIGBUS),
            135,
            Termination(
                "Signal",
                "torchrun train.py was ended by SIGBUS and told nothing; mostly a full /dev/shm: "
                "set spec.sharedMemory to a larger size",
            ),
            id="no room in /dev/shm",
        ),
        pytest.param(
            Ending(COMMAND, -signal.SIGABRT, tail=WATCHDOG + "frame #0: c10\n" * 200),
            134,
            Termination(
                "CollectiveTimeout",
                "torchrun train.py was ended by SIGABRT: Watchdog caught collective operation "
                "timeout: WorkNCCL(SeqNum=2). A rank did not take part in this operation: look for "
                "the one that failed, hangs or was still busy with data; "
                "init_process_group(timeout=...) is the limit.",
            ),
            id="NCCL's watchdog",
        ),
    ],
)
def test_exit_code_and_cause(ending: Ending, code: int, termination: Termination | None) -> None:
    assert exit_code(ending) == code
    assert explain(ending) == termination


TRACEBACK = """epoch 1
Traceback (most recent call last):
  File "/app/train.py", line 3, in <module>
    load()
  File "/app/data.py", line 9, in load
    raise ValueError("no such file")
ValueError: no such file
"""
TWO_RANKS = """[rank1]: Traceback (most recent call last):
[rank0]: Traceback (most recent call last):
[rank1]:   File "/app/train.py", line 3, in step
[rank0]:   File "/app/train.py", line 4, in wait
[rank1]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB
E1124 15:12:12.000000 1234 elastic/api.py:900] failed
"""
FULL = """Traceback (most recent call last):
  File "a", line 1, in b
OSError: [Errno 28] No space left on device: 'x'
"""


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [
        (
            TRACEBACK,
            PrintedTraceback(
                "ValueError",
                "no such file",
                (("/app/train.py", 3, "<module>"), ("/app/data.py", 9, "load")),
            ),
            "UserException",
        ),
        (
            TWO_RANKS,
            PrintedTraceback(
                "torch.OutOfMemoryError",
                "CUDA out of memory. Tried to allocate 2 GiB",
                (("/app/train.py", 3, "step"),),
                rank=1,
                at_end=False,
            ),
            "CudaOutOfMemory",
        ),
        (
            'Traceback (most recent call last):\n  File "a", line 1, in b\nKeyboardInterrupt\n',
            PrintedTraceback("KeyboardInterrupt", "", (("a", 1, "b"),)),
            "UserException",
        ),
        (
            FULL,
            PrintedTraceback(
                "OSError", "[Errno 28] No space left on device: 'x'", (("a", 1, "b"),)
            ),
            "DiskFull",
        ),
    ],
)
def test_a_printed_traceback_is_read(text: str, expected: PrintedTraceback, reason: str) -> None:
    found = last_traceback(text)

    assert found == expected
    assert found.reason == reason


@pytest.mark.parametrize("text", ["", "no traceback", "Traceback (most recent call last):\n  Fi"])
def test_a_text_without_a_whole_traceback(text: str) -> None:
    assert last_traceback(text) is None


TORCHRUN = """step 3
own words
W1130 10:15:32.694000 30704 torch/distributed/elastic/multiprocessing/api.py:1028] Sending
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
    raise ChildFailedError(
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:\x20
============================================================
train.py FAILED
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
============================================================
"""
ACCELERATE = """step 3
own words
Traceback (most recent call last):
  File "/usr/bin/accelerate", line 8, in <module>
    sys.exit(main())
  File "/lib/accelerate/commands/launch.py", line 998, in simple_launcher
    raise subprocess.CalledProcessError(returncode=process.returncode, cmd=cmd)
subprocess.CalledProcessError: Command '['python', 'train.py']' returned non-zero exit status 7.
"""


@pytest.mark.parametrize("text", [TORCHRUN, ACCELERATE])
def test_what_launchers_print_is_not_what_the_script_said(text: str) -> None:
    assert own_lines(text) == "step 3\nown words\n"


def test_other_failures_of_commands_are_the_scripts_own() -> None:
    text = ACCELERATE.replace("accelerate", "app")
    assert own_lines(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("step 3\nno space on the moon", LastWords("step 3\nno space on the moon")),
        (
            "python: can't open file '/app/train.py': [Errno 2] No such file or directory\n",
            LastWords(
                "python: can't open file '/app/train.py': [Errno 2] No such file or directory",
                "FileNotFound",
            ),
        ),
        (
            "/usr/bin/python: No module named trian\n",
            LastWords("/usr/bin/python: No module named trian", "ImportFailure"),
        ),
        (
            "NCCL WARN Cuda failure 'unhandled'",
            LastWords("NCCL WARN Cuda failure 'unhandled'", "NcclError"),
        ),
    ],
)
def test_the_words_of_a_program_without_a_traceback(text: str, expected: LastWords) -> None:
    assert last_words(text) == expected


def test_last_lines_are_what_a_terminal_shows() -> None:
    text = "first\n 10%\r 20%\r 30%\r\n\nlast"

    assert last_lines(text) == "first\n 30%\nlast"
    assert last_lines(text, limit=8) == "last"
    assert last_lines("x" * 20, limit=5) == "xxxxx"

"""What trainingjob-exec makes of the end of a command: pure, case by case."""

import signal

import pytest
from trainingjob_agent.causes.termination import Termination
from trainingjob_agent.supervisor.outcome import Ending, exit_code, explain
from trainingjob_agent.supervisor.printed import PrintedTraceback, last_lines, last_traceback
from trainingjob_agent.supervisor.records import Record, first_failure

COMMAND = ("torchrun", "train.py")
KEY = Termination("UserException", "'label'", "KeyError", "train.py:3 in load", rank=1)
GONE = Termination("CommunicationFailure", "Connection closed by peer", "RuntimeError", rank=0)
AGENT = Termination("UserException", "train.py FAILED", "…ChildFailedError", rank=1)

FAILED = Record(2.0, KEY, rank=1)
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
            Ending(COMMAND, 0, records=[FAILED]), 0, None, id="an exception that was dealt with"
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


def test_last_lines_are_what_a_terminal_shows() -> None:
    text = "first\n 10%\r 20%\r 30%\r\n\nlast"

    assert last_lines(text) == "first\n 30%\nlast"
    assert last_lines(text, limit=8) == "last"
    assert last_lines("x" * 20, limit=5) == "xxxxx"

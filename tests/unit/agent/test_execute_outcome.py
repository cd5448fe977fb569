"""What trainingjob-exec makes of the end of a command: pure, case by case."""

import signal
from dataclasses import replace

import pytest
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
        pytest.param([PEER_GONE, AGENT_SAW_ERROR], PEER_GONE, id="the only one with a cause"),
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
def test_the_record_that_has_the_cause(records: list[Record], first: Record | None) -> None:
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
            Termination("Signal", "rank 1 was ended by SIGKILL and reported no error", rank=1),
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
            Termination(
                "NonZeroExitCode", "rank 1 ended with code 7 and reported no error", rank=1
            ),
            id="a rank that exits without a word",
        ),
        pytest.param(
            Ending(COMMAND, 5, out_of_memory=True, rank=2),
            5,
            Termination(
                "NonZeroExitCode",
                "torchrun train.py ended with code 5 and reported no error",
                rank=2,
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
                "torchrun train.py was ended by SIGBUS and reported no error; mostly a full "
                "/dev/shm: set spec.sharedMemory to a larger size",
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

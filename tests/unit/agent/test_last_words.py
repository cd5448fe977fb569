"""What a program printed at its end, read as a cause."""

import pytest
from trainingjob_agent.causes.printed import (
    LastWords,
    PrintedTraceback,
    last_lines,
    last_traceback,
    last_words,
    own_lines,
)

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

"""How `trainingjob-exec` explains a failure, and what it exits with."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.agent.executing import SCRIPTS, ended, termination, torchrun
from tests.support.pod_process import Trainer

# Prints a traceback, and is done without.
HELPER = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', '1 / 0'])"
FAILURES = [
    pytest.param(
        "import json\ndef load():\n  json.loads('label')\nload()",
        1,
        {
            "reason": "UserException",
            "message": "Expecting value: line 1 column 1 (char 0)",
            "exception": "json.decoder.JSONDecodeError",
            "frame": "script.py:3 in load",
        },
        id="exception",
    ),
    pytest.param(
        "raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')",
        1,
        {
            "reason": "CudaOutOfMemory",
            "message": "CUDA out of memory. Tried to allocate 2 GiB. Use a smaller batch, gradient "
            "accumulation, mixed precision or a larger GPU; PYTORCH_ALLOC_CONF="
            "expandable_segments:True if much is reserved but not allocated.",
            "exception": "RuntimeError",
            "frame": "script.py:1 in <module>",
        },
        id="GPU memory",
    ),
    pytest.param(
        "import sys\nprint('no such data set', file=sys.stderr)\nsys.exit(3)",
        3,
        {
            "reason": "NonZeroExitCode",
            "message": "python script.py ended with code 3: no such data set",
            "exception": "",
            "frame": "",
        },
        id="exit code",
    ),
    pytest.param(
        "import os, sys\nprint('NCCL watchdog caught a timeout', file=sys.stderr)\nos.abort()",
        134,
        {
            "reason": "NcclError",
            "message": "python script.py was ended by SIGABRT: NCCL watchdog caught a timeout",
            "exception": "",
            "frame": "",
        },
        id="native code",
    ),
    pytest.param(
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        137,
        {
            "reason": "Signal",
            "message": "python script.py was ended by SIGKILL and reported no error",
            "exception": "",
            "frame": "",
        },
        id="killed",
    ),
    pytest.param(
        "def load():\n  open('/data/train.bin')\nload()",
        1,
        {
            "reason": "FileNotFound",
            "message": "[Errno 2] No such file or directory: '/data/train.bin'. Check the path, "
            "spec.volumeMounts, and what the image has there.",
            "exception": "FileNotFoundError",
            "frame": "script.py:2 in load",
        },
        id="missing data",
    ),
    pytest.param(
        f"{HELPER}\nimport sys\nsys.exit('the data set is empty')",
        1,
        {
            "reason": "NonZeroExitCode",
            "message": "python script.py ended with code 1: Traceback (most recent call last):\n"
            '  File "<string>", line 1, in <module>\n'
            "ZeroDivisionError: division by zero\nthe data set is empty",
            "exception": "",
            "frame": "",
        },
        id="words after the tolerated error of a helper",
    ),
    pytest.param(
        f"{HELPER}\nraise KeyError('label')",
        1,
        {
            "reason": "UserException",
            "message": "'label'",
            "exception": "KeyError",
            "frame": "script.py:3 in <module>",
        },
        id="exception after the tolerated error of a helper",
    ),
    pytest.param(
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', '1 / 0'], check=True)",
        1,
        {
            "reason": "UserException",
            "message": "division by zero",
            "exception": "ZeroDivisionError",
            "frame": "<string>:1 in <module>",
        },
        id="of a child, whose parent fails for that",
    ),
    pytest.param(
        "import multiprocessing\ndef f():\n  raise KeyError('label')\n"
        "p = multiprocessing.get_context('fork').Process(target=f)\np.start()\np.join()\n"
        "raise SystemExit(p.exitcode)",
        1,
        {
            "reason": "UserException",
            "message": "'label'",
            "exception": "KeyError",
            "frame": "script.py:3 in f",
        },
        id="printed by a child",
    ),
]


@pytest.mark.parametrize(("text", "code", "noted"), FAILURES)
def test_a_failure_is_explained_and_the_exit_code_passed_on(
    trainer: Trainer, tmp_path: Path, text: str, code: int, noted: dict[str, Any]
) -> None:
    (tmp_path / "script.py").write_text(text)
    names = {sys.executable: "python", f"{tmp_path}/": ""}

    found, _, errors = ended(
        trainer.execute(
            *(sys.executable, f"{tmp_path}/script.py"),
            TRAININGJOB_NODE_RANK="2",
            # As in the pod of the third of three nodes with one process each.
            RANK="2",
            WORLD_SIZE="3",
            LOCAL_RANK="0",
        )
    )

    assert found == code, errors
    shown = trainer.termination_log.read_text()
    for path, name in names.items():
        shown = shown.replace(path, name)
    assert json.loads(shown) == {**noted, "rank": 2, "epoch": None, "step": None}


@pytest.mark.parametrize(
    ("end", "code", "noted"),
    [
        (
            "raise",
            1,
            {"reason": "UserException", "message": "'label'", "exception": "KeyError", "rank": 1},
        ),
        ("killed", 137, {"reason": "Signal", "exception": "", "rank": 1}),
    ],
)
def test_under_torchrun_the_rank_that_fails_first_is_named(
    trainer: Trainer, end: str, code: int, noted: dict[str, Any]
) -> None:
    found, _, errors = ended(trainer.execute(*torchrun(str(SCRIPTS / "ranks_script.py"), end)))

    assert found == code, errors
    message = termination(trainer)
    assert {key: message[key] for key in noted} == noted
    if end == "raise":
        assert message["frame"].endswith("ranks_script.py:16 in <module>")
    else:
        assert message["message"].startswith("rank 1 ")


@pytest.mark.parametrize(
    ("shell", "code", "reason"),
    [
        ("{python} {failing} 2>&1 | cat", 1, "ZeroDivisionError"),
        ("{python} {failing} || {python} -c pass", 0, None),
        ("{python} {failing} || true", 0, None),
        ("{python} {failing}; exit 9", 9, "ZeroDivisionError"),
    ],
    ids=["pipe", "replaced", "ignored", "another code"],
)
def test_a_failure_behind_a_shell(
    trainer: Trainer, tmp_path: Path, shell: str, code: int, reason: str | None
) -> None:
    failing = tmp_path / "script.py"
    failing.write_text("1 / 0")

    command = shell.format(python=sys.executable, failing=failing)
    found, _, errors = ended(trainer.execute("sh", "-c", command))

    assert found == code, errors
    if reason is None:
        assert not trainer.termination_log.exists()
    else:
        assert termination(trainer)["exception"] == reason


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["no-such-program"], 127, "cannot run no-such-program: No such file or directory"),
        (["/"], 126, "cannot run /: Permission denied"),
    ],
)
def test_a_command_that_cannot_be_run_is_explained(
    trainer: Trainer, command: list[str], code: int, message: str
) -> None:
    assert ended(trainer.execute(*command))[0] == code
    noted = termination(trainer)
    assert (noted["reason"], noted["message"]) == ("InvalidConfiguration", message)


def test_a_wrong_environment_is_explained(trainer: Trainer) -> None:
    code, _, errors = ended(trainer.execute("true", TRAININGJOB_ATTEMPT="two"))

    assert code == 1
    assert "TRAININGJOB_ATTEMPT: expected an integer ≥ 0, got 'two'" in errors
    assert termination(trainer)["reason"] == "InvalidConfiguration"

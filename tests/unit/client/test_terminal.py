"""What a followed job looks like on a terminal and in a file."""

import io
import os
import pty
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from trainingjob.adapters import terminal
from trainingjob.core.merging import Line
from trainingjob.core.why import Explanation

from tests.unit.client.bodies import RUN, job

SHOWING = """
    from trainingjob.adapters.terminal import Screen
    from trainingjob.core.merging import Line
    from tests.unit.client.bodies import job

    screen = Screen(with_ranks=True)
    with screen.shown():
        screen.job(job("Running", progress={"percentage": 40, "epoch": 2}))
        screen.line(Line(1, 1, 3, "10%\\r20%\\r\\x1b[31mred\\x1b[0m\\r"))
"""


def test_a_file_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    screen = terminal.Screen(with_ranks=True)
    with screen.shown():
        screen.job(job("Starting", mlflow=RUN))
        screen.job(job("Running", mlflow=RUN, progress={"percentage": 12, "epoch": 2}))
        screen.line(Line(1, 1, 3, f"10%\r[bold] {'x' * 300}"))
        screen.job(job("Running", mlflow=RUN, progress={"percentage": 13, "epoch": 2}))
        screen.job(job("Succeeded", mlflow=RUN, progress={"percentage": 100}))
    assert capsys.readouterr().out.split("\n") == [
        f"tj: run {RUN['url']}",
        "tj: Starting",
        "tj: Running",
        "tj: 12%, epoch 2",
        f"[3] 10%\r[bold] {'x' * 300}",
        "tj: Succeeded",
        "",
    ]


def test_a_terminal_gets_a_bar_and_the_last_state_of_what_the_program_draws() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        (sys.executable, "-c", textwrap.dedent(SHOWING)),
        stdout=theirs,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"},
    )
    os.close(theirs)
    shown = io.BytesIO()
    try:
        while chunk := os.read(ours, 4096):
            shown.write(chunk)
    except OSError:
        # Linux ends a terminal so that nobody writes to any more.
        os.close(ours)
    assert process.wait() == 0
    text = shown.getvalue().decode()
    assert "mnist" in text
    assert "40%" in text
    assert "epoch 2" in text
    assert "[3] " in text
    assert "\x1b[31mred" in text
    assert "10%" not in text


def test_an_explanation_of_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    facts = (("cause", "UserException"), ("message", "one\ntwo"))
    terminal.explanation(Explanation("mnist failed.", facts, ("correct the code",)))
    assert capsys.readouterr().out.splitlines() == [
        "mnist failed.",
        "  cause    UserException",
        "  message  one",
        "           two",
        "→ correct the code",
    ]

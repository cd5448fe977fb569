import asyncio
import json
import logging
import re
from collections.abc import Iterator

import pytest
from trainingjob_operator.adapters.logs import configure_logging, log_context

logger = logging.getLogger("test.logs")


@pytest.fixture(autouse=True)
def _root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines_carry_the_context(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    with log_context(job="team/mnist", attempt=0, run=None):
        with log_context(run="r-1"):
            logger.info("started %d pods", 2)
        logger.warning("no run")
    logger.info("outside", extra={"run": "r-2", "other": "not ours"})
    logger.debug("not shown")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert lines == [
        {
            "level": "INFO",
            "logger": "test.logs",
            "message": "started 2 pods",
            "job": "team/mnist",
            "attempt": 0,
            "run": "r-1",
        },
        {
            "level": "WARNING",
            "logger": "test.logs",
            "message": "no run",
            "job": "team/mnist",
            "attempt": 0,
        },
        {"level": "INFO", "logger": "test.logs", "message": "outside", "run": "r-2"},
    ]


def test_exception_is_one_field(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    try:
        int("broken")
    except ValueError:
        logger.exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    exception = json.loads(line)["exception"]
    assert exception.startswith("Traceback (most recent call last):\n")
    assert exception.endswith("\nValueError: invalid literal for int() with base 10: 'broken'")


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "plain")
    with log_context(job="team/mnist", attempt=1):
        logger.info("started")
    line = capsys.readouterr().err
    assert line.split(" ", 1)[1] == "INFO    started job=team/mnist attempt=1\n"


async def test_tasks_do_not_mix_their_contexts(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")

    async def work(job: str) -> None:
        with log_context(job=job):
            await asyncio.sleep(0)
            logger.info(job)

    await asyncio.gather(*(work(job) for job in "abc"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["message"], line["job"]) for line in lines] == [(job, job) for job in "abc"]


@pytest.mark.parametrize(("level", "style"), [("LOUD", "json"), ("INFO", "xml")])
def test_unknown_settings_are_refused(level: str, style: str) -> None:
    with pytest.raises(ValueError, match=f"{level}|{style}"):
        configure_logging(level, style)

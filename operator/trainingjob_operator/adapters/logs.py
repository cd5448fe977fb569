"""Log lines as JSON or plain text, each with the job, attempt and run that it is about."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What a single line may carry by logging's own `extra`, besides the context.
FIELDS = ("job", "attempt", "run")

_context: ContextVar[Mapping[str, Any]] = ContextVar("log_context", default=MappingProxyType({}))


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Add fields to every line that is logged inside, also by tasks started inside.

    Fields that are None or empty are left out; inner ones win over outer ones.
    """
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def configure_logging(level: str, style: str) -> None:
    """Send all logging to stderr.

    Args:
        level: A name of the logging module, such as "INFO".
        style: "json" or "plain".

    Raises:
        ValueError: an unknown level or style.
    """
    formatters = {"json": JsonFormatter, "plain": PlainFormatter}
    if style not in formatters:
        raise ValueError(f"log format {style!r} is not one of {', '.join(formatters)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatters[style]())
    handler.addFilter(_attach_context)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        exception = _exception(self, record)
        if exception:
            line["exception"] = exception
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class PlainFormatter(logging.Formatter):
    """Text for people: time (UTC), level, message, key=value fields, exception below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the lines of an exception after it."""
        fields = "".join(f" {key}={value}" for key, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname:<7} {record.getMessage()}{fields}"
        exception = _exception(self, record)
        return f"{line}\n{exception}" if exception else line


def _attach_context(record: logging.LogRecord) -> bool:
    """Keep on the record what the context was when it was logged."""
    record.__dict__.setdefault("context", _context.get())
    return True


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    context: Mapping[str, Any] = getattr(record, "context", {})
    own = {key: getattr(record, key) for key in FIELDS if hasattr(record, key)}
    return {key: value for key, value in {**context, **own}.items() if value not in (None, "")}


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)

"""Validation of foreign values: whatever comes in, the result has one type and is bounded.

Pods, people and servers may write anything. One of these functions reads each such value where it
enters; behind that, the core relies on times that a datetime holds with room to add to them, on
integers within the schema, on valid Unicode, and on JSON that is one object.
"""

import json
import math
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

# A runtime writes the epoch where a container never started; no object of a cluster is that old.
EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
# Far enough from the last moment of a datetime that any timeout can be added.
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
LATEST_MS = int(LATEST.timestamp()) * 1000
INT64_MAX = 2**63 - 1
# Digits of any integer that is read: int() takes time that grows with their square.
_DIGITS = 20


def instant_of_ms(value: object) -> datetime | None:
    """The moment of milliseconds since 1970 (UTC); None for what is no time before 2200."""
    ms = whole(value, 0, LATEST_MS)
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def instant(value: object) -> datetime | None:
    """The moment of an RFC 3339 time, in UTC; None for what is no time from 1971 to 2200."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if EARLIEST <= moment < LATEST else None


def whole(value: object, low: int = -INT64_MAX, high: int = INT64_MAX) -> int | None:
    """An integer from `low` to `high`, also as digits or as a float without fraction; else None."""
    number: int
    match value:
        case bool():
            return None
        case int():
            number = value
        case float() if value.is_integer():
            number = int(value)
        case str() if len(value) <= _DIGITS and value.isascii():
            try:
                number = int(value)
            except ValueError:
                return None
        case _:
            return None
    return number if low <= number <= high else None


def finite(value: object) -> float | None:
    """A finite number, also in a string; None for anything else, and for NaN and infinities."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def text(value: object, limit: int) -> str:
    """A string of valid Unicode without NUL, of at most `limit` characters; "" for other types."""
    if not isinstance(value, str):
        return ""
    # UTF-16 joins halves of a pair that stand side by side, and leaves no half alone.
    valid = value[:limit].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return valid.replace("\0", "\N{REPLACEMENT CHARACTER}")


def json_object(value: bytes | str, limit: int) -> dict[str, Any] | None:
    """The JSON object in `value`; None where it is longer than `limit`, too deep, or none.

    `limit` counts bytes, of a str characters. The values inside are not validated.
    """
    if len(value) > limit:
        return None
    try:
        decoded = json.loads(value)
    except (ValueError, RecursionError):
        # Also bytes that are no Unicode, and an integer of thousands of digits.
        return None
    return decoded if isinstance(decoded, dict) else None


def mapping(value: object) -> dict[str, Any]:
    """A JSON object as it is; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """A JSON array as it is; an empty one for anything else."""
    return value if isinstance(value, list) else []


def first_problem(error: ValidationError) -> str:
    """The first field that a model does not take, and why: `checkpoint.path: Field required`."""
    first, *others = error.errors(include_url=False, include_input=False)
    field = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(others)} more)" if others else ""
    return f"{field}: {first['msg']}{more}"

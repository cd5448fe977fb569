import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob_operator.core import border

ANY_TEXT = st.text(st.characters(exclude_categories=()))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1_700_000_000_500, datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)),
        ("1700000000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1.7e12, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        # Nanoseconds, as one line in a user's script makes them.
        (1_700_000_000_000_000_000, None),
        (-1, None),
        (10**400, None),
        ("1e9", None),
        (True, None),
        (None, None),
        (float("nan"), None),
        ([1], None),
    ],
)
def test_moments(value: object, read: datetime | None) -> None:
    assert border.instant_of_ms(value) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (7, 7),
        ("7", 7),
        (7.0, 7),
        (7.5, None),
        (2**63, None),
        (float("inf"), None),
        ("9" * 5000, None),
        ("٣", None),
        (False, None),
        ({}, None),
    ],
)
def test_whole_numbers(value: object, read: int | None) -> None:
    assert border.whole(value) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (1, 1.0),
        ("2.5", 2.5),
        ("NaN", None),
        (10**400, None),
        (True, None),
        ("x", None),
        (None, None),
    ],
)
def test_finite_numbers(value: object, read: float | None) -> None:
    assert border.finite(value) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("plain", "plain"),
        ("longer than that", "longer tha"),
        ("half \ud83d", "half \N{REPLACEMENT CHARACTER}"),
        ("\ud83d\ude00", "\N{GRINNING FACE}"),
        ("a\0b", "a\N{REPLACEMENT CHARACTER}b"),
        (b"bytes", ""),
        (None, ""),
    ],
)
def test_texts(value: object, read: str) -> None:
    assert border.text(value, 10) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b'{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        ('{"half": "\\ud83d"}', {"half": "\ud83d"}),
        (b"[" * 100_000, None),
        (b'{"a":' * 100_000, None),
        (b"[1]", None),
        (b"", None),
        (b"\xff\xfe\xff", None),
        ('{"a": ' + "9" * 5000 + "}", None),
        ('{"a": "' + " " * 600_000 + '"}', None),
    ],
)
def test_json_objects(value: bytes | str, read: dict[str, Any] | None) -> None:
    assert border.json_object(value, limit=600_000) == read


@given(ANY_JSON)
def test_any_value_is_read_as_one_within_its_bounds(value: object) -> None:
    moment = border.instant_of_ms(value)
    assert moment is None or moment <= border.LATEST
    number = border.whole(value, -5, 5)
    assert number is None or -5 <= number <= 5
    read = border.text(value, 8)
    assert len(read.encode()) <= 32
    assert isinstance(border.mapping(value), dict)
    assert isinstance(border.sequence(value), list)


@given(st.binary() | ANY_TEXT)
def test_any_bytes_are_an_object_or_nothing(value: bytes | str) -> None:
    assert border.json_object(value, 1000) in (None, {})


@given(st.dictionaries(ANY_TEXT, ANY_JSON, max_size=3))
def test_any_object_is_read_back(value: dict[str, Any]) -> None:
    written = json.dumps(value)
    read = border.json_object(written, len(written))
    assert read is not None
    assert json.dumps(read) == written

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob.core.merging import HOLD_SECONDS, Cursor, Line, Merger, nanoseconds, parse

SECOND = 10**9


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("1970-01-01T00:00:01Z", SECOND),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:01.000000001Z", 1_000_000_001),
        ("1970-01-01T01:00:01.25+01:00", 1_250_000_000),
        ("1969-12-31T19:00:01.25-05:00", 1_250_000_000),
        ("1970-01-01T00:00:01", None),
        ("1970-01-01T00:00:01.x", None),
        ("Traceback", None),
        ("", None),
    ],
)
def test_times_of_the_kubelet(stamp: str, moment: int | None) -> None:
    assert nanoseconds(stamp) == moment


def test_a_line_keeps_its_spaces() -> None:
    assert parse("1970-01-01T00:00:01Z   loss: 1 ", 2, 3) == Line(SECOND, 2, 3, "  loss: 1 ")
    assert parse("1970-01-01T00:00:01Z ", 2, 3) == Line(SECOND, 2, 3, "")
    assert parse("unable to retrieve container logs", 2, 3) is None


# Times of the lines of a pod, in tenths of a second: they never go back.
TIMES = st.lists(st.integers(0, 40), max_size=30).map(sorted)


@given(TIMES, st.lists(st.integers(0, 30), max_size=4))
def test_a_log_that_is_read_again_repeats_and_loses_nothing(
    tenths: list[int], breaks: list[int]
) -> None:
    """The connection breaks after so many lines of each reading; the last one goes to the end."""
    log = [Line(one * SECOND // 10, 1, 0, str(n)) for n, one in enumerate(tenths)]
    cursor = Cursor()
    seen: list[Line] = []
    for count in [*breaks, len(log)]:
        cursor.begin()
        since = nanoseconds(cursor.since or "1970-01-01T00:00:00Z") or 0
        again = [line for line in log if line.time >= since]
        seen += [line for line in again[:count] if cursor.is_new(line)]
    # A reading that breaks off within the lines that are seen already brings nothing new.
    assert seen == log[: len(seen)]
    assert len(seen) == len(log)


def test_lines_of_several_pods_are_in_the_order_of_their_times() -> None:
    merger = Merger()
    early, late = Line(1, 1, 1, "early"), Line(2, 1, 0, "late")
    merger.add(late, now=0.0)
    merger.add(early, now=HOLD_SECONDS / 2)
    assert merger.take(now=HOLD_SECONDS * 0.9) == []
    assert merger.take(now=HOLD_SECONDS * 1.5) == [early, late]
    assert merger.rest() == []


def test_lines_of_one_moment_stay_in_the_order_of_their_pod() -> None:
    merger = Merger()
    lines = [Line(1, 1, 0, text) for text in ("b", "a", "c")]
    for line in lines:
        merger.add(line, now=0.0)
    assert merger.rest() == lines


def test_the_rest_comes_at_the_end() -> None:
    merger = Merger()
    merger.add(Line(2, 1, 0, "b"), now=0.0)
    merger.add(Line(1, 1, 1, "a"), now=0.0)
    assert [line.text for line in merger.rest()] == ["a", "b"]

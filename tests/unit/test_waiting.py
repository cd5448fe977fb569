"""Waiting on a condition: what the test says when it never holds."""

import pytest

from tests.support.waiting import begin_test, wait_for


def test_a_wait_ends_before_the_test_is_ended_and_says_what_it_saw_last() -> None:
    begin_test(15.0)
    with pytest.raises(AssertionError, match=r"^not within 0 s: it runs; last seen: 0$"):
        wait_for("it runs", lambda: 0, 600)

"""What is reported of one run's calls that failed."""

import pytest
from trainingjob_operator.adapters.mlflow_rest import MlflowError
from trainingjob_operator.runs.record import RunRecord

from tests.support.plans import intent

BROKEN = MlflowError(None, "CONNECTION_FAILED", "server disconnected", retryable=True)
BUSY = MlflowError(503, "TEMPORARILY_UNAVAILABLE", "busy", retryable=True)


@pytest.mark.parametrize(
    ("errors", "shown"),
    [
        pytest.param([BROKEN], [False], id="an idle connection was closed: no problem yet"),
        pytest.param([BROKEN, BROKEN], [False, True], id="no connection again: a problem"),
        pytest.param([BUSY], [True], id="an answer that is an error: a problem"),
        pytest.param([BUSY, BROKEN], [True, True], id="a problem stays one"),
    ],
)
def test_one_broken_connection_is_no_problem(errors: list[MlflowError], shown: list[bool]) -> None:
    tracked = RunRecord(intent("SCHEDULED"), since=0.0)
    assert [tracked.failed(error) for error in errors] == shown
    assert (tracked.problem is not None) == shown[-1]


def test_a_call_that_succeeds_starts_anew() -> None:
    tracked = RunRecord(intent("SCHEDULED"), since=0.0)
    tracked.failed(BROKEN)
    tracked.confirm(tracked.intent, None, now=1.0)
    assert not tracked.failed(BROKEN)
    assert tracked.problem is None


def test_what_an_initializer_reports_is_news_when_it_changes() -> None:
    tracked = RunRecord(intent("SCHEDULED"), since=0.0)
    reports = [{}, {"trainingjob.preparing": "1 data: 1.0 MB"}] * 2
    assert [tracked.take_preparing(tags) for tags in reports] == [False, True, True, True]
    assert tracked.view().preparing == "1 data: 1.0 MB"

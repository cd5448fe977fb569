"""Whatever pods, Jobs and termination messages hold: a decision, and a status that is taken."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from trainingjob_operator.api import TrainingJobStatus
from trainingjob_operator.core.decide import decide
from trainingjob_operator.core.intent import EventIntent
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.policies.failure import reported

from tests.support.foreign import REPORT, lives
from tests.support.jobs import SERVERS, at, child, failed_pod, run, training_job
from tests.support.plans import RUNNING, wire

Json = dict[str, Any]


@given(lives())
def test_a_life_among_any_pods_and_any_job(
    shown: list[tuple[Json, tuple[EventIntent, ...]]],
) -> None:
    for status, events in shown:
        json.dumps(status, ensure_ascii=False).encode()
        read = TrainingJobStatus.model_validate(status)
        written = read.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert written | status == written
        for event in events:
            assert 0 < len(event.reason) <= 128
            event.message.encode()


@given(st.binary(max_size=5000))
def test_any_bytes_are_a_termination_message(message: bytes) -> None:
    ended = failed_pod(message=message.decode(errors="replace"))
    plan = decide(
        training_job({}, RUNNING), Observed(child(failed=True), (ended,)), run(), at(30), SERVERS
    )
    status = wire(plan)
    assert TrainingJobStatus.model_validate(status).state == "Failed"
    assert len(status["failure"]["message"]) <= 1024


@given(REPORT)
def test_a_report_is_read_or_is_none(shown: Json) -> None:
    cause = reported(json.dumps(shown))
    if cause is not None:
        for text in (cause.reason, cause.message, cause.frame or ""):
            text.encode()
        for number in (cause.global_rank, cause.epoch, cause.step):
            assert number is None or 0 <= number < 2**53

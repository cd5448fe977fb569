import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from trainingjob_operator.adapters.events import EventWriter, Subject, build_event

JsonObject = dict[str, Any]
SUBJECT = Subject(namespace="team", name="mnist", uid="6f1c")
NOW = datetime(2030, 1, 2, 5, 4, 5, 678, tzinfo=timezone(timedelta(hours=2)))


def event(note: str = "all ranks run", attempt: int = 0, reason: str = "Running") -> JsonObject:
    return build_event(
        SUBJECT,
        kind="Normal",
        reason=reason,
        note=note,
        attempt=attempt,
        instance="operator-0",
        now=NOW,
    )


def test_event() -> None:
    assert event() == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "mnist.a31ce78bacd60798", "namespace": "team"},
        "eventTime": "2030-01-02T03:04:05.000678Z",
        "reportingController": "trainingjob-operator",
        "reportingInstance": "operator-0",
        "action": "Reconcile",
        "type": "Normal",
        "reason": "Running",
        "note": "all ranks run",
        "regarding": {
            "apiVersion": "trainingjob.dev/v1alpha1",
            "kind": "TrainingJob",
            "namespace": "team",
            "name": "mnist",
            "uid": "6f1c",
        },
    }


def test_name_follows_from_job_reason_and_attempt_alone() -> None:
    def name(**fields: Any) -> str:
        return str(event(**fields)["metadata"]["name"])

    assert name(note="another text") == name()
    assert len({name(), name(attempt=1), name(reason="Failed")}) == 3


@pytest.mark.parametrize(
    ("note", "cut"),
    [
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1021 + "..."),
        ("ä" * 600, "ä" * 510 + "..."),
    ],
)
def test_long_note_is_cut_to_1024_bytes(note: str, cut: str) -> None:
    assert event(note=note)["note"] == cut


class Api:
    """The part of the Kubernetes API that the writer uses."""

    def __init__(self, answer: bool | Exception) -> None:
        self.answer = answer
        self.created: list[tuple[str, JsonObject]] = []
        self.repeated: list[tuple[str, str, str]] = []

    async def create_event(self, namespace: str, body: JsonObject) -> bool:
        self.created.append((namespace, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def repeat_event(self, namespace: str, name: str, last_observed: str) -> None:
        self.repeated.append((namespace, name, last_observed))


@pytest.mark.parametrize(
    ("new", "repeated"),
    [(True, []), (False, [("team", "mnist.a31ce78bacd60798", "2030-01-02T03:04:05.000678Z")])],
)
async def test_an_event_that_is_there_is_counted(
    new: bool, repeated: list[tuple[str, str, str]]
) -> None:
    api = Api(new)
    writer = EventWriter(api, "operator-0", lambda: NOW)
    assert await writer.write(SUBJECT, "Normal", "Running", "all ranks run", attempt=0)
    assert (api.created, api.repeated) == ([("team", event())], repeated)


async def test_failure_to_write_is_logged_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    writer = EventWriter(Api(OSError("no route")), "operator-0", lambda: datetime.now(UTC))
    with caplog.at_level(logging.WARNING):
        assert not await writer.write(SUBJECT, "Warning", "Failed", "exit code 3", attempt=0)
    assert "cannot write the event Failed: no route" in caplog.text

"""When the Events of a namespace are listed, and what is known of them meanwhile."""

from typing import Any

from trainingjob_operator.adapters.kube import ApiError, Resource
from trainingjob_operator.cluster.event_reader import EventReader
from trainingjob_operator.core.observe import EventView, Observed

from tests.support.jobs import at, child, pod, started, training_job

JOB = training_job({"numNodes": 2}, started())
OBSERVED = Observed(child(), (pod(0), pod(1)))


def event(name: str, reason: str, note: str, second: int, kind: str = "Pod") -> dict[str, Any]:
    return {
        "regarding": {"kind": kind, "name": name, "uid": "1"},
        "reason": reason,
        "note": note,
        "deprecatedLastTimestamp": at(second).isoformat(),
    }


class Api:
    """The list of Events of an API server, page by page."""

    def __init__(self) -> None:
        self.pages: list[list[dict[str, Any]]] = [[]]
        self.error: ApiError | None = None
        self.calls: list[tuple[str, str | None, str, int, str | None]] = []
        self.time = 0.0

    async def list_page(
        self,
        resource: Resource,
        *,
        namespace: str | None,
        field_selector: str,
        limit: int,
        continue_token: str | None,
    ) -> dict[str, Any]:
        self.calls.append((resource.plural, namespace, field_selector, limit, continue_token))
        self.time += 0.1
        if self.error is not None:
            raise self.error
        number = int(continue_token or 0)
        following = number + 1
        more = {"continue": str(following)} if following < len(self.pages) else {}
        return {"metadata": more, "items": self.pages[number]}


class Errors(list[str]):
    """The loops that counted an error."""


def reader(api: Api, errors: Errors | None = None) -> EventReader:
    return EventReader(api, (errors if errors is not None else Errors()).append, lambda: api.time)


async def test_the_last_warning_about_each_child_is_known() -> None:
    api = Api()
    api.pages = [
        [
            event("mnist-1-0-x", "FailedMount", "new", 9),
            event("mnist-1-0-x", "FailedMount", "old", 8),
            event("mnist-1-0-x", "Unhealthy", "no matter", 10),
        ],
        [
            event("mnist-1", "FailedCreate", "quota", 7, kind="Job"),
            event("other-1-0-x", "FailedMount", "not ours", 9),
        ],
    ]
    assert await reader(api).about(JOB, OBSERVED, at(10)) == (
        EventView("Job", "mnist-1", "1", "FailedCreate", "quota", at(7)),
        EventView("Pod", "mnist-1-0-x", "1", "FailedMount", "new", at(9)),
    )
    assert api.calls == [
        ("events", "ml", "type=Warning", 500, None),
        ("events", "ml", "type=Warning", 500, "1"),
    ]


async def test_one_list_serves_the_jobs_of_a_namespace() -> None:
    api = Api()
    events = reader(api)
    for _ in range(3):
        assert await events.about(JOB, OBSERVED, at(10)) == ()
    assert len(api.calls) == 1
    api.time += 4
    assert await events.about(JOB, OBSERVED, at(14)) == ()
    assert len(api.calls) == 2


async def test_nothing_is_read_for_an_attempt_that_has_just_begun() -> None:
    api = Api()
    assert await reader(api).about(JOB, OBSERVED, at(4)) is None
    assert api.calls == []


async def test_a_list_that_fails_leaves_them_unknown_and_is_not_repeated_at_once() -> None:
    api, errors = Api(), Errors()
    api.error = ApiError(403, "Forbidden", "not for you")
    events = reader(api, errors)
    for _ in range(3):
        assert await events.about(JOB, OBSERVED, at(10)) is None
    assert (len(api.calls), errors) == (1, ["events"])
    api.error = None
    api.time += 30
    assert await events.about(JOB, OBSERVED, at(40)) == ()

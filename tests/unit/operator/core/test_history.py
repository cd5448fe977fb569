"""decide(): the Jobs of old attempts go, those that may still be read stay."""

from dataclasses import replace
from typing import Any

import pytest
from trainingjob_operator.core.intent import Action, ActionKind
from trainingjob_operator.core.observe import JobView, Observed, PodView

from tests.support.jobs import SERVERS, child, ended_pod, run, running_pod, started, training_job
from tests.support.plans import ENDED, NOW, decide


def attempt(number: int, **more: Any) -> JobView:
    """The Job of an attempt that failed, its end recorded."""
    return child(name=f"mnist-{number}", uid=f"j-{number}", **{"failed": True, **more})


def delete(number: int) -> Action:
    return Action(ActionKind.DELETE_JOB, name=f"mnist-{number}", uid=f"j-{number}")


def status(current: int, state: str = "Starting") -> dict[str, Any]:
    base = ENDED if state == "Succeeded" else started(state)
    [first] = base["attempts"]
    record = {**first, "attempt": current, "job": f"mnist-{current}"}
    return {**base, "attempt": current, "attempts": [record]}


def actions(spec: dict[str, Any], observed: Observed, current: int, state: str) -> list[Action]:
    job = training_job(spec, status(current, state))
    plan = decide(job, observed, run("SCHEDULED"), NOW, SERVERS)
    return [one for one in plan.actions if one.kind in ("DeleteJob", "DeletePod")]


@pytest.mark.parametrize("state", ["Starting", "Succeeded"])
@pytest.mark.parametrize(
    ("limit", "deleted"),
    [
        ({}, [1]),
        ({"attemptHistoryLimit": 1}, [1, 2, 3]),
        ({"attemptHistoryLimit": 0}, [1, 2, 3, 4]),
    ],
)
def test_so_many_attempts_before_the_current_one_are_kept(
    limit: dict[str, int], deleted: list[int], state: str
) -> None:
    observed = Observed(
        attempt(5, failed=False), (), tuple(attempt(number) for number in range(1, 5))
    )
    assert actions(limit, observed, 5, state) == [delete(number) for number in deleted]


def test_neither_the_current_attempt_goes_nor_one_that_is_not_recorded_yet() -> None:
    observed = Observed(attempt(6, failed=False), (), (attempt(4), attempt(5)))
    found = actions({"attemptHistoryLimit": 0}, observed, 5, "Succeeded")
    assert found == [delete(4)]


@pytest.mark.parametrize(
    "kept",
    [
        {"held": True},
        {"failed": False},
        {"deleting": True, "foreground": True},
        {"owner_uid": "u-0"},
    ],
    ids=["its end is not recorded", "it makes pods", "it goes already", "it is another's"],
)
def test_a_job_that_is_not_over_or_not_ours_is_left_alone(kept: dict[str, Any]) -> None:
    observed = Observed(attempt(2, failed=False), (), (attempt(1, **kept),))
    assert actions({"attemptHistoryLimit": 0}, observed, 2, "Starting") == []


@pytest.mark.parametrize(("pod", "deleted"), [(running_pod(), []), (ended_pod(), [delete(1)])])
def test_a_job_goes_once_all_its_pods_have_ended(pod: PodView, deleted: list[Action]) -> None:
    observed = Observed(attempt(2, failed=False), (pod,), (attempt(1),))
    assert actions({"attemptHistoryLimit": 0}, observed, 2, "Starting") == deleted


def test_pods_that_no_job_owns_go_with_their_attempt() -> None:
    pods = (replace(ended_pod(), job_uid=""), replace(ended_pod(1), job_uid="", attempt=2))
    observed = Observed(attempt(2, failed=False), pods)
    assert actions({"attemptHistoryLimit": 0}, observed, 2, "Starting") == [
        Action(ActionKind.DELETE_POD, name="mnist-1-0-x")
    ]

"""The end that the chaos tests compare: each wrong one differs, and chance makes no difference."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.chaos.campaign import Report, differences, random_sample, sample
from tests.support.chaos.crashes import Crash, Plan, Point, When
from tests.support.chaos.endstate import Remains, end_state
from tests.support.chaos.proxy import Fault
from tests.support.chaos.scenarios import RETRY
from tests.support.chaos.trial import Result

Json = dict[str, Any]
Change = Callable[[Remains], object]


def child(name: str, manager: str = "trainingjob-operator", **metadata: Any) -> Json:
    managers = ({"manager": "kube-controller-manager"}, {"manager": manager})
    return {
        "metadata": {"name": name, "generation": 1, "managedFields": [*managers], **metadata},
        "spec": {"template": {"spec": {"containers": [{"env": [{"name": "MLFLOW_RUN_ID"}]}]}}},
        "status": {"conditions": [{"type": "Complete"}]},
    }


def remains() -> Remains:
    """A retry that went well, beside a Job of somebody else."""
    ends = [
        {"attempt": 1, "outcome": "Failed", "reason": "Signal", "exitCode": 139, "node": "a"},
        {"attempt": 2, "outcome": "Succeeded", "startTime": "2026-01-01T00:00:00Z"},
    ]
    return Remains(
        trainingjob={
            "metadata": {"name": "job", "finalizers": []},
            "status": {
                "state": "Succeeded",
                "attempt": 2,
                "attempts": ends,
                "failedAttempts": 1,
                "completionTime": "2026-01-01T00:01:00Z",
                "goodput": {"productiveSeconds": 40},
                "mlflow": {"runId": "f00d", "experimentId": "7", "status": "FINISHED"},
                "conditions": [
                    {"type": "MLflowSynced", "status": "True", "lastTransitionTime": "t"},
                    {"type": "Complete", "status": "True", "message": "pod job-2-0-abcde ended"},
                ],
            },
        },
        jobs=[child("bystander", "Python"), child("job-1"), child("job-2")],
        pods=[{"metadata": {"name": "job-2-0-abcde"}, "status": {"phase": "Succeeded"}}],
        services=[{"metadata": {"name": "job"}}],
        runs=[
            {
                "info": {
                    "status": "FINISHED",
                    "lifecycle_stage": "active",
                    "run_name": "job",
                    "end_time": 1,
                },
                "data": {
                    "tags": [
                        {"key": "trainingjob.uid", "value": "u-1"},
                        {"key": "trainingjob.outcome", "value": "Succeeded"},
                    ]
                },
            }
        ],
    )


def job_of(found: Remains) -> Json:
    assert found.trainingjob is not None
    return found.trainingjob


def status_of(found: Remains) -> Json:
    status: Json = job_of(found)["status"]
    return status


def result(found: Remains, *events: str) -> Result:
    return Result("a trial", Path("log"), [], [], end_state(found), list(events))


def reported(change: Change) -> list[str]:
    """What the campaign finds in an end that is changed in one place."""
    changed = deepcopy(remains())
    change(changed)
    return differences(result(remains()), result(changed))


WRONG: dict[str, Change] = {
    "another state": lambda found: status_of(found).update(state="Failed"),
    "an attempt more": lambda found: status_of(found)["attempts"].append({"attempt": 3}),
    "an attempt that is not the last": lambda found: status_of(found).update(attempt=1),
    "another cause": lambda found: status_of(found)["attempts"][0].update(reason="OOMKilled"),
    "another exit code": lambda found: status_of(found)["attempts"][0].update(exitCode=1),
    "a count": lambda found: status_of(found).update(failedAttempts=2),
    "a condition": lambda found: status_of(found)["conditions"][0].update(status="False"),
    "a condition that is missing": lambda found: status_of(found)["conditions"].pop(),
    "the run's status in the job": lambda found: status_of(found)["mlflow"].update(
        status="RUNNING"
    ),
    "a finalizer": lambda found: job_of(found)["metadata"]["finalizers"].append("mlflow-run"),
    "a Job more": lambda found: found.jobs.append(child("job-3")),
    "a Job that is gone": lambda found: found.jobs.pop(),
    "a Job that goes": lambda found: found.jobs[1]["metadata"].update(deletionTimestamp="t"),
    "a Job that was changed": lambda found: found.jobs[1]["metadata"].update(generation=2),
    "a Job without an end": lambda found: found.jobs[1]["status"].clear(),
    "a Job without the run's id": lambda found: found.jobs[2]["spec"]["template"]["spec"].update(
        containers=[{}]
    ),
    "a write to somebody else's Job": lambda found: found.jobs[0]["metadata"][
        "managedFields"
    ].append({"manager": "trainingjob-operator"}),
    "a pod more": lambda found: found.pods.append(
        {"metadata": {"name": "job-1-0-fghij"}, "status": {"phase": "Failed"}}
    ),
    "another end of a pod": lambda found: found.pods[0]["status"].update(phase="Failed"),
    "a Service more": lambda found: found.services.append({"metadata": {"name": "job-x"}}),
    "a run more": lambda found: found.runs.append(deepcopy(found.runs[0])),
    "no run": lambda found: found.runs.clear(),
    "the run's status": lambda found: found.runs[0]["info"].update(status="RUNNING"),
    "a run that was deleted": lambda found: found.runs[0]["info"].update(lifecycle_stage="deleted"),
    "a run without an end": lambda found: found.runs[0]["info"].pop("end_time"),
    "a tag of the run": lambda found: found.runs[0]["data"]["tags"].pop(),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_an_end_that_is_wrong_in_one_place_is_found(change: Change) -> None:
    [difference] = reported(change)
    assert difference.startswith("the end is another one:")


def test_a_job_that_is_gone_is_found() -> None:
    gone = Remains(None, [], [], [], remains().runs)
    [difference] = differences(result(remains()), result(gone))
    assert difference.startswith("the end is another one:")


CHANCE: dict[str, Change] = {
    "a time": lambda found: status_of(found).update(completionTime="2026-02-02T00:00:00Z"),
    "a duration": lambda found: status_of(found)["goodput"].update(productiveSeconds=1),
    "a node": lambda found: status_of(found)["attempts"][0].update(node="b"),
    "the order of conditions": lambda found: status_of(found)["conditions"].reverse(),
    "the run's id": lambda found: status_of(found)["mlflow"].update(runId="beef"),
    "the random end of a pod's name": lambda found: found.pods[0]["metadata"].update(
        name="job-2-0-zzzzz"
    ),
    "a pod's name in a message": lambda found: status_of(found)["conditions"][1].update(
        message="pod job-2-0-zzzzz ended"
    ),
    "the uid": lambda found: found.runs[0]["data"]["tags"][0].update(value="u-2"),
}


@pytest.mark.parametrize("change", CHANCE.values(), ids=CHANCE.keys())
def test_chance_makes_no_difference(change: Change) -> None:
    assert reported(change) == []


def test_an_event_more_is_found_and_one_less_is_forgiven() -> None:
    reference = result(remains(), "Started: job-1", "Succeeded: ok")
    assert differences(reference, result(remains(), "Succeeded: ok")) == []
    [difference] = differences(reference, result(remains(), "Started: job-1", "Failed: no"))
    assert difference == "events that the undisturbed life has not: ['Failed: no']"


PLANS = [Plan(RETRY, Point("POST jobs", number), When.BEFORE) for number in range(1, 41)]


class Scripted(Crash):
    """A crash whose moment came, or did not."""

    def __init__(self, *, done: bool) -> None:
        super().__init__(trial=None, plan=PLANS[0])  # type: ignore[arg-type]  # nobody is killed
        self.done = done


@pytest.mark.parametrize(
    ("reached", "skipped", "problems"),
    [
        (20, 0, []),
        (18, 2, []),
        (17, 3, ["3 of 20 plans did nothing"]),
        (5, 1, []),
        (4, 2, ["2 of 6 plans did nothing"]),
        (0, 20, ["20 of 20 plans did nothing"]),
    ],
)
def test_a_campaign_that_hardly_did_anything_fails(
    reached: int, skipped: int, problems: list[str]
) -> None:
    report = Report(0, [], [])
    moments = [True] * reached + [False] * skipped
    for number, came in enumerate(moments):
        report.add(f"plan {number}", result(remains()), [], Scripted(done=came), lambda _: None)
    assert report.problems == problems


def test_a_fault_without_a_moment_of_its_own_is_not_asked_for_it() -> None:
    report = Report(0, [], [])
    report.add("slow", result(remains()), ["it hung"], Fault(), lambda _: None)
    assert (report.not_reached, report.problems) == ([], ["slow\n  it hung\n  see log"])


def test_the_fixed_sample_is_always_the_same() -> None:
    assert sample(PLANS, 5) == sample(list(reversed(PLANS)), 5)


def test_the_random_sample_is_repeated_by_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    first = random_sample(PLANS, 5, printed.append)
    name, _, seed = printed[0].partition("=")
    monkeypatch.setenv(name, seed)
    assert random_sample(PLANS, 5, printed.append) == first
    assert printed == [f"TRAININGJOB_FAULTS_SEED={seed}"] * 2


def test_an_mlflow_that_was_slow_is_known_by_an_event_or_by_the_log(tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    quick = Result("a trial", log, [], [])
    assert not quick.mlflow_was_slow
    assert replace(quick, events=["MLflowUnavailable: no answer"]).mlflow_was_slow
    log.write_text('{"level":"WARNING","message":"cannot set the run to SCHEDULED: TIMEOUT"}\n')
    assert quick.mlflow_was_slow

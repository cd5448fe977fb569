"""decide(): what is cleared up after a job's end."""

from trainingjob_operator.core.intent import Action, ActionKind, EventIntent, Plan, RunView
from trainingjob_operator.core.observe import Observed

from tests.support.jobs import SERVERS, at, child, failed_pod, run, training_job
from tests.support.plans import ENDED, HELD, NOTHING, NOW, RELEASE, decide, intent

CONFIRMED = {**ENDED, "mlflow": {**ENDED["mlflow"], "status": "FINISHED"}}
FINISHED = intent("FINISHED", ended_at=at(20))
LEFT = Observed(
    child(name="mnist-2", uid="j-2", complete=True),
    (failed_pod(),),
    (child(failed=True), child(name="mnist-0", uid="j-0", failed=True, deleting=True)),
)


def test_a_job_lives_for_its_time_after_its_end() -> None:
    spec = {"ttlSecondsAfterFinished": 60}
    job = training_job(spec, CONFIRMED)
    assert decide(job, HELD, run("FINISHED"), at(80), SERVERS) == Plan(
        actions=RELEASE, run=FINISHED
    )
    assert decide(job, NOTHING, RunView(), at(79), SERVERS) == Plan(requeue_after=1.0)
    delete = Action(ActionKind.DELETE_TRAININGJOB, name="mnist", uid="u-1")
    assert decide(job, NOTHING, RunView(), at(80), SERVERS) == Plan(actions=(delete,))


def test_the_time_to_live_waits_for_mlflow_but_for_ten_minutes_only() -> None:
    job = training_job({"ttlSecondsAfterFinished": 0}, ENDED)
    away = run(status="RUNNING", problem="no route")
    before, after = (decide(job, HELD, away, at(20 + age), SERVERS) for age in (599, 600))
    assert (before.actions, before.requeue_after) == ((), 600.0)
    reported = (
        "MLflow did not accept the job's end within 10 minutes; its run may stay open: no route"
    )
    event = EventIntent("Warning", "RunLeftOpen", reported)
    assert after == Plan(actions=RELEASE, run=FINISHED, events=(event,))
    delete = Action(ActionKind.DELETE_TRAININGJOB, name="mnist", uid="u-1")
    released = decide(job, NOTHING, away, at(620), SERVERS)
    assert released == Plan(actions=(delete,), run=FINISHED)


def test_a_job_without_a_time_to_live_waits_for_mlflow_as_long_as_it_is_kept() -> None:
    away = run(status="RUNNING", problem="no route")
    assert decide(training_job(status=ENDED), HELD, away, at(10**9), SERVERS).actions == ()


def test_a_server_that_may_be_used_no_longer_gets_the_end_if_it_answers_soon() -> None:
    removed = {**ENDED["mlflow"], "trackingUri": "https://removed.example.com"}
    job = training_job(status={**ENDED, "mlflow": removed})
    away = run(status="RUNNING", problem="no route")
    before, after = (decide(job, HELD, away, at(20 + age), SERVERS) for age in (119, 120))
    assert (before.actions, after.actions) == ((), RELEASE)
    assert after.run is not None
    assert after.run.tracking_uri == "https://removed.example.com"


def test_without_a_time_to_live_it_stays() -> None:
    job = training_job(status=CONFIRMED)
    assert decide(job, LEFT, RunView(), at(10**9), SERVERS) == Plan()


def test_the_policy_all_deletes_the_jobs_of_all_attempts() -> None:
    job = training_job({"cleanPodPolicy": "All"}, CONFIRMED)
    assert decide(job, LEFT, run(), NOW, SERVERS) == Plan(
        actions=(
            Action(ActionKind.DELETE_JOB, name="mnist-2", uid="j-2"),
            Action(ActionKind.DELETE_JOB, name="mnist-1", uid="j-1"),
        )
    )
    going = Observed(None, (), (child(held=True, complete=True, deleting=True),))
    assert decide(job, going, run("FINISHED"), NOW, SERVERS).actions == RELEASE


def test_the_policies_running_and_none_keep_what_has_ended() -> None:
    for policy in ("Running", "None"):
        job = training_job({"cleanPodPolicy": policy}, CONFIRMED)
        assert decide(job, LEFT, run(), NOW, SERVERS) == Plan()
        assert decide(job, HELD, run("FINISHED"), NOW, SERVERS).actions == RELEASE


def test_a_foreign_job_of_the_same_name_is_not_touched() -> None:
    job = training_job({"cleanPodPolicy": "All"}, CONFIRMED)
    foreign = Observed(child(owner_uid="u-0", complete=True), ())
    assert decide(job, foreign, run(), NOW, SERVERS) == Plan()

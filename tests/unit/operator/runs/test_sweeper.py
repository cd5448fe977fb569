"""The sweep over runs that no job looks after, with hostile ones among them."""

from collections.abc import Callable

import pytest
from trainingjob_operator.api import TrainingJob
from trainingjob_operator.runs.sweeper import NotServed, Sweeper

from tests.support.jobs import started, training_job
from tests.support.mlflow_server import FakeMlflow

OURS = {
    "trainingjob__uid": "u-1",
    "trainingjob__name": "mnist",
    "trainingjob__namespace": "ml",
    "trainingjob__cluster": "c-1",
}


async def swept(
    fake: FakeMlflow,
    job: TrainingJob | None,
    guarded: str = "",
    meanwhile: Callable[[], None] = lambda: None,
) -> list[str]:
    """Sweep once; returns the loops that counted an error.

    `meanwhile` happens between the search for open runs and what becomes of them.
    """
    errors: list[str] = []

    async def lookup(_namespace: str, name: str) -> TrainingJob | None:
        meanwhile()
        if name == "breaks":
            raise RuntimeError("a fault of ours")
        if name == "theirs":
            raise NotServed
        return job

    async with fake.serve() as server:
        sweeper = Sweeper(
            lambda _: server,
            ["http://mlflow"],
            "c-1",
            lookup,
            lambda *job: job == ("ml", "mnist", guarded),
            lambda: None,
            errors.append,
        )
        await sweeper.sweep_all()
    return errors


async def test_hostile_runs_hinder_no_sweep_and_what_the_pods_opened_is_closed_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake = FakeMlflow()
    fake.add("future", **OURS)["info"]["start_time"] = 10**17
    fake.add("breaks", **(OURS | {"trainingjob__name": "breaks"}))
    fake.add("theirs", **(OURS | {"trainingjob__name": "theirs"}))
    fake.add("nameless", trainingjob__cluster="c-1")
    fake.add("left", **OURS)["info"]["start_time"] = 1_000
    fake.add("trial", mlflow__parentRunId="left")["info"]["start_time"] = 2_000
    errors = await swept(fake, job=None)
    assert {run_id: fake.status(run_id) for run_id in fake.runs} == {
        "future": "KILLED",
        "breaks": "RUNNING",
        "theirs": "RUNNING",
        "nameless": "RUNNING",
        "left": "KILLED",
        "trial": "KILLED",
    }
    assert errors == ["sweep"]
    assert "a fault of ours" in caplog.text


async def test_a_run_of_a_living_job_that_was_not_started_with_it_is_left_alone() -> None:
    fake = FakeMlflow()
    fake.add("planted", **OURS)["info"]["start_time"] = 1_000
    job = training_job(status=started("Running"))
    assert (await swept(fake, job), fake.status("planted")) == ([], "RUNNING")


async def test_a_run_whose_pods_may_live_though_its_job_is_gone_is_not_closed_yet() -> None:
    fake = FakeMlflow()
    fake.add("dying", **OURS)["info"]["start_time"] = 1_000
    assert (await swept(fake, None, guarded="u-1"), fake.status("dying")) == ([], "RUNNING")


async def test_a_run_that_ended_since_the_search_is_not_ended_again() -> None:
    fake = FakeMlflow()
    info = fake.add("left", **OURS)["info"]
    info["start_time"] = 1_000
    await swept(fake, None, meanwhile=lambda: info.update(status="FINISHED"))
    assert (fake.status("left"), fake.calls["runs/update"]) == ("FINISHED", 0)

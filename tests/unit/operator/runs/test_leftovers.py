"""Jobs that end together share the searches for what their pods left open."""

import asyncio

from trainingjob_operator.adapters.mlflow_rest import MlflowError
from trainingjob_operator.core.intent import RunStatus
from trainingjob_operator.runs.leftovers import Ending, Leftovers

from tests.support.mlflow_server import FakeMlflow, refuse


def ending(number: int) -> Ending:
    return Ending(f"u-{number}", f"run-{number}", str(number % 3), 1_000)


async def test_a_hundred_ends_at_once_cost_a_few_searches() -> None:
    fake = FakeMlflow()
    for number in range(100):
        run = fake.add(
            f"trial-{number}", experiment=str(number % 3), mlflow__parentRunId=f"run-{number}"
        )
        run["info"]["start_time"] = 1_000
    async with fake.serve() as server:
        leftovers = Leftovers(server)
        statuses = [RunStatus.FAILED if n % 2 else RunStatus.FINISHED for n in range(100)]
        await asyncio.gather(
            *(leftovers.close(ending(n), status, 2_000) for n, status in enumerate(statuses))
        )
    assert [fake.status(f"trial-{n}") for n in range(100)] == statuses
    assert fake.calls["runs/search"] == 2
    assert fake.calls["logged-models/search"] == 3
    assert fake.calls["experiments/search"] == 1


async def test_a_search_that_fails_is_the_error_of_all_that_shared_it() -> None:
    fake = FakeMlflow()
    fake.intercept = lambda *_: refuse(500, "INTERNAL_ERROR")
    async with fake.serve() as server:
        leftovers = Leftovers(server)
        ends = (leftovers.close(ending(n), RunStatus.FINISHED, 0) for n in range(10))
        errors = await asyncio.gather(*ends, return_exceptions=True)
    assert {type(error) for error in errors} == {MlflowError}
    assert len(fake.log) == 1


async def test_what_is_left_in_another_experiment_is_closed_too() -> None:
    """Also the model of a trial that has ended, but no model that another job's pods make."""
    fake = FakeMlflow()
    fake.add("elsewhere", trainingjob__opened_by="u-1")["info"]["start_time"] = 1_000
    fake.add("ended", status="FINISHED", trainingjob__opened_by="u-1")
    for name, uid in (("half", "u-1"), ("anothers", "u-9")):
        tags = [{"key": "trainingjob.opened_by", "value": uid}]
        info = {"model_id": name, "source_run_id": "ended", "status": "LOGGED_MODEL_PENDING"}
        fake.models[name] = {"info": {**info, "tags": tags}}
    async with fake.serve() as server:
        leftovers = Leftovers(server)
        ends = (leftovers.close(ending(n), RunStatus.FAILED, 2_000) for n in range(3))
        await asyncio.gather(*ends)
    assert fake.status("elsewhere") == "FAILED"
    assert {name: model["info"]["status"] for name, model in fake.models.items()} == {
        "half": "LOGGED_MODEL_UPLOAD_FAILED",
        "anothers": "LOGGED_MODEL_PENDING",
    }

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
    # The first alone, with what is below its trial; all others with the next.
    assert fake.calls["runs/search"] == 5
    assert fake.calls["logged-models/search"] == 4


async def test_a_search_that_fails_is_the_error_of_all_that_shared_it() -> None:
    fake = FakeMlflow()
    fake.intercept = lambda *_: refuse(500, "INTERNAL_ERROR")
    async with fake.serve() as server:
        leftovers = Leftovers(server)
        ends = (leftovers.close(ending(n), RunStatus.FINISHED, 0) for n in range(10))
        errors = await asyncio.gather(*ends, return_exceptions=True)
    assert {type(error) for error in errors} == {MlflowError}
    assert len(fake.log) == 6

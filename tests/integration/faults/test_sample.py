"""Crashes of the operator, outages of both servers: nobody can tell from the end of a job.

A sample that is always the same, and a random one; `make faults` plays all of it.
"""

import pytest

from tests.support.chaos.campaign import (
    References,
    crash,
    crash_plans,
    random_sample,
    sample,
    suffer,
)
from tests.support.chaos.outage_plans import quick
from tests.support.chaos.trial import Laboratory

PLANS, RANDOM_PLANS = 44, 20
QUIET_SECONDS = 5.0

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1200)]


async def test_a_kill_at_any_write_changes_nothing_in_the_end(
    laboratory: Laboratory, references: References
) -> None:
    chosen = sample(crash_plans(references), PLANS)
    report = await crash(laboratory, references, chosen, print)
    print(report)
    assert report.plans == PLANS
    assert report.problems == []


async def test_nor_does_a_kill_at_a_random_one(
    laboratory: Laboratory, references: References
) -> None:
    chosen = random_sample(crash_plans(references), RANDOM_PLANS, print)
    report = await crash(laboratory, references, chosen, print)
    print(report)
    assert report.problems == []


async def test_an_outage_changes_nothing_in_the_end(
    laboratory: Laboratory, references: References
) -> None:
    report = await suffer(laboratory, references, quick(), print)
    print(report)
    assert report.problems == []


async def test_with_two_replicas_the_other_goes_on(
    laboratory: Laboratory, references: References
) -> None:
    chosen = sample(crash_plans(references), 6)
    report = await crash(laboratory, references, chosen, print, replicas=("a", "b"))
    print(report)
    assert report.problems == []

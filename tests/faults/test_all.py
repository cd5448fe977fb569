"""All crashes and all outages; a minute without a write follows each."""

import pytest

from tests.support.chaos.campaign import References, crash, crash_plans, sample, suffer
from tests.support.chaos.outage_plans import long, quick
from tests.support.chaos.trial import Laboratory

QUIET_SECONDS = 60.0

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]


async def test_a_kill_at_every_write_changes_nothing_in_the_end(
    laboratory: Laboratory, references: References
) -> None:
    plans = crash_plans(references)
    print(f"\n{len(plans)} plans")
    report = await crash(laboratory, references, plans, print)
    print(report)
    assert report.problems == []


async def test_no_outage_changes_the_end(laboratory: Laboratory, references: References) -> None:
    outages = [*quick(), *long()]
    print(f"\n{len(outages)} plans")
    report = await suffer(laboratory, references, outages, print)
    print(report)
    assert report.problems == []


async def test_with_two_replicas_the_other_goes_on(
    laboratory: Laboratory, references: References
) -> None:
    chosen = sample(crash_plans(references), 60)
    report = await crash(laboratory, references, chosen, print, replicas=("a", "b"))
    print(report)
    assert report.problems == []

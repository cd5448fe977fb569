"""The conditions say for which generation of the spec they hold."""

from trainingjob_operator.core import conditions
from trainingjob_operator.core.intent import RunStatus

from tests.support.jobs import at, run, started, training_job
from tests.support.plans import condition


def test_a_condition_that_stays_is_of_the_new_generation() -> None:
    text = "the run's status is that of the job"
    synced = condition("MLflowSynced", "True", "Confirmed", text)
    job = training_job(status=started("Starting", conditions=[synced]), generation=2)
    told = conditions.with_conditions(job.status, job, run(), RunStatus.SCHEDULED, at(60))
    [found] = [one for one in told.conditions if one.type == "MLflowSynced"]
    assert (found.observed_generation, found.last_transition_time) == (2, at(30))

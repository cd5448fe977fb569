"""The runtime of a job: stored before anything is made for it, waited for, or refused."""

from trainingjob_operator.api import Failure, RuntimeStatus
from trainingjob_operator.core import conditions
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import Plan
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.plans import outcome
from trainingjob_operator.core.policies import runtimes


def resolve(context: Context, observed: Observed) -> Plan | None:
    """What is to be done before the job may begin; None where its runtime is settled."""
    if not runtimes.is_open(context.job, observed, context.run):
        return None
    found = runtimes.verdict(context.job, observed)
    if isinstance(found, RuntimeStatus):
        return _store(context, found)
    return None if found is None else _report(context, found)


def _store(context: Context, runtime: RuntimeStatus) -> Plan:
    """One write, made before the run: the runtime may say on which server that is."""
    job = context.job
    wanted = job.status.model_copy(
        update={
            "runtime": runtime,
            "failure": None,
            "observed_generation": job.metadata.generation,
        }
    )
    if runtimes.waits(job):
        wanted = conditions.with_conditions(wanted, job, context.run, None, context.now)
    return Plan(status=wanted)


def _report(context: Context, failure: Failure) -> Plan:
    if failure.reason not in runtimes.WAITED_FOR:
        return outcome.refused(context, failure)
    return outcome.held_back(context, failure)

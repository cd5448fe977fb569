"""The plans that store the outcome of a job or of an attempt.

An Event is a write of its own. It reports what went wrong or what a user requested; the state and
the conditions show the ordinary steps from Starting to Succeeded.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from trainingjob_operator.api import Failure, Outcome, State, TrainingJobStatus
from trainingjob_operator.core import attempts, conditions, goodput
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import EventIntent, Plan
from trainingjob_operator.core.observe import EventView, JobView, PodView
from trainingjob_operator.core.plans.status import plan
from trainingjob_operator.core.policies import preparing
from trainingjob_operator.core.policies import starting as policy
from trainingjob_operator.core.policies.retry import Restart


def queued(context: Context) -> Plan:
    """The child Job is suspended and has no pods: its queue has not admitted it, or no longer."""
    old = context.job.status
    if old.state == State.QUEUED:
        return plan(context, old.model_copy(update={"failure": None}))
    wanted = old.model_copy(update={"state": State.QUEUED, "running_time": None, "failure": None})
    message = f"attempt {old.attempt} waits for its queue"
    return plan(context, wanted, EventIntent("Normal", "Queued", message))


def suspended(context: Context) -> Plan:
    """No pod is live and none will start; an attempt that was stopped for it has ended."""
    old = context.job.status
    if old.state == State.SUSPENDED:
        return plan(context, old)
    event = EventIntent("Normal", "Suspended", "spec.suspend is true")
    return plan(context, _on_request(context, State.SUSPENDED, running_time=None), event)


def stopped(context: Context) -> Plan:
    """The job has ended, since its owner wants it to; no pod is live and none will start."""
    event = EventIntent("Normal", "Stopped", "spec.stop is true")
    wanted = _on_request(context, State.STOPPED, completion_time=context.now)
    if context.tracking is None:
        # It waits for a runtime, which would say where its run belongs.
        return _without_run(context, wanted, event)
    return plan(context, wanted, event)


def _on_request(context: Context, state: State, **update: datetime | None) -> TrainingJobStatus:
    """What the owner asked for, which is no failure; the last attempt has ended."""
    old, last = context.job.status, attempts.current(context.job.status)
    record = old.attempts
    if last is not None and last.completion_time is None:
        record = attempts.changed(old, completion_time=context.now)
    wanted = {"state": state, "next_attempt_time": None, "failure": None, "attempts": record}
    return old.model_copy(update={**wanted, **update})


def starting(
    context: Context,
    child: JobView,
    pods: tuple[PodView, ...],
    events: tuple[EventView, ...] | None,
) -> Plan:
    """Not all ranks run yet; a cause that needs intervention is reported."""
    old = context.job.status
    if old.state == State.QUEUED:
        # Only now may the pods start, so the attempt's deadline for that starts here.
        record = attempts.changed(old, start_time=context.now)
        admitted = old.model_copy(update={"state": State.STARTING, "attempts": record})
        message = f"attempt {old.attempt} was admitted by its queue"
        return plan(context, admitted, EventIntent("Normal", "Admitted", message))
    problem = policy.problem(context.job, child, pods, events, context.now)
    if problem is None:
        text = preparing.text(context.job, pods, context.run)
        made = plan(context, old.model_copy(update={"failure": None, "preparing": text}))
    elif old.failure is not None and old.failure.reason == problem.reason:
        # The wording of a scheduler changes with every node: the first one is kept.
        made = plan(context, old)
    else:
        made = waiting(context, problem)
    return replace(made, requeue_after=policy.next_look(context.job, child, pods, context.now))


def waiting(context: Context, failure: Failure) -> Plan:
    """The attempt cannot start for a reason that needs intervention."""
    wanted = context.job.status.model_copy(update={"failure": failure})
    event = EventIntent("Warning", failure.reason or "", failure.message or "")
    return plan(context, wanted, event)


def running(context: Context, since: datetime | None) -> Plan:
    """All ranks run, or have run and the Job has not ended."""
    old = context.job.status
    if old.state == State.RUNNING:
        return plan(context, old)
    started = attempts.running_since(old, since) or context.now
    wanted = old.model_copy(
        update={
            "state": State.RUNNING,
            "running_time": started,
            "failure": None,
            "attempts": attempts.changed(old, running_time=started),
        }
    )
    return plan(context, wanted)


def succeeded(context: Context, ended_at: datetime | None, since: datetime | None) -> Plan:
    """The trainers of all ranks ended with 0."""
    old = context.job.status
    ended = ended_at or context.now
    started = attempts.running_since(old, since)
    record = attempts.changed(
        old,
        running_time=started,
        completion_time=ended,
        outcome=Outcome.SUCCEEDED,
        reason=None,
        exit_code=0,
    )
    wanted = old.model_copy(
        update={
            "state": State.SUCCEEDED,
            "running_time": started,
            "completion_time": ended,
            "failure": None,
            "attempts": record,
        }
    )
    return plan(context, wanted)


def failed(
    context: Context,
    cause: Cause,
    ended_at: datetime | None = None,
    since: datetime | None = None,
    reported: Cause | None = None,
) -> Plan:
    """The job failed for good; `reported` is its reason if that is not the attempt's own cause."""
    old = context.job.status
    reported = reported or cause
    ended = ended_at or context.now
    started = attempts.running_since(old, since)
    outcome = Outcome.DISRUPTED if cause.disrupted else Outcome.FAILED
    record = attempts.changed(
        old,
        running_time=started,
        completion_time=ended,
        outcome=outcome,
        **attempts.of_cause(cause),
    )
    wanted = old.model_copy(
        update={
            "state": State.FAILED,
            "running_time": started,
            "completion_time": ended,
            "next_attempt_time": None,
            "failure": attempts.failure_of(reported),
            "attempts": record,
        }
    )
    return plan(context, wanted, EventIntent("Warning", reported.reason, reported.message))


def failed_between(context: Context, cause: Cause) -> Plan:
    """The job failed while no attempt ran: the record of the last one stays as it is."""
    old = context.job.status
    wanted = old.model_copy(
        update={
            "state": State.FAILED,
            "completion_time": context.now,
            "next_attempt_time": None,
            "failure": attempts.failure_of(cause),
        }
    )
    return plan(context, wanted, EventIntent("Warning", cause.reason, cause.message))


def restarting(
    context: Context,
    cause: Cause,
    restart: Restart,
    ended_at: datetime | None = None,
    since: datetime | None = None,
) -> Plan:
    """The attempt failed and another one follows, when its pods have ended and not too soon."""
    old = context.job.status
    record = attempts.changed(
        old,
        running_time=attempts.running_since(old, since),
        completion_time=ended_at or context.now,
        outcome=Outcome.FAILED if restart.charged else Outcome.DISRUPTED,
        **attempts.of_cause(cause),
    )
    count = "failed_attempts" if restart.charged else "disruptions"
    wanted = old.model_copy(
        update={
            "state": State.RESTARTING,
            "running_time": None,
            "next_attempt_time": context.now + timedelta(seconds=restart.delay),
            "failure": attempts.failure_of(cause),
            "attempts": record,
            count: (getattr(old, count) or 0) + 1,
        }
    )
    how = "failed" if restart.charged else "was disrupted"
    message = (
        f"attempt {old.attempt} {how}, {cause.reason}: {cause.message}; "
        f"attempt {old.attempt + 1} follows in {restart.delay} s"
    )
    return plan(context, wanted, EventIntent("Warning", "Restarting", message))


def refused(context: Context, failure: Failure) -> Plan:
    """The job requests something that is not allowed: create no pod and no run."""
    return _reported(context, failure, state=State.FAILED, completion_time=context.now)


def held_back(context: Context, failure: Failure) -> Plan:
    """The job requests something that is not there yet: create no pod and no run until it is."""
    old = context.job.status
    if old.state == State.PENDING and old.failure == failure:
        return Plan()
    return _reported(context, failure, state=State.PENDING)


def _reported(context: Context, failure: Failure, **update: object) -> Plan:
    wanted = context.job.status.model_copy(update={"failure": failure, **update})
    event = EventIntent("Warning", failure.reason or "", failure.message or "")
    return _without_run(context, wanted, event)


def _without_run(context: Context, wanted: TrainingJobStatus, event: EventIntent) -> Plan:
    sums = goodput.advanced(context.job, wanted, context.now)
    wanted = wanted.model_copy(
        update={
            "goodput": sums,
            "observed_generation": context.job.metadata.generation,
            "num_nodes": context.job.spec.num_nodes,
        }
    )
    wanted = conditions.with_conditions(wanted, context.job, context.run, None, context.now)
    return Plan(status=wanted, events=(event,))

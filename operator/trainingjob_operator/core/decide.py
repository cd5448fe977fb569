"""What to do about a TrainingJob: a pure function of what is stored and what is observed.

Nothing here depends on having seen an event, so the operator may be killed at any instruction
and decides the same after a restart.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from trainingjob_operator.api import MANAGER, State, TrainingJob
from trainingjob_operator.core import attempts, gang, inherited, names
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.hardening import DEFAULTS, PodDefaults
from trainingjob_operator.core.intent import Action, Plan, RunView
from trainingjob_operator.core.observe import JobView, Observed, PodView
from trainingjob_operator.core.plans import (
    cleanup,
    conflict,
    deletion,
    ending,
    history,
    launch,
    outcome,
    resolving,
    status,
    stopping,
    watching,
)
from trainingjob_operator.core.policies import (
    completion,
    deadlines,
    disruption,
    failure,
    retry,
    stall,
    tenancy,
)
from trainingjob_operator.core.policies.completion import Verdict
from trainingjob_operator.core.run_status import TERMINAL_STATES
from trainingjob_operator.core.tracking_uris import TrackingUris

# Seconds until the next reconcile in a namespace that is being deleted, and this job with it.
TERMINATING_RECHECK = 2.0
# How much later than the Job's failure its failed pod may become visible.
EVIDENCE_SECONDS = 5.0
# An attempt that takes longer to run becomes Starting; sooner where the status has no state yet.
FIRST_RECORDED_AFTER = timedelta(seconds=5)
STARTING_RECORDED_AFTER = timedelta(seconds=10)


def decide(
    job: TrainingJob,
    observed: Observed,
    run: RunView,
    now: datetime,
    uris: TrackingUris,
    defaults: PodDefaults = DEFAULTS,
) -> Plan:
    """The next plan for one job; empty if everything is as desired."""
    if job.spec.managed_by not in (None, MANAGER):
        return Plan()
    context = Context(job, run, now, uris, tenancy.tracking(job, uris), defaults)
    if job.metadata.deletion_timestamp is not None:
        plan = deletion.decide_deletion(context, observed)
        return replace(plan, actions=(*history.ended_orphans(observed.pods), *plan.actions))
    if job.status.state in TERMINAL_STATES:
        return cleanup.decide_ended(context, observed)
    unsettled = None if job.spec.stop else resolving.resolve(context, observed)
    if unsettled is not None:
        return unsettled
    refusal = None if job.status.attempts else tenancy.refusal(job, uris)
    if refusal is not None:
        return outcome.refused(context, refusal)
    plan, left = _alive(context, observed), deadlines.seconds_left(context)
    old = history.prune(job, observed)
    plan = replace(plan, actions=(*_released(context, observed), *old, *plan.actions))
    if left is None:
        return plan
    return replace(plan, requeue_after=min(left, plan.requeue_after or left))


def _released(context: Context, observed: Observed) -> tuple[Action, ...]:
    """Release earlier attempts' Jobs when the next one exists: at least one Job guards the run.

    A Job that somebody deleted is released at once: its end is recorded.
    """
    uid = context.job.metadata.uid
    followed = observed.job is not None and observed.job.owner_uid == uid
    earlier = (one for one in observed.earlier if one.owner_uid == uid)
    return ending.release(tuple(one for one in earlier if followed or one.cleared))


def _alive(context: Context, observed: Observed) -> Plan:
    """A job that has neither ended nor is deleted."""
    job = context.job
    last = attempts.current(job.status)
    if last is None:
        return _before_the_first(context, observed)
    over = last.completion_time is not None or last.outcome is not None
    if over and observed.terminating:
        return _goes_with_its_namespace(context)
    if last.completion_time is not None:
        return _between_attempts(context, observed)
    if last.outcome is not None:
        return stopping.proceed(context, observed)
    return _advance(context, observed)


def _before_the_first(context: Context, observed: Observed) -> Plan:
    """No attempt is recorded: the first one, as every other, is stored with its first change."""
    following = _following(context.job, observed)
    if following is not None:
        return _unrecorded(context, observed, following)
    at_rest = stopping.at_rest(context)
    return at_rest or launch.wait_for_run(context) or _begin(context, observed)


def _begin(context: Context, observed: Observed) -> Plan:
    """Start the next attempt; record it first if it has to wait, or no Job can be created."""
    another = launch.another_run(context)
    if another is not None:
        return another
    job = context.job
    queued = inherited.queue(job) is not None and not job.status.attempts
    if queued or job.status.state == State.SUSPENDED:
        return launch.record_attempt(context)
    if observed.job is not None or observed.refusal is not None:
        return launch.record_attempt(context)
    return _advance(context.having(attempts.begun(context)), observed)


def _between_attempts(context: Context, observed: Observed) -> Plan:
    """The last attempt is over: the next one waits for its delay and for the last pod's end."""
    job = context.job
    following = _following(job, observed)
    if following is not None:
        return _unrecorded(context, observed, following)
    if observed.live(job.metadata.uid):
        return stopping.wait(context, observed)
    at_rest = stopping.at_rest(context)
    if at_rest is not None:
        return at_rest
    late = deadlines.overdue(context, ())
    if late is not None:
        return outcome.failed_between(context, late)
    again = job.status.next_attempt_time or context.now
    wait = (again - context.now).total_seconds()
    if wait > 0:
        return replace(status.plan(context, job.status), requeue_after=wait)
    # A successor may have seen the end of the attempt before it found the run.
    unknown = launch.wait_for_run(context) if context.run_identity is None else None
    return unknown or _begin(context, observed)


def _following(job: TrainingJob, observed: Observed) -> JobView | None:
    """The Job of the next attempt, if it has been created already."""
    child = observed.job
    ours = child is not None and child.owner_uid == job.metadata.uid
    name = names.child_job(job.metadata.name, job.status.attempt + 1)
    return child if ours and child is not None and child.name == name else None


def _unrecorded(context: Context, observed: Observed, child: JobView) -> Plan:
    """The attempt has its Job; the status records it with its first change.

    In an ordinary start that is Running, which saves a write; a slow start is recorded earlier.
    """
    begun = context.having(attempts.begun(context, child.created_at))
    plan, left = _advance(begun, observed), deadlines.seconds_left(begun)
    recorded = status.plan(begun, begun.job.status)
    waited = context.now - (child.created_at or context.now)
    limit = STARTING_RECORDED_AFTER if context.job.status.attempts else FIRST_RECORDED_AFTER
    waits = (limit - waited).total_seconds()
    if waits <= 0 or plan.actions or plan.status not in (None, recorded.status):
        return plan
    return replace(
        plan,
        status=None,
        events=(),
        requeue_after=min(waits, left or waits, plan.requeue_after or waits),
    )


def _advance(context: Context, observed: Observed) -> Plan:
    job, child = context.job, observed.job
    if child is not None and child.owner_uid != job.metadata.uid:
        return conflict.with_job(context, child)
    pods = tuple(pod for pod in observed.pods if pod.attempt == job.status.attempt)
    gone = tuple(pod for pod in observed.gone if pod.attempt == job.status.attempt)
    verdict = completion.verdict(job, child, pods, gone)
    if verdict == Verdict.SUCCEEDED:
        return _succeeded(context, child, pods)
    if observed.terminating:
        return _goes_with_its_namespace(context)
    if verdict == Verdict.FAILED:
        return _failed(context, observed, (*pods, *gone))
    stop = _to_stop(context, pods)
    if stop is not None:
        return stopping.begin(context, stop)
    return _under_way(context, observed, pods)


def _goes_with_its_namespace(context: Context) -> Plan:
    """Its pods end because their namespace is being deleted, and the job with it: no failure."""
    held = status.run_intent(context, context.job.status)
    return Plan(run=held, requeue_after=TERMINATING_RECHECK)


def _under_way(context: Context, observed: Observed, pods: tuple[PodView, ...]) -> Plan:
    """An attempt of which no rank has failed, and whose pods continue."""
    job, child = context.job, observed.job
    if child is None and not pods:
        return _without_child(context, observed)
    if child is not None and child.suspended:
        live = any(pod.live for pod in pods)
        return status.plan(context, job.status) if live else outcome.queued(context)
    if gang.all_started(job, pods):
        plan = watching.watched(context, outcome.running(context, gang.running_time(pods)))
    elif child is not None:
        plan = outcome.starting(context, child, pods, observed.events)
    else:
        plan = status.plan(context, job.status)
    if child is None or not child.deleting:
        return launch.with_service(context, observed, plan)
    # Somebody deleted the Job: its pods go with it. Orphans belong to no Job, and go on.
    owned = tuple(pod for pod in pods if pod.live and pod.job_uid == child.uid)
    return replace(plan, actions=ending.deletion(child, owned), requeue_after=EVIDENCE_SECONDS)


def _succeeded(context: Context, child: JobView | None, pods: tuple[PodView, ...]) -> Plan:
    """The pods show more than a completed Job: wait for them if they become visible later."""
    ended = gang.ended_at(child, pods)
    if any(not pod.ended for pod in pods) and not _waited(context, child):
        held = status.plan(context, context.job.status)
        return replace(held, requeue_after=EVIDENCE_SECONDS)
    return outcome.succeeded(context, ended, gang.running_time(pods))


def _to_stop(context: Context, pods: tuple[PodView, ...]) -> Cause | None:
    """Why the operator itself has to end the attempt, if it has."""
    requested = stopping.request(context.job.spec)
    return requested or deadlines.overdue(context, pods) or stall.to_stop(context)


def _failed(context: Context, observed: Observed, pods: tuple[PodView, ...]) -> Plan:
    """Store a disruption at once, while the pods still show it; anything else when all ended.

    A restart also waits for the Job to fail: until then its controller might create another pod.
    """
    child = observed.job
    ends = () if child is not None and child.failing else ending.end_all(context.job, observed)
    held = replace(status.plan(context, context.job.status), actions=ends)
    if not _evidence(context, child, pods):
        return replace(held, requeue_after=EVIDENCE_SECONDS)
    cause = disruption.cause_of(child, pods) or failure.cause_of(child, pods)
    over = child is None or child.ended or child.cleared
    # A Job that somebody deletes leaves its pods alone for as long as our finalizer keeps it.
    live = any(pod.live for pod in pods)
    ended = (over and not live) or gang.all_ended(context.job, pods)
    if not ended and not cause.disrupted:
        return replace(held, requeue_after=stopping.LAST_POD_RECHECK)
    at, since = gang.ended_at(child, pods), gang.running_time(pods)
    match retry.after(context.job, cause):
        case retry.Restart() as restart if over or (child is not None and child.failing):
            return outcome.restarting(context, cause, restart, at, since)
        case retry.GiveUp(reported) if ended:
            return outcome.failed(context, cause, at, since, reported)
        case _:
            return replace(held, requeue_after=stopping.LAST_POD_RECHECK)


def _evidence(context: Context, child: JobView | None, pods: tuple[PodView, ...]) -> bool:
    """Whether a pod shows why the attempt failed, or enough time has passed that none will.

    Jobs and pods come by two watches: the Job's failure may be seen before the pod's.
    """
    shown = any(pod.disruption or failure.failed(pod) for pod in pods)
    return shown or child is None or _waited(context, child)


def _waited(context: Context, child: JobView | None) -> bool:
    """Whether the Job ended, or was deleted, long enough ago for the watch of pods to have it, too.

    A pod that was made just before may not be seen yet, and live.
    """
    ended = child and (child.ended_at or child.deleted_at)
    return context.now - (ended or context.now) >= timedelta(seconds=EVIDENCE_SECONDS)


def _without_child(context: Context, observed: Observed) -> Plan:
    """The attempt is recorded, and its Job does not exist yet."""
    if observed.refusal is not None:
        return conflict.refused(context, observed, observed.refusal)
    return launch.create(context, observed)

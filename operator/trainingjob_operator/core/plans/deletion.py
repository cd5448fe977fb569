"""A TrainingJob that is deleted or gone: pods first, then its run's end, then its Jobs may go.

Its own object needs no finalizer: that of its child Jobs keeps what closing the run takes.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from trainingjob_operator.core import run_page, run_tags
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import Action, ActionKind, Plan, RunIntent, RunStatus
from trainingjob_operator.core.observe import JobView, Observed
from trainingjob_operator.core.plans import ending, status
from trainingjob_operator.core.run_status import RUN_STATUS, TERMINAL_STATES

# How long an MLflow that does not answer may hold up the end of a job that is gone.
RELEASE_AFTER = timedelta(seconds=120)
# The informers tell of the last pod's end; seconds until a look without them.
RECHECK = 30.0


def decide_deletion(context: Context, observed: Observed) -> Plan:
    """The plan for a TrainingJob with a deletionTimestamp; nothing is left to do where it is empty.

    The run is KILLED only when no pod is left: until then a script in a dying pod may still
    write its own idea of the status. The Jobs of one that has ended are left to whoever deletes it.
    """
    uid = context.job.metadata.uid
    over = context.job.status.state in TERMINAL_STATES
    if any(pod.live for pod in observed.pods) if over else observed.live(uid):
        known = context.tracking is not None and context.run_identity is not None
        run = _only_existing(context) if known else None
        ends = (*_end_jobs(context, observed, over), *_end_orphans(observed))
        return Plan(actions=ends, run=run, requeue_after=RECHECK)
    release = ending.release(observed.jobs_of(uid))
    over = told(context) and (context.run.closed or not release)
    if context.tracking is None or over:
        return Plan(actions=release)
    return _close_run(context, release)


def told(context: Context) -> bool:
    """Whether the job's end is stored together with MLflow's word for it."""
    stored, mlflow = context.job.status, context.job.status.mlflow
    ended = stored.state if stored.state in TERMINAL_STATES else None
    return ended is not None and mlflow is not None and mlflow.status == RUN_STATUS[ended]


def _end_jobs(context: Context, observed: Observed, over: bool) -> tuple[Action, ...]:
    """Delete the Jobs that are not over, and by that their pods."""
    return tuple(
        action
        for child in observed.jobs_of(context.job.metadata.uid)
        if not (over or child.ended or child.cleared) or _lives(child, observed)
        for action in ending.deletion(child, observed.pods)
    )


def _lives(child: JobView, observed: Observed) -> bool:
    return any(pod.live and pod.job_uid == child.uid for pod in observed.pods)


def _end_orphans(observed: Observed) -> tuple[Action, ...]:
    """Delete the pods that no Job owns any more, as after `kubectl delete --cascade=orphan`."""
    return tuple(
        Action(ActionKind.DELETE_POD, name=pod.name)
        for pod in observed.pods
        if pod.live and not pod.job_uid and not pod.deleting
    )


def _close_run(context: Context, release: tuple[Action, ...]) -> Plan:
    intent = _only_existing(context)
    if context.job.status.state not in TERMINAL_STATES:
        intent = _killed(context, intent)
    nothing_to_tell = context.run.missing or context.run.deleted
    overdue = given_up(context, context.job.metadata.deletion_timestamp)
    ended = context.run.status == intent.status and context.run.closed
    if ended or nothing_to_tell or overdue:
        return Plan(actions=release, run=intent)
    return Plan(run=intent, requeue_after=RELEASE_AFTER.total_seconds())


def _killed(context: Context, intent: RunIntent) -> RunIntent:
    ended = context.job.metadata.deletion_timestamp or context.now
    tags = {**dict(intent.tags), **run_tags.of_deletion(context.job, ended)}
    return replace(intent, status=RunStatus.KILLED, ended_at=ended, tags=tuple(tags.items()))


def _only_existing(context: Context) -> RunIntent:
    """What the run's page shows came with its creation; a job that is gone may not know it."""
    intent = status.run_intent(context, context.job.status)
    page = run_page.tags(context.job)
    tags = tuple((name, value) for name, value in intent.tags if name not in page)
    return replace(intent, create=False, starting=False, tags=tags)


def given_up(context: Context, since: datetime | None, patience: timedelta = RELEASE_AFTER) -> bool:
    """Whether an MLflow that does not answer has been waited for long enough since a moment."""
    return context.run.problem is not None and since is not None and context.now - since >= patience

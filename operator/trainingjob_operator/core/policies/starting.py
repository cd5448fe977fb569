"""Why the pods of an attempt do not run yet, as far as the cluster tells.

A container's own waiting reason and the scheduler's condition are in the pod. That a volume is not
mounted, a sandbox not made, or a pod not admitted at all, only Events tell; they are read for
attempts that nothing else explains, and ever less often.
"""

from datetime import datetime, timedelta

from trainingjob_operator.api import Failure, State, TrainingJob
from trainingjob_operator.core import attempts
from trainingjob_operator.core.observe import (
    ORDINARY_WAITING,
    EventView,
    JobView,
    Observed,
    PodView,
)
from trainingjob_operator.core.reasons import Reason
from trainingjob_operator.core.run_status import TERMINAL_STATES

# In what a kubelet says of an image whose user is root, or has only a name.
NON_ROOT = "runAsNonRoot"
ANOTHER_USER = (
    "set spec.securityContext.runAsUser to the number of a user other than 0, or give the image "
    "such a USER"
)
# A claim is bound, a volume attached and a pod scheduled again within moments; no more than that
# is worth a write and an Event.
GRACE = timedelta(seconds=5)
SCHEDULER_REASONS = frozenset({Reason.UNSCHEDULABLE, "SchedulerError", "SchedulingGated"})
# What the kubelet and the attach controller report before the pod's condition
# PodReadyToStartContainers is true.
POD_WARNINGS = frozenset(
    {
        Reason.FAILED_ATTACH_VOLUME,
        Reason.FAILED_CREATE_POD_SAND_BOX,
        Reason.FAILED_MOUNT,
        "FailedCreatePodContainer",
        "FailedMapVolume",
        "FailedPrepareDynamicResources",
        "NetworkNotReady",
    }
)
# Longer than a kubelet and the Job controller take to report the same again: 5 and 10 minutes.
WARNING_HOLDS = timedelta(minutes=15)
# A Job's pods come within moments; where not even an Event tells why they do not.
PODS_MISSED_AFTER = timedelta(seconds=30)
LOOK_SECONDS, LOOK_SECONDS_MOST = 5.0, 60.0


def blocks(event: EventView) -> bool:
    """Whether a Warning is one that keeps a pod from being made or from starting."""
    if event.kind == "Job":
        return event.reason == Reason.FAILED_CREATE
    return event.kind == "Pod" and event.reason in POD_WARNINGS


def needs_events(job: TrainingJob, observed: Observed, now: datetime) -> bool:
    """Whether the attempt at hand ought to run by now, and no pod tells why it does not."""
    child = observed.job
    if child is None or child.owner_uid != job.metadata.uid:
        return False
    if job.status.state == State.RUNNING or job.status.state in TERMINAL_STATES:
        return False
    if child.suspended or child.deleting or child.ended:
        return False
    return waited(job, child, now) >= GRACE and unexplained(job, _at_hand(job, observed))


def unexplained(job: TrainingJob, pods: tuple[PodView, ...]) -> bool:
    """Whether a pod is missing, or is not far enough to tell itself why it does not run."""
    return len(pods) < job.spec.num_nodes or any(_silent(pod) for pod in pods)


def waited(job: TrainingJob, child: JobView, now: datetime) -> timedelta:
    """The time since the attempt at hand was begun."""
    last = attempts.current(job.status)
    under_way = last is not None and last.completion_time is None
    since = last.start_time if last is not None and under_way else child.created_at
    return now - (since or now)


def next_look(
    job: TrainingJob, child: JobView, pods: tuple[PodView, ...], now: datetime
) -> float | None:
    """Seconds until more may be known of what keeps the pods: ever less often, where it may."""
    seconds = waited(job, child, now).total_seconds()
    if seconds < GRACE.total_seconds():
        return GRACE.total_seconds() - seconds
    if not unexplained(job, pods):
        return None
    again = min(LOOK_SECONDS_MOST, max(LOOK_SECONDS, seconds / 2))
    missed = PODS_MISSED_AFTER.total_seconds() - seconds
    return min(again, missed) if missed > 0 and len(pods) < job.spec.num_nodes else again


def problem(
    job: TrainingJob,
    child: JobView,
    pods: tuple[PodView, ...],
    events: tuple[EventView, ...] | None,
    now: datetime,
) -> Failure | None:
    """What keeps the attempt from running, None where nothing is known to.

    Of several it is the one that is told already, so that ranks with different problems do not
    take turns; else that of the lowest rank.
    """
    told, since = job.status.failure, waited(job, child, now)
    if events is None and _only_events_tell(told) and since >= GRACE and unexplained(job, pods):
        return told
    current = tuple(one for one in events or () if _holds(one, now))
    known = [
        *waiting(pods, scheduler=since >= GRACE),
        *_of_pods(pods, current),
        *_of_job(job, child, pods, current, since),
    ]
    same = (one for one in known if told is not None and one.reason == told.reason)
    return next(same, known[0] if known else None)


def waiting(pods: tuple[PodView, ...], *, scheduler: bool = True) -> list[Failure]:
    """What pods themselves say that they wait for, by rank; `scheduler`: also for a node."""
    return [
        _failure(pod, pod.waiting.reason, pod.waiting.message)
        for pod in sorted(pods, key=lambda one: one.rank)
        if pod.waiting is not None
        and pod.waiting.reason not in ORDINARY_WAITING
        and (scheduler or pod.waiting.reason not in SCHEDULER_REASONS)
    ]


def _of_pods(pods: tuple[PodView, ...], events: tuple[EventView, ...]) -> list[Failure]:
    last = {one.name: one for one in events if one.kind == "Pod"}
    return [
        _failure(pod, last[pod.name].reason, last[pod.name].message)
        for pod in sorted(pods, key=lambda one: one.rank)
        if _silent(pod) and pod.name in last
    ]


def _of_job(
    job: TrainingJob,
    child: JobView,
    pods: tuple[PodView, ...],
    events: tuple[EventView, ...],
    since: timedelta,
) -> list[Failure]:
    if len(pods) >= job.spec.num_nodes:
        return []
    refused = [one for one in events if one.kind == "Job" and one.uid == child.uid]
    if refused:
        told = f"Job {child.name}: {refused[-1].message}"
        return [Failure(reason=refused[-1].reason, message=told)]
    if since < PODS_MISSED_AFTER:
        return []
    some = f"{len(pods)} of {job.spec.num_nodes}"
    told = f"Job {child.name} has {some} pods: `kubectl describe job {child.name}` may tell why"
    return [Failure(reason=Reason.PODS_MISSING, message=told)]


def _failure(pod: PodView, reason: str, message: str) -> Failure:
    told = f"pod {pod.name}: {message}" if message else f"pod {pod.name} waits"
    if reason == Reason.CREATE_CONTAINER_CONFIG_ERROR and NON_ROOT in message:
        told = f"{told}: {ANOTHER_USER}"
    return Failure(reason=reason, message=told, node=pod.node or None, rank=pod.rank)


def _only_events_tell(told: Failure | None) -> bool:
    return told is not None and told.reason in {*POD_WARNINGS, Reason.FAILED_CREATE}


def _silent(pod: PodView) -> bool:
    ordinary = pod.waiting is None or pod.waiting.reason in ORDINARY_WAITING
    return ordinary and pod.live and not pod.started and not pod.ready_to_start


def _holds(event: EventView, now: datetime) -> bool:
    return event.last_seen is None or now - event.last_seen < WARNING_HOLDS


def _at_hand(job: TrainingJob, observed: Observed) -> tuple[PodView, ...]:
    number = attempts.at_hand(job.status)
    return tuple(pod for pod in observed.pods if pod.attempt == number)

"""Why a job is as it is, in words, and what to do about it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from trainingjob.core.calls import BY_DEFAULT, Calls
from trainingjob.core.durations import duration
from trainingjob.core.job import FAILED, STOPPED, SUCCEEDED, UNSEEN, Attempt, Failure, Job
from trainingjob.core.wire import MANAGER

# Conditions that are news when they have this status; the others follow from the state.
_NEWS = {
    "Stalled": "True",
    "MLflowSynced": "False",
    "RunConflict": "True",
    "Readable": "False",
}
_OPERATOR = (
    "if that lasts: does the operator run? kubectl get pods --all-namespaces "
    "--selector app.kubernetes.io/name=trainingjob-operator"
)
# A sentence and what to do.
_Sentence = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Advice:
    """What a reason means and what to do about it, from docs/troubleshooting.md."""

    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A sentence, what is known beside it (name and value), and what to do."""

    sentence: str
    facts: tuple[tuple[str, str], ...] = ()
    remedies: tuple[str, ...] = ()


def explain(
    job: Job, now: datetime, advice: Mapping[str, Advice], calls: Calls = BY_DEFAULT
) -> Explanation:
    """Explain a job's state at a moment."""
    sentence, remedies = _state(job, now, calls)
    failure = job.failure if job.state != SUCCEEDED else None
    facts = [*_failure(failure, advice), *_attempts(job), *_conditions(job)]
    if failure and failure.reason in advice:
        remedies = (advice[failure.reason].remedy, *remedies)
    return Explanation(sentence, tuple(facts), remedies)


def _state(job: Job, now: datetime, calls: Calls) -> _Sentence:
    if job.deleting:
        return f"{job.name} is being deleted: first its pods end and its run becomes KILLED.", ()
    if job.managed_by not in (None, MANAGER):
        return f"{job.name} is left to another controller, {job.managed_by}.", ()
    explained = _EXPLAINED.get(job.state)
    return explained(job, now, calls) if explained else (f"{job.name} is {job.state}.", ())


def _unseen(job: Job, _: datetime, _calls: Calls) -> _Sentence:
    return f"No operator has acted on {job.name} yet.", (_OPERATOR,)


def _queued(job: Job, _: datetime, _calls: Calls) -> _Sentence:
    queue = f" {job.queue}" if job.queue else ""
    look = f"kubectl get workloads --namespace {job.namespace} says what it waits for"
    return f"{job.name} waits for its queue{queue} to admit it.", (look,)


def _suspended(job: Job, _: datetime, calls: Calls) -> _Sentence:
    return f"{job.name} is suspended.", (f"{calls('resume', job.name)} starts it again",)


def _starting(job: Job, _: datetime, calls: Calls) -> _Sentence:
    if job.failure:
        return f"{job.name} does not start.", ()
    running = job.conditions.get("Running")
    message = f": {running.message}" if running and running.message else ""
    events = calls("events", job.name)
    look = f"mostly a node still pulls the image; {events} shows what has happened"
    return f"{job.name} is starting{message}.", (look,)


def _running(job: Job, _: datetime, _calls: Calls) -> _Sentence:
    return f"{job.name} is running{_progress(job)}.", ()


def _restarting(job: Job, now: datetime, _calls: Calls) -> _Sentence:
    return f"{job.name} starts again{_next_attempt(job, now)}.", ()


def _succeeded(job: Job, _: datetime, _calls: Calls) -> _Sentence:
    return f"{job.name} succeeded{_after_attempts(job)}.", ()


def _failed(job: Job, _: datetime, calls: Calls) -> _Sentence:
    look = (f"{calls('logs', job.name)} shows its output",) if job.attempt else ()
    return f"{job.name} failed{_after_attempts(job)}.", look


def _stopped(job: Job, _: datetime, calls: Calls) -> _Sentence:
    look = (f"{calls('logs', job.name)} shows its output",) if job.attempt else ()
    return f"{job.name} was stopped{_after_attempts(job)}.", look


_EXPLAINED: dict[str, Callable[[Job, datetime, Calls], _Sentence]] = {
    UNSEEN: _unseen,
    "Queued": _queued,
    "Suspended": _suspended,
    "Starting": _starting,
    "Running": _running,
    "Restarting": _restarting,
    SUCCEEDED: _succeeded,
    FAILED: _failed,
    STOPPED: _stopped,
}


def _after_attempts(job: Job) -> str:
    return f" after {job.attempt} attempts" if job.attempt > 1 else ""


def _progress(job: Job) -> str:
    parts = []
    if job.progress.percentage is not None:
        parts.append(f"{job.progress.percentage}% done")
    if job.progress.remaining_seconds is not None:
        parts.append(f"{duration(job.progress.remaining_seconds)} to go")
    return f", {', '.join(parts)}" if parts else ""


def _next_attempt(job: Job, now: datetime) -> str:
    if job.next_attempt is None or job.next_attempt <= now:
        return " as soon as no pod of the last attempt is live"
    return f" in {duration((job.next_attempt - now).total_seconds())}"


def _failure(failure: Failure | None, advice: Mapping[str, Advice]) -> Iterator[tuple[str, str]]:
    if failure is None:
        return
    meaning = advice.get(failure.reason)
    yield "cause", f"{failure.reason}{f', {meaning.meaning}' if meaning else ''}"
    if failure.message:
        yield "message", failure.message
    if failure.frame:
        yield "line", failure.frame
    where = [
        *([f"rank {failure.rank}"] if failure.rank is not None else []),
        *([f"node {failure.node}"] if failure.node else []),
        *([f"epoch {failure.epoch}"] if failure.epoch is not None else []),
        *([f"step {failure.step}"] if failure.step is not None else []),
    ]
    if where:
        yield "where", ", ".join(where)


def _attempts(job: Job) -> Iterator[tuple[str, str]]:
    """Every attempt that is over; one that says no more than the failure is left out."""
    over = [one for one in job.attempts if one.outcome]
    if len(over) > 1 or (over and not job.ended):
        yield from ((f"attempt {one.number}", _outcome(one)) for one in over)


def _outcome(attempt: Attempt) -> str:
    text = attempt.outcome or ""
    if attempt.reason:
        text += f", {attempt.reason}"
    if attempt.exit_code is not None:
        text += f", exit code {attempt.exit_code}"
    if attempt.rank is not None:
        text += f" of rank {attempt.rank}"
    return text


def _conditions(job: Job) -> Iterator[tuple[str, str]]:
    for kind, status in _NEWS.items():
        condition = job.conditions.get(kind)
        if condition and condition.status == status:
            yield f"{kind} is {status}", f"{condition.reason}: {condition.message}"

"""Whether another attempt follows a failed one, and when."""

from dataclasses import dataclass, replace

from trainingjob_operator.api import Retry, TrainingJob
from trainingjob_operator.core.cause import SIGNAL_BASE, Cause
from trainingjob_operator.core.policies import disruption
from trainingjob_operator.core.reasons import NEVER_STARTED, Reason

# The exit code of a failure that only the termination message reported.
REPORTED = 1
# Seconds before the next attempt: doubled with each, up to the most.
FAILURE_DELAY, FAILURE_DELAY_MOST = 10, 300
DISRUPTION_DELAY, DISRUPTION_DELAY_MOST = 1, 60


@dataclass(frozen=True, slots=True)
class Restart:
    """Another attempt after `delay` seconds; `charged` counts against the backoffLimit."""

    charged: bool
    delay: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No other attempt; `reported` is the cause that the job reports for its failure."""

    reported: Cause


def after(job: TrainingJob, cause: Cause) -> Restart | GiveUp:
    """What follows a failed attempt."""
    if cause.disrupted:
        return _after_disruption(job.status.disruptions or 0, cause)
    limit = job.spec.backoff_limit
    failures = (job.status.failed_attempts or 0) + 1
    if limit == 0 or not is_retryable(job.spec.retry or Retry(), cause):
        return GiveUp(cause)
    if failures > limit:
        return GiveUp(
            _exceeded(Reason.BACKOFF_LIMIT_EXCEEDED, f"{failures} attempts failed", limit, cause)
        )
    return Restart(charged=True, delay=_delay(FAILURE_DELAY, FAILURE_DELAY_MOST, failures))


def is_retryable(retry: Retry, cause: Cause) -> bool:
    """Whether a retry may follow; the lists count first, non-retryable codes before the others.

    Without an exit code, as for a pod that a node rejected, a retry is allowed. The codes 127 and
    128 of a command that could not be started come from the runtime, not from a signal. A failure
    that a container reported although it ended with 0 counts as the code 1.
    """
    if cause.reason in NEVER_STARTED:
        return False
    code = REPORTED if cause.exit_code == 0 else cause.exit_code
    if code is None:
        return True
    if code in retry.non_retryable_exit_codes:
        return False
    if code in retry.retryable_exit_codes:
        return True
    return code >= SIGNAL_BASE and cause.reason != Reason.OOM_KILLED


def _after_disruption(before: int, cause: Cause) -> Restart | GiveUp:
    number = before + 1
    if number > disruption.LIMIT:
        what = f"{number} attempts were disrupted"
        reason = Reason.DISRUPTION_LIMIT_EXCEEDED
        return GiveUp(_exceeded(reason, what, disruption.LIMIT, cause))
    return Restart(charged=False, delay=_delay(DISRUPTION_DELAY, DISRUPTION_DELAY_MOST, number))


def _exceeded(reason: str, what: str, limit: int, last: Cause) -> Cause:
    message = f"{what}, {limit} are allowed; the last one: {last.reason}: {last.message}"
    return replace(last, reason=reason, message=message, disrupted=False)


def _delay(first: int, most: int, number: int) -> int:
    return int(min(most, first * 2.0 ** min(number - 1, 20)))

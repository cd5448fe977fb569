"""The thread that sends the contents of the spool, in order, until MLflow has taken them."""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

from prometheus_client import Counter

from trainingjob_agent.delivery.backoff import Backoff, Closing
from trainingjob_agent.delivery.batch import MAX_ITEMS, Batch, join
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.first_values import keep_first_values
from trainingjob_agent.delivery.frame import Frame
from trainingjob_agent.delivery.poison import Poison
from trainingjob_agent.delivery.rest import (
    HeldError,
    RefusedError,
    ServerFailedError,
    TooSlowError,
    UnavailableError,
)
from trainingjob_agent.delivery.spool import Spool

_MAX_AGE_SECONDS = 1.5
"""In the spool once it is wanted, before it is sent in a call that is not full."""
_HELD_SECONDS = 30.0
_DELETION_CHECK_SECONDS = 1.0
_TIMEOUT_SECONDS = 10.0

_logger = logging.getLogger(__name__)


class Delivery(threading.Thread):
    """Joins queued items to calls of up to 1,000; a call that is not full waits a little."""

    def __init__(self, connection: RunConnection, spool: Spool, closing: Closing) -> None:
        super().__init__(name="mlflow-delivery", daemon=True)
        self._connection = connection
        self._spool = spool
        self._closing = closing
        self._backoff = Backoff("MLflow", _logger)
        self._changed = threading.Condition()
        self._checked_seconds = 0.0
        self._told_changes: set[str] = set()
        self._held_until = 0.0
        self._hurry = False
        self._complete = False
        self.delivered = Counter(
            "trainingjob_mlflow_points_delivered", "Metric points MLflow has taken", registry=None
        )

    def wake(self, *, hurry: bool = False, complete: bool = False) -> None:
        """Notify it that the spool has changed.

        Args:
            hurry: send now, however little it is.
            complete: nothing more will come; end when the spool is empty.
        """
        with self._changed:
            self._hurry |= hurry
            self._complete |= complete
            self._changed.notify_all()

    def hold(self, seconds: float) -> None:
        """Send nothing for these seconds, unless there is a hurry; 0 ends that."""
        with self._changed:
            self._held_until = time.monotonic() + seconds
            self._changed.notify_all()

    def run(self) -> None:
        """Deliver until the spool is complete and empty, or until the deadline."""
        while frames := self._wait_for_work():
            if not self._deliver(frames):
                return

    def wait_until_empty(self, within_seconds: float) -> bool:
        """Wait until the spool is empty; False if it is not within `within_seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._spool.first(1), within_seconds)

    def _wait_for_work(self) -> list[Frame]:
        """Return the frames to send now; none when there is nothing left to do."""
        with self._changed:
            while not self._closing.expired():
                frames = self._spool.first(MAX_ITEMS)
                if not frames and self._complete:
                    return []
                wait: float | None = None
                if frames:
                    full = sum(frame.points for frame in frames) >= MAX_ITEMS
                    wanted = min(frame.wanted_seconds for frame in frames)
                    due = 0.0 if full else wanted + _MAX_AGE_SECONDS
                    wait = max(due, self._held_until) - time.monotonic()
                    if wait <= 0 or self._hurry or self._complete:
                        return frames
                else:
                    self._hurry = False
                self._changed.wait(wait)
            return []

    def _deliver(self, frames: list[Frame]) -> bool:
        """Send one call's worth of the first frames, and be done with them; False to stop."""
        try:
            batches = self._read(frames)
        except OSError as error:
            self._backoff.failed(error)
            self._backoff.wait(self._closing)
            return True
        count, batch = join(batches)
        if not self._send_parts(batch):
            return False
        self._spool.done(frames[:count])
        with self._changed:
            self._changed.notify_all()
        return True

    def _read(self, frames: list[Frame]) -> list[Batch]:
        """Read frames until a call is full; a frame that is lost on disk is given up.

        Raises:
            OSError: the disk does not answer now.
        """
        batches: list[Batch] = []
        items = 0
        for frame in frames:
            try:
                batch = frame.read()
            except (ValueError, FileNotFoundError) as error:
                _logger.error("%d metric points are lost: %s", frame.points, error)  # noqa: TRY400 - one line is enough
                self._spool.dropped.inc(frame.points)
                batch = Batch()
            items += len(batch)
            batches.append(batch)
            if items >= MAX_ITEMS:
                break
        return batches

    def _send_parts(self, batch: Batch) -> bool:
        """Send until every item is taken or refused; False when it is time to stop."""
        parts = deque([batch] if len(batch) else [])
        poison = Poison(self._takes_writes)
        untouched = True
        while parts and not self._closing.expired():
            part = parts.popleft()
            try:
                left = self._send(part, untouched=untouched)
            except HeldError as error:
                parts.appendleft(part)
                if not self._hold(error):
                    return False
            except UnavailableError as error:
                parts.extendleft(reversed(self._after_failure(part, error, poison)))
            except Exception as error:
                _logger.debug("cannot send", exc_info=True)
                parts.appendleft(part)
                self._backoff.failed(error)
                self._backoff.wait(self._closing)
            else:
                untouched = False
                parts.extendleft(reversed(left))
                poison.settled()
                self._backoff.succeeded()
        return not parts

    def _after_failure(
        self, part: Batch, error: UnavailableError, poison: Poison
    ) -> Sequence[Batch]:
        """Wait as long as the failure asks for; return what to send then in place of `part`."""
        slow = isinstance(error, TooSlowError)
        if slow and len(part) > 1:
            self._backoff.failed(error)
            self._backoff.wait(self._closing)
            return list(part.split())
        left: list[Batch] | None = [part]
        # A server that says when to come back knows that it is not the content.
        failed = isinstance(error, ServerFailedError) and not error.retry_after_seconds
        if slow or failed:
            left = poison.failed(part)
        if left is None:
            self._give_up(part, f"MLflow fails on {part}", error)
            poison.settled()
            return []
        if not poison.found:
            self._backoff.failed(error)
            self._backoff.wait(self._closing, error.retry_after_seconds)
        elif left == [part]:
            self._backoff.pause(self._closing)
        return left

    def _takes_writes(self, part: Batch) -> bool:
        return self._connection.takes_writes(part, self._timeout_seconds())

    def _give_up(self, part: Batch, what: str, error: Exception) -> None:
        _logger.error("%s: %s", what, error)
        self._spool.dropped.inc(len(part.points))

    def _send(self, part: Batch, *, untouched: bool) -> list[Batch]:
        """Send once; return the halves of what the server refuses. A single item is given up.

        Raises:
            HeldError, UnavailableError: the part is to be sent again.
        """
        try:
            self._connection.log_batch(part, self._timeout_seconds())
        except RefusedError as error:
            single = len(part) == 1
            if (untouched or single) and self._run_is_deleted(part):
                raise HeldError("the run is deleted: `mlflow runs restore` it") from error
            kept = self._keep_first_values(part)
            if kept is not None:
                return kept
            if not single:
                return list(part.split())
            self._give_up(part, f"MLflow refuses {part}", error)
        else:
            self.delivered.inc(len(part.points))
        return []

    def _keep_first_values(self, part: Batch) -> list[Batch] | None:
        """Return a refused part without its changes of parameters; None if it has none."""
        if not part.params:
            return None
        kept = keep_first_values(
            part, self._connection.params_of(part), attempt=self._connection.attempt
        )
        for change in kept.changes:
            if change not in self._told_changes:
                _logger.warning("%s", change)
            self._told_changes.add(change)
        return list(kept.batches) if kept.changes else None

    def _run_is_deleted(self, part: Batch) -> bool:
        """Whether that is why the server refuses; asked before anything is halved or given up."""
        if time.monotonic() - self._checked_seconds < _DELETION_CHECK_SECONDS:
            return False
        if self._connection.run_is_deleted(part):
            return True
        self._checked_seconds = time.monotonic()
        return False

    def _hold(self, error: HeldError) -> bool:
        """Wait long for somebody to act; False when it is time to stop."""
        self._backoff.failed(error)
        if self._closing.requested.is_set():
            return False
        self._backoff.wait(self._closing, _HELD_SECONDS)
        return True

    def _timeout_seconds(self) -> float | None:
        """Leave the usual limit to the call; keep to the deadline at the end."""
        if not self._closing.requested.is_set():
            return None
        return max(0.1, min(_TIMEOUT_SECONDS, self._closing.remaining_seconds()))

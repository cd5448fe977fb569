"""What training and monitor log to, and the thread that puts it into the spool."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from prometheus_client import Gauge
from prometheus_client.registry import Collector

from trainingjob_agent.delivery.backoff import Closing
from trainingjob_agent.delivery.batch import MAX_ITEMS, MAX_PARAMS_AND_TAGS, Batch
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.delivery import Delivery
from trainingjob_agent.delivery.fitting import Fitting
from trainingjob_agent.delivery.point import Point
from trainingjob_agent.delivery.spool import Spool

_STORE_SECONDS = 0.5
_SYNC_CHECK_SECONDS = 5.0
_JOIN_SECONDS = 0.5
_TELL_SECONDS = 5.0
_ENDLESS_SECONDS = float("inf")

_Item = TypeVar("_Item")

_logger = logging.getLogger(__name__)


class Sender:
    """The only path to MLflow for metrics, parameters and tags.

    Whoever logs never waits: all that happens in their thread is an append to a queue. Within half
    a second one thread writes the queue to the spool, from which another delivers. When the disk is
    too slow for that, the oldest of more than `max_points` points are dropped and counted.
    """

    def __init__(
        self,
        connection: RunConnection,
        spool: Spool | None = None,
        *,
        max_points: int = 100_000,
        collect: Callable[[], Iterable[Batch]] | None = None,
    ) -> None:
        """Prepare; `start()` begins to send.

        Args:
            connection: to the run.
            spool: where waits what is not delivered; a temporary one by default.
            max_points: that wait to be written to the spool.
            collect: called each half second, and at the end, for what other processes log.
        """
        self._connection = connection
        self._spool = spool or Spool()
        self._max_points = max_points
        self._collect = collect
        self._collect_fails = False
        self._points: deque[Point] = deque()
        self._params: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._oldest_seconds: float | None = None
        self._patience_seconds = _ENDLESS_SECONDS
        self._hurry = False
        self._in_hand = 0
        self._fitting = Fitting()
        self._changed = threading.Condition()
        self._closing = Closing()
        self._delivery = Delivery(connection, self._spool, self._closing)
        self._writer = threading.Thread(target=self._store, name="mlflow-spool", daemon=True)
        self.delivered = self._delivery.delivered
        self.dropped = self._spool.dropped
        self._waiting = Gauge(
            "trainingjob_mlflow_queue_points", "Metric points waiting for MLflow", registry=None
        )
        self._waiting.set_function(self.pending)
        self._spool_size = Gauge(
            "trainingjob_mlflow_spool_bytes", "Size on disk of what waits for MLflow", registry=None
        )
        self._spool_size.set_function(lambda: self._spool.disk_bytes)

    @property
    def collectors(self) -> list[Collector]:
        """Prometheus metrics of the delivery."""
        return [self.delivered, self.dropped, self._waiting, self._spool_size]

    def start(self) -> None:
        """Start both threads; what an earlier attempt left is delivered first."""
        self._writer.start()
        self._delivery.start()

    def hold(self, seconds: float) -> None:
        """Keep all in the spool for these seconds, unless it is flushed or closed; 0 ends that."""
        self._delivery.hold(seconds)

    def log_metrics(
        self,
        metrics: Mapping[str, float],
        *,
        step: int,
        timestamp_milliseconds: int | None = None,
        run_id: str | None = None,
        patience_seconds: float = 0.0,
    ) -> None:
        """Queue values of one step, captured at `timestamp_milliseconds` (now by default).

        They are stored as soon as any; for `patience_seconds` nobody waits for them in MLflow, so
        that the values of several calls go there in one.
        """
        moment = int(timestamp_milliseconds or time.time_ns() // 1_000_000)
        run_id = None if self._connection.is_own(run_id) else run_id
        points = [
            Point(key, float(value), moment, int(step), run_id) for key, value in metrics.items()
        ]
        with self._changed:
            self._points.extend(points)
            self._patience_seconds = min(self._patience_seconds, patience_seconds)
            while len(self._points) > self._max_points:
                self._points.popleft()
                self.dropped.inc()
            self._note_change()

    def log_params(self, params: Mapping[str, object]) -> None:
        """Queue parameters of the job's run."""
        with self._changed:
            self._params.update({key: str(value) for key, value in params.items()})
            self._patience_seconds = 0.0
            self._note_change()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Queue tags of the job's run."""
        with self._changed:
            self._tags.update(tags)
            self._patience_seconds = 0.0
            self._note_change()

    def pending(self) -> int:
        """Points that MLflow has not taken yet, those of an earlier attempt included."""
        return len(self._points) + self._in_hand + self._spool.points

    def flush(self, within_seconds: float) -> bool:
        """Deliver now what is queued; return whether that was done within `within_seconds`."""
        deadline = time.monotonic() + within_seconds
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(self._all_stored, within_seconds)
        return self._delivery.wait_until_empty(deadline - time.monotonic())

    def close(self, within_seconds: float) -> bool:
        """Deliver what is left; return whether all of it arrived within `within_seconds`.

        What did not arrive stays on the checkpoint volume, if there is one.
        """
        self._closing.request(within_seconds)
        with self._changed:
            self._changed.notify_all()
        for thread in (self._writer, self._delivery):
            self._delivery.wake()
            self._join(thread)
        left = self.pending()
        kept = self._spool.kept_points
        if kept:
            _logger.warning(
                "%d metric points wait in %s: the next attempt delivers them",
                kept,
                self._spool.directory,
            )
        if left > kept:
            self.dropped.inc(left - kept)
            _logger.error("%d metric points did not reach MLflow in time", left - kept)
        if not (self._writer.is_alive() or self._delivery.is_alive()):
            self._spool.close()
        return left == 0

    def shorten(self, within_seconds: float) -> None:
        """End `close`, which runs in another thread, within `within_seconds`."""
        self._closing.request(within_seconds)

    def _join(self, thread: threading.Thread) -> None:
        """Wait for the end of a thread until the deadline, and say so now and then."""
        told_seconds = time.monotonic()
        while thread.is_alive() and not self._closing.expired():
            thread.join(min(_JOIN_SECONDS, self._closing.remaining_seconds()))
            if thread.is_alive() and time.monotonic() - told_seconds >= _TELL_SECONDS:
                told_seconds = time.monotonic()
                _logger.info(
                    "%d metric points wait for MLflow; %.0f s are left for them",
                    self.pending(),
                    self._closing.remaining_seconds(),
                )
        if thread.is_alive():
            thread.join(_JOIN_SECONDS / 5)

    def _note_change(self) -> None:
        if self._oldest_seconds is None:
            self._oldest_seconds = time.monotonic()
            self._changed.notify_all()
        elif len(self._points) >= min(MAX_ITEMS, self._max_points // 2):
            self._changed.notify_all()

    def _all_stored(self) -> bool:
        return self._oldest_seconds is None and self._in_hand == 0

    def _store(self) -> None:
        """Write the queue to the spool until closed (the thread `mlflow-spool`)."""
        self._spool.open()
        more = True
        while more:
            more = self._wait_for_work()
            batches, patience_seconds, hurry = self._take()
            for batch in batches:
                self._spool.append(self._fitting.fit(batch), patience_seconds)
            collected = self._store_collected()
            with self._changed:
                self._in_hand = 0
                self._changed.notify_all()
            self._spool.sync_if_due()
            if batches or collected or hurry:
                self._delivery.wake(hurry=hurry)
        self._spool.sync()
        self._delivery.wake(complete=True)

    def _wait_for_work(self) -> bool:
        """Wait until it is time to write, or to look after the disk; False once closed."""
        with self._changed:
            begun = time.monotonic()
            while not (self._closing.requested.is_set() or self._hurry):
                if len(self._points) >= min(MAX_ITEMS, self._max_points // 2):
                    return True
                if self._oldest_seconds is None:
                    due = begun + (_STORE_SECONDS if self._collect else _SYNC_CHECK_SECONDS)
                else:
                    due = self._oldest_seconds + _STORE_SECONDS
                wait = due - time.monotonic()
                if wait <= 0:
                    return True
                self._changed.wait(wait)
            return not self._closing.requested.is_set()

    def _take(self) -> tuple[list[Batch], float, bool]:
        """Take all that is queued, in batches for one run and one call each.

        Returns the batches, how long nobody waits for them, and whether there is a hurry.
        """
        with self._changed:
            hurry, self._hurry = self._hurry, False
            points, self._points = self._points, deque()
            params, self._params = self._params.items(), {}
            tags, self._tags = self._tags.items(), {}
            patience_seconds, self._patience_seconds = self._patience_seconds, _ENDLESS_SECONDS
            self._oldest_seconds = None
            self._in_hand = len(points)
        batches = [
            *(Batch(params=part) for part in _chunks(list(params), MAX_PARAMS_AND_TAGS)),
            *(Batch(tags=part) for part in _chunks(list(tags), MAX_PARAMS_AND_TAGS)),
        ]
        by_run: dict[str | None, list[Point]] = {}
        for point in points:
            by_run.setdefault(point.run_id, []).append(point)
        for of_run in by_run.values():
            batches += [Batch(part) for part in _chunks(of_run, MAX_ITEMS)]
        return batches, patience_seconds, hurry

    def _store_collected(self) -> int:
        """Write to the spool what other processes have logged; return how many batches."""
        count = 0
        try:
            for batch in self._collect() if self._collect else ():
                self._spool.append(self._fitting.fit(batch))
                count += 1
        except OSError as error:
            if not self._collect_fails:
                _logger.warning("cannot read what the script logs for now: %s", error)
            self._collect_fails = True
        else:
            self._collect_fails = False
        return count


def _chunks(items: list[_Item], size: int) -> Iterator[tuple[_Item, ...]]:
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])

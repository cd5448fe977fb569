"""Keeps the MLflow runs of the jobs on one server as their intents say.

Calls are made by a bounded pool of workers over a queue, with back-off; a poller sees what others
write. An error stays with its run, whatever it is.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from trainingjob_operator.adapters.logs import log_context
from trainingjob_operator.adapters.mlflow_rest import MlflowApi, MlflowError, RunInfo
from trainingjob_operator.adapters.workqueue import WorkQueue
from trainingjob_operator.core.intent import RunIntent, RunView
from trainingjob_operator.runs.closing import Closing
from trainingjob_operator.runs.poller import RunPoller
from trainingjob_operator.runs.record import RunRecord
from trainingjob_operator.runs.table import Changed, Correction, OnError, RunTable
from trainingjob_operator.runs.writer import RunDeletedError, RunWriter

logger = logging.getLogger(__name__)

TIDY_SECONDS = 5.0
# Pods that run within so many seconds save two calls: MLflow makes each run RUNNING. A start that
# takes longer is told as SCHEDULED.
SCHEDULED_AFTER = 3.0


class RunSyncer:
    """What is wanted and known of the runs on one server; one event loop."""

    def __init__(
        self,
        server: MlflowApi,
        changed: Changed,
        corrected: Correction,
        on_error: OnError,
        poll_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._changed = changed
        self._on_error = on_error
        self._clock = clock
        self._table = RunTable()
        self._queue = WorkQueue(backoff_max=10.0)
        self._writer = RunWriter(server)
        self._closing = Closing(server, changed, on_error)
        self._poller = RunPoller(
            server,
            self._table,
            self._queue.add,
            changed,
            corrected,
            on_error,
            poll_seconds,
            clock,
            now,
        )

    def __contains__(self, key: str) -> bool:
        """Whether a job's run is tracked here."""
        return key in self._table.records

    def view(self, key: str, uid: str) -> RunView:
        """What is known of a job's run; nothing where only an earlier job of that name had one."""
        record = self._table.records.get(key)
        if record is None or record.intent.uid != uid:
            return RunView()
        return record.view()

    def want(self, key: str, intent: RunIntent, *, new: bool = False) -> None:
        """State how a job's run ought to be; `new`: none can exist yet."""
        record = self._table.records.get(key)
        if record is None or record.intent.uid != intent.uid:
            # Where the server does not answer the others, this job does not wait to see that.
            made = RunRecord(intent, self._clock(), problem=self._table.silent, new=new)
            self._table.records[key] = made
        elif record.intent.wanted == intent.wanted:
            return
        else:
            record.change(intent, self._clock())
        # An end goes before the starts of others: it is what people and programs wait for.
        self._queue.add(key, urgent=intent.status.terminal)

    def settling(self, key: str, seconds: float) -> bool:
        """Whether MLflow is likely to confirm within `seconds` of the last change of intent."""
        record = self._table.records.get(key)
        if record is None or record.settled or record.problem is not None:
            return False
        return self._clock() - record.since < seconds

    def forget(self, key: str) -> None:
        """Stop tracking a job that is gone, but not its end: that is told, and looked at again."""
        record = self._table.records.get(key)
        if record is None or not record.intent.status.terminal or record.missing:
            self.drop(key)

    def drop(self, key: str) -> None:
        """Stop tracking a job at once."""
        self._table.records.pop(key, None)
        self._queue.forget(key)

    def forget_all(self) -> None:
        """Drop everything."""
        self._table.clear()

    async def run(self, workers: int) -> None:
        """Call MLflow and poll it until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._queue.run_workers(workers, self._sync))
            tasks.create_task(self._poller.run())
            tasks.create_task(self._closing.run())
            tasks.create_task(self._tidy())

    async def drain(self, seconds: float) -> None:
        """Begin no more calls, and wait so long at most for those that are under way."""
        await self._queue.drain(seconds)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            for key in self._table.finished(self._clock()):
                self.drop(key)

    async def _sync(self, key: str) -> None:
        record = self._table.records.get(key)
        if record is None or record.settled:
            return
        intent = record.intent
        with log_context(job=key, run=record.info.run_id if record.info else None):
            try:
                new, record.new = record.new, False
                info = await self._writer.bring_about(record, intent, new)
            except MlflowError as error:
                self._failed(key, record, error)
            except RunDeletedError as error:
                # The poller looks whether it is restored.
                record.info = error.info
                self._run_deleted(key, record, str(error))
            except Exception as error:
                logger.exception("MLflow could not be told %s", intent.status)
                self._on_error("runs")
                self._stuck(key, record, f"{type(error).__name__} in the operator, see its log")
            else:
                self._told(key, record, intent, info)
            if record.ended and record.closed is None:
                self._closing.begin(key, record)

    def _told(self, key: str, record: RunRecord, intent: RunIntent, info: RunInfo | None) -> None:
        self._table.silent = None
        if info is not None and info.status != intent.status:
            record.was_made(intent)
            self._queue.add_after(key, SCHEDULED_AFTER)
            self._changed(key)
            return
        record.confirm(intent, info, self._clock())
        self._queue.forget(key)
        self._changed(key, urgent=intent.status.terminal)

    def _failed(self, key: str, record: RunRecord, error: MlflowError) -> None:
        if record.problem is None:
            logger.warning("MLflow could not be told %s: %s", record.intent.status, error)
        # A deleted run that another was to replace: the job does not wait for that.
        record.deleted = False
        self._writer.forget_experiment(record.intent)
        self._queue.add_rate_limited(key)
        if not record.failed(error):
            return
        self._changed(key)
        if error.status is None:
            for waiting in self._table.fell_silent(str(error)):
                self._changed(waiting)

    def _stuck(self, key: str, record: RunRecord, problem: str) -> None:
        record.problem = problem
        self._queue.add_rate_limited(key)
        self._changed(key)

    def _run_deleted(self, key: str, record: RunRecord, message: str) -> None:
        if not record.deleted:
            logger.warning("%s", message)
            record.was_deleted(message)
            self._changed(key)

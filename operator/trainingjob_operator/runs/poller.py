"""Polls the runs of one server: for statuses that others wrote, for metrics and steps.

One search serves many runs, across experiments. A search that fails is divided, so that a run or
an experiment that MLflow cannot read hides no other.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from trainingjob_operator.adapters.mlflow_rest import MlflowApi, MlflowError, RunInfo
from trainingjob_operator.adapters.workqueue import WorkQueue
from trainingjob_operator.core.intent import RunStatus
from trainingjob_operator.runs.record import RunRecord
from trainingjob_operator.runs.table import Changed, Correction, OnError, RunTable
from trainingjob_operator.runs.writer import DELETED_STAGE, gone, restore

logger = logging.getLogger(__name__)

UNREAD_REPORTED = 2
RUNS_PER_SEARCH = 100
# MLflow builds each run of an answer in Python and serves no other call meanwhile: 500 runs take
# it a second. Polls take a tenth of its time, so that the rest is left for the jobs' own calls.
RUNS_POLLED_PER_SECOND = 50
# A server that does not answer is polled again at once: a hang is reported within half a minute.
AGAIN_SECONDS = 1.0
# How often one poll divides searches that fail, and on which errors that is of no use: they are of
# the login, of a limit or of a server that starts.
DIVISIONS = 10
NOT_OF_A_RUN = (401, 403, 429, 502, 503, 504)
HISTORY_WORKERS = 2
_STATUSES = frozenset(RunStatus)


class RunPoller:
    """Polls the runs of a table; `sync` requests work on a run that differs from its intent."""

    def __init__(
        self,
        server: MlflowApi,
        table: RunTable,
        sync: Callable[[str], None],
        changed: Changed,
        corrected: Correction,
        on_error: OnError,
        poll_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._server = server
        self._table = table
        self._sync = sync
        self._changed = changed
        self._corrected = corrected
        self._on_error = on_error
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._now = now
        self._left: list[str] = []
        self._suspects: set[str] = set()
        self._failed_alone: set[str] = set()
        self._some_read = False
        self._divisions = 0
        self._histories = WorkQueue(backoff_max=60.0)

    async def run(self) -> None:
        """Poll until cancelled; histories are read concurrently, since they may be long."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._histories.run_workers(HISTORY_WORKERS, self._look_back))
            tasks.create_task(self._poll_on())

    async def _poll_on(self) -> None:
        pause = self.pause()
        while True:
            await asyncio.sleep(pause)
            try:
                await self.poll()
            except Exception:
                logger.exception("a poll of MLflow at %s failed", self._server.uri)
                self._on_error("poll")
            pause = self.pause()

    def pause(self) -> float:
        """The seconds to the next poll; polling all runs takes longer where there are many."""
        if 0 < self._table.unanswered < UNREAD_REPORTED:
            return AGAIN_SECONDS
        runs = len(self._table.records)
        parts = max(1, -(-runs // RUNS_PER_SEARCH))
        return max(self._poll_seconds, runs / RUNS_POLLED_PER_SECOND) / parts

    async def poll(self) -> None:
        """Read the next part of the runs; those that MLflow failed on alone stay alone."""
        records = self._table.records
        if not self._left:
            self._left = [key for key, record in records.items() if record.info is not None]
            self._suspects.intersection_update(self._left)
        keys, self._left = self._left[:RUNS_PER_SEARCH], self._left[RUNS_PER_SEARCH:]
        self._divisions = DIVISIONS
        self._failed_alone.clear()
        self._some_read = False
        alone = self._suspects.intersection(keys)
        together = [key for key in keys if key not in alone]
        for part in (together, *([key] for key in alone)):
            if part and not await self._read(part):
                return
        # Where it failed on all of them, that is no matter of single runs.
        if self._some_read:
            self._suspects |= self._failed_alone

    async def _read(self, keys: list[str]) -> bool:
        """Read some runs by one search, or by several if it fails; return if MLflow answers."""
        started = self._clock()
        known = [(key, one, one.info) for key, one in self._table.of(keys) if one.info is not None]
        ids = [info.run_id for _, _, info in known]
        experiments = sorted({info.experiment_id for _, _, info in known})
        try:
            found = await self._server.runs_by_id(experiments, ids) if ids else {}
        except MlflowError as error:
            return await self._not_read([key for key, _, _ in known], error)
        self._some_read = True
        if self._table.answered() >= UNREAD_REPORTED:
            logger.info("MLflow at %s answers again", self._server.uri)
        for key, record, info in known:
            if self._table.records.get(key) is record and record.since < started:
                try:
                    await self._take(key, record, found.get(info.run_id), info.run_id)
                except Exception:
                    logger.exception("cannot process run %s of %s", info.run_id, key)
                    self._on_error("poll")
        return True

    async def _not_read(self, keys: list[str], error: MlflowError) -> bool:
        if error.status is None:
            self._unanswered(str(error))
            return False
        if len(keys) > 1 and self._divisions > 0 and error.status not in NOT_OF_A_RUN:
            self._divisions -= 1
            middle = len(keys) // 2
            return await self._read(keys[:middle]) and await self._read(keys[middle:])
        if len(keys) == 1:
            self._failed_alone.update(keys)
        for key, record in self._table.of(keys):
            self._unread(key, record, error)
        return True

    def _unanswered(self, problem: str) -> None:
        """A server that does not answer is down for all of its runs, whichever were searched."""
        times = self._table.left_unanswered()
        if times == UNREAD_REPORTED:
            logger.warning("MLflow at %s does not answer: %s", self._server.uri, problem)
        if times >= UNREAD_REPORTED:
            for key in self._table.fell_silent(problem):
                self._changed(key)
            for key, record in list(self._table.records.items()):
                self._has_problem(key, record, problem)

    def _unread(self, key: str, record: RunRecord, error: MlflowError) -> None:
        record.was_not_read()
        if record.unread == UNREAD_REPORTED:
            logger.warning("MLflow cannot read the run of %s: %s", key, error)
        if record.unread >= UNREAD_REPORTED:
            self._has_problem(key, record, str(error))

    def _has_problem(self, key: str, record: RunRecord, problem: str) -> None:
        if record.problem is None and not record.intent.status.terminal:
            record.problem = problem
            self._changed(key)

    async def _take(self, key: str, record: RunRecord, found: RunInfo | None, run_id: str) -> None:
        """Process what a search returned about a run, or that it did not return the run."""
        if found is None:
            try:
                # Only the run's own answer says that it is gone: a proxy may answer with no runs.
                found = None if record.deleted else await self._server.get_run(run_id)
            except MlflowError as error:
                if error.code != "RESOURCE_DOES_NOT_EXIST":
                    self._unread(key, record, error)
                    return
        record.was_read(self._now())
        self._suspects.discard(key)
        if found is None:
            self._run_deleted(key, record, gone(run_id))
        elif found.lifecycle_stage == DELETED_STAGE:
            self._run_deleted(key, record, restore(run_id))
        else:
            self._polled(key, record, found)
            self._watch_steps(key, record, found)

    def _watch_steps(self, key: str, record: RunRecord, info: RunInfo) -> None:
        """Read the history of a job whose steps are watched and that made none for long."""
        watch, now = record.intent.watch, self._now()
        if watch is not None:
            record.steps.take(info, now)
            if record.steps.overdue(watch, now):
                self._histories.add(key)

    async def _look_back(self, key: str) -> None:
        record = self._table.records.get(key)
        if record is None or record.info is None:
            return
        try:
            await record.steps.look_back(self._server, record.info.run_id, self._now())
        except MlflowError as error:
            logger.warning("cannot read the steps of %s: %s", key, error)
        except Exception:
            logger.exception("cannot read the steps of %s", key)
            self._on_error("poll")
        else:
            self._changed(key)

    def _run_deleted(self, key: str, record: RunRecord, message: str) -> None:
        if not record.deleted:
            logger.warning("%s", message)
            record.was_deleted(message)
            self._changed(key)

    def _polled(self, key: str, record: RunRecord, info: RunInfo) -> None:
        written = record.settled or (record.problem is not None and record.ended)
        if record.deleted:
            logger.info("run %s is restored", info.run_id)
            record.was_restored(info)
            self._sync(key)
            self._changed(key)
        elif written and info.status != record.intent.status:
            logger.warning(
                "run %s was set to %s by another writer, setting it back to %s",
                info.run_id,
                info.status,
                record.intent.status,
            )
            self._corrected(_bounded(info.status), record.intent.status)
            record.drifted(info)
            self._sync(key)
        elif record.problem is not None:
            # MLflow answers again: do not wait for the end of the back-off.
            self._sync(key)
            if record.recovered():
                self._changed(key)
        news = [
            record.take_metrics(info.metrics),
            record.take_warning(info.tags),
            record.take_preparing(info.tags),
        ]
        if any(news):
            self._changed(key)


def _bounded(status: str) -> str:
    """A foreign status as the label of a metric."""
    return status if status in _STATUSES else "OTHER"

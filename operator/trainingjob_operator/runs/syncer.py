"""Keeps the MLflow runs of the jobs on one server as their intents say.

Calls are made by a bounded pool of workers over a queue, with back-off; a poller reads the runs of
all jobs together, sees statuses that another wrote, and brings the metrics that tell the progress.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from trainingjob_operator.adapters.logs import log_context
from trainingjob_operator.adapters.mlflow_rest import MlflowApi, MlflowError, RunInfo
from trainingjob_operator.adapters.workqueue import WorkQueue
from trainingjob_operator.core.intent import RunIntent, RunView
from trainingjob_operator.runs.record import RunRecord
from trainingjob_operator.runs.writer import (
    DELETED_STAGE,
    RunDeletedError,
    RunWriter,
    gone,
    restore,
)

logger = logging.getLogger(__name__)

# A run is looked at so long after its job's end: a late write of a dying pod is still corrected.
RECHECK_SECONDS = 60.0
POLL_FAILURES_TOLD = 2
# MLflow builds each run that it answers with in Python, and serves nobody else meanwhile: 500 runs
# take it a second. So that it has time for what the jobs tell, polls take a tenth of it.
RUNS_POLLED_PER_SECOND = 50

Correction = Callable[[str, str], None]


class Changed(Protocol):
    """Told that something new is known of a job's run."""

    def __call__(self, key: str, /, *, urgent: bool = False) -> None:
        """Look at the job; at once where its end is told in MLflow now."""


class RunSyncer:
    """What is wanted and known of the runs on one server; one event loop."""

    def __init__(
        self,
        server: MlflowApi,
        changed: Changed,
        corrected: Correction,
        poll_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._server = server
        self._changed = changed
        self._corrected = corrected
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._now = now
        self._tracked: dict[str, RunRecord] = {}
        self._queue = WorkQueue(backoff_max=10.0)
        self._writer = RunWriter(server)
        self._poll_failures: dict[str, int] = {}
        self._answering: datetime | None = None
        self._silent: str | None = None

    def __contains__(self, key: str) -> bool:
        """Whether a job's run is tracked here."""
        return key in self._tracked

    def view(self, key: str, uid: str) -> RunView:
        """What is known of a job's run; nothing where only an earlier job of that name had one."""
        tracked = self._tracked.get(key)
        if tracked is None or tracked.intent.uid != uid:
            return RunView()
        since = self._answering
        steps = tracked.steps.view(since) if since and tracked.intent.watch else None
        return replace(tracked.view(), steps=steps)

    def want(self, key: str, intent: RunIntent, *, new: bool = False) -> None:
        """State how a job's run ought to be; `new`: none can exist yet."""
        tracked = self._tracked.get(key)
        if tracked is None or tracked.intent.uid != intent.uid:
            # Where the server does not answer the others, this job does not wait to see that.
            made = RunRecord(intent, self._clock(), problem=self._silent, new=new)
            self._tracked[key] = made
        elif tracked.intent.wanted == intent.wanted:
            return
        else:
            tracked.change(intent, self._clock())
        # An end goes before the starts of others: it is what people and programs wait for.
        self._queue.add(key, urgent=intent.status.terminal)

    def settling(self, key: str, seconds: float) -> bool:
        """Whether MLflow is likely to confirm within `seconds` of the last change of intent."""
        tracked = self._tracked.get(key)
        if tracked is None or tracked.settled or tracked.problem is not None:
            return False
        return self._clock() - tracked.since < seconds

    def forget(self, key: str) -> None:
        """Stop tracking a job that is gone; an end that was told is still looked at for a while."""
        tracked = self._tracked.get(key)
        if tracked is None or not tracked.closed:
            self.drop(key)

    def drop(self, key: str) -> None:
        """Stop tracking a job at once."""
        self._tracked.pop(key, None)
        self._queue.forget(key)

    def forget_all(self) -> None:
        """Drop everything."""
        self._tracked.clear()
        self._poll_failures.clear()
        self._answering = None
        self._silent = None

    async def run(self, workers: int) -> None:
        """Call MLflow and poll it until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._queue.run_workers(workers, self._sync))
            tasks.create_task(self._poll())

    async def drain(self, seconds: float) -> None:
        """Begin no more calls, and wait so long at most for those that are under way."""
        await self._queue.drain(seconds)

    async def _sync(self, key: str) -> None:
        tracked = self._tracked.get(key)
        if tracked is None or tracked.settled:
            return
        intent = tracked.intent
        with log_context(job=key, run=tracked.info.run_id if tracked.info else None):
            try:
                new, tracked.new = tracked.new, False
                info = await self._writer.bring_about(tracked, intent, new)
            except MlflowError as error:
                self._failed(key, tracked, error)
                return
            except RunDeletedError as error:
                # The poller looks whether it is restored.
                tracked.info = error.info
                self._run_deleted(key, tracked, str(error))
                return
        self._silent = None
        tracked.confirm(intent, info, self._clock())
        self._queue.forget(key)
        self._changed(key, urgent=intent.status.terminal)

    def _failed(self, key: str, tracked: RunRecord, error: MlflowError) -> None:
        if tracked.problem is None:
            logger.warning("MLflow could not be told %s: %s", tracked.intent.status, error)
        # A deleted run that another was to replace: the job does not wait for that.
        tracked.deleted = False
        self._writer.forget_experiment(tracked.intent)
        self._queue.add_rate_limited(key)
        if not tracked.failed(error):
            return
        self._changed(key)
        if error.status is None:
            self._fell_silent(str(error))

    def _fell_silent(self, problem: str) -> None:
        """Starts wait for their run or for a problem: each by itself would see this one last."""
        self._silent = problem
        for key, tracked in self._tracked.items():
            if tracked.info is None and tracked.problem is None:
                tracked.problem = problem
                self._changed(key)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.seconds_between_polls())
            self._drop_finished()
            for experiment, keys in self._by_experiment().items():
                await self._poll_experiment(experiment, keys)

    def seconds_between_polls(self) -> float:
        """The time from one poll to the next; longer where there are many runs."""
        return max(self._poll_seconds, len(self._tracked) / RUNS_POLLED_PER_SECOND)

    def _drop_finished(self) -> None:
        now = self._clock()
        for key, tracked in list(self._tracked.items()):
            if (
                tracked.settled
                and tracked.intent.status.terminal
                and now - tracked.since > RECHECK_SECONDS
            ):
                self.drop(key)

    def _by_experiment(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key, tracked in self._tracked.items():
            if tracked.info is not None:
                found.setdefault(tracked.info.experiment_id, []).append(key)
        return found

    async def _poll_experiment(self, experiment: str, keys: list[str]) -> None:
        started = self._clock()
        ids = [tracked.info.run_id for _, tracked in self._of(keys) if tracked.info]
        try:
            found = await self._server.runs_by_id(experiment, ids)
        except MlflowError as error:
            self._poll_failed(experiment, keys, error)
            return
        if self._poll_failures.pop(experiment, 0) >= POLL_FAILURES_TOLD:
            logger.info("MLflow answers again about experiment %s", experiment)
        self._silent = None
        self._answering = self._answering or self._now()
        for key, tracked in self._of(keys):
            if tracked.info is None or tracked.since >= started:
                continue
            info = found.get(tracked.info.run_id)
            if info is None:
                self._run_deleted(key, tracked, gone(tracked.info.run_id))
            elif info.lifecycle_stage == DELETED_STAGE:
                self._run_deleted(key, tracked, restore(info.run_id))
            else:
                self._polled(key, tracked, info)
                await self._watch_steps(key, tracked, info)

    async def _watch_steps(self, key: str, tracked: RunRecord, info: RunInfo) -> None:
        """Where a job's steps are watched and none came for long: read the whole history."""
        watch, now = tracked.intent.watch, self._now()
        if watch is None:
            return
        tracked.steps.take(info)
        if not tracked.steps.overdue(watch, now):
            return
        try:
            await tracked.steps.look_back(self._server, info.run_id, now)
        except MlflowError as error:
            logger.warning("the steps of %s are not known: %s", key, error)
            return
        self._changed(key)

    def _poll_failed(self, experiment: str, keys: list[str], error: MlflowError) -> None:
        self._answering = None
        failures = self._poll_failures[experiment] = self._poll_failures.get(experiment, 0) + 1
        if failures < POLL_FAILURES_TOLD:
            return
        if failures == POLL_FAILURES_TOLD:
            logger.warning("MLflow does not tell of experiment %s: %s", experiment, error)
        for key, tracked in self._of(keys):
            if tracked.problem is None and not tracked.intent.status.terminal:
                tracked.problem = str(error)
                self._changed(key)

    def _run_deleted(self, key: str, tracked: RunRecord, message: str) -> None:
        if not tracked.deleted:
            logger.warning("%s", message)
            tracked.was_deleted(message)
            self._changed(key)

    def _polled(self, key: str, tracked: RunRecord, info: RunInfo) -> None:
        if tracked.deleted:
            logger.info("run %s is restored", info.run_id)
            tracked.was_restored(info)
            self._queue.add(key)
            self._changed(key)
        elif tracked.settled and info.status != tracked.intent.status:
            logger.warning(
                "run %s was set to %s by another writer, setting it back to %s",
                info.run_id,
                info.status,
                tracked.intent.status,
            )
            self._corrected(info.status, tracked.intent.status)
            tracked.drifted(info)
            self._queue.add(key)
        elif tracked.problem is not None:
            # MLflow answers again: do not wait for the end of the back-off.
            self._queue.add(key)
            if tracked.recovered():
                self._changed(key)
        if tracked.take_metrics(info.metrics):
            self._changed(key)

    def _of(self, keys: list[str]) -> Iterator[tuple[str, RunRecord]]:
        for key in keys:
            tracked = self._tracked.get(key)
            if tracked is not None:
                yield key, tracked

"""After the end of a job's run: closes what else its pods left open, before its Job may go.

The end comes first, since people and programs wait for it; searches that many jobs share may then
take their time. An operator that dies in between begins again, as the Job is held until this is
done.
"""

import asyncio
import logging

from trainingjob_operator.adapters.logs import log_context
from trainingjob_operator.adapters.mlflow_rest import MlflowApi, MlflowError
from trainingjob_operator.runs.leftovers import Ending, Leftovers
from trainingjob_operator.runs.record import RunRecord
from trainingjob_operator.runs.table import Changed, OnError

logger = logging.getLogger(__name__)

# Seconds between the tries, two minutes in all: a Job is held for no longer than that.
AGAIN_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)


class Closing:
    """The ends of one server's jobs, each in a task of its own."""

    def __init__(self, server: MlflowApi, changed: Changed, on_error: OnError) -> None:
        self._leftovers = Leftovers(server)
        self._changed = changed
        self._on_error = on_error
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Future()
            finally:
                self._tasks = None

    def begin(self, key: str, record: RunRecord) -> None:
        """Close what is left open of a job whose run has its end; `record` says when it is done."""
        if self._tasks is not None and record.info is not None:
            record.closed = False
            self._tasks.create_task(self._close(key, record))

    async def _close(self, key: str, record: RunRecord) -> None:
        with log_context(job=key):
            try:
                await self._try_for_a_while(record)
            except MlflowError as error:
                logger.warning("what the pods left open is not closed: %s", error)
            except Exception:
                logger.exception("what the pods left open is not closed")
                self._on_error("runs")
            record.closed = True
            self._changed(key)

    async def _try_for_a_while(self, record: RunRecord) -> None:
        """Raises MlflowError at the last try, or where another one is of no use."""
        for pause in AGAIN_SECONDS:
            try:
                return await self._close_once(record)
            except MlflowError as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(pause)
        return await self._close_once(record)

    async def _close_once(self, record: RunRecord) -> None:
        intent, info = record.intent, record.info
        if info is not None:
            ending = Ending(intent.uid, info.run_id, info.experiment_id, intent.created_ms)
            await self._leftovers.close(ending, intent.status, intent.end_ms)

"""Closes what a job's pods opened besides its run: nested and further runs, pending models.

A killed process cannot close them, and only the operator knows when the job is over. Jobs that end
at the same time share the searches: one search a second serves all jobs that ended meanwhile.
Pods may open runs in any experiment of the workspace, so all of them are searched.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from trainingjob_operator.adapters.mlflow_rest import MlflowApi, MlflowError, RunInfo
from trainingjob_operator.core import contract
from trainingjob_operator.core.intent import RunStatus

logger = logging.getLogger(__name__)

PARENT_TAG = "mlflow.parentRunId"
IDS_PER_SEARCH = 100
# A list of experiments serves the ends of these seconds. What is left in an experiment that was
# created later, just before the end, is missed.
LISTED_SECONDS = 10.0
# From one search to the next. 300 jobs that end within half a minute cost a quarter of the calls
# that searches without a pause did. The longer a busy server takes, the longer it is left alone: it
# has runs to make and to end meanwhile.
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 10.0
PAUSE_PER_SEARCH = 4.0


@dataclass(eq=False, slots=True)
class Ending:
    """A job that ends: its uid, and the place of its run. `left` are the open runs of its pods."""

    uid: str
    run_id: str
    experiment_id: str
    started_ms: int
    left: list[RunInfo] = field(default_factory=list)
    searched: bool = False
    error: MlflowError | None = None


class Leftovers:
    """What is left open on one server."""

    def __init__(self, server: MlflowApi) -> None:
        self._server = server
        self._waiting: list[Ending] = []
        self._turn = asyncio.Lock()
        self._listed: list[str] = []
        self._listed_at = -LISTED_SECONDS
        self._next_at = 0.0

    async def close(self, ending: Ending, status: RunStatus, end_ms: int) -> None:
        """Close the runs with the status of the job's, and fail models that are still pending.

        Raises:
            MlflowError: the search failed. A run that cannot be closed is only logged.
        """
        self._waiting.append(ending)
        async with self._turn:
            if not ending.searched:
                await asyncio.sleep(self._next_at - time.monotonic())
                together, self._waiting = self._waiting, []
                began = time.monotonic()
                await self._search(together)
                ended = time.monotonic()
                pause = max(PAUSE_SECONDS, PAUSE_PER_SEARCH * (ended - began))
                self._next_at = ended + min(pause, LONGEST_PAUSE_SECONDS)
        if ending.error is not None:
            raise ending.error
        for run in ending.left:
            await self._close(run, status, end_ms)

    async def _search(self, together: list[Ending]) -> None:
        """Search for all jobs at once, and once more only if something is left."""
        for one in together:
            one.searched = True
        runs = [one.run_id for one in together]
        uids = [one.uid for one in together]
        since = min(one.started_ms for one in together)
        try:
            places = await self._experiments(together)
            opened, below, _, _ = await asyncio.gather(
                self._open_runs(places, since, contract.TAG_OPENED_BY, uids),
                self._open_runs(places, since, PARENT_TAG, runs),
                self._fail_models(places, runs),
                self._fail_opened_models(places, since, uids),
            )
            first = [run.run_id for run in (*opened, *below)]
            if len(together) == 1 and first:
                below = await self._open_runs(places, since, PARENT_TAG, [*runs, *first])
            found = {run.run_id: run for run in (*opened, *below)}
            for one in together:
                one.left = _left(one, found.values())
            await self._fail_models(places, [run.run_id for one in together for run in one.left])
        except MlflowError as error:
            for one in together:
                one.error = error

    async def _experiments(self, together: list[Ending]) -> list[str]:
        """The experiments of the jobs' runs, and the newest others."""
        now = time.monotonic()
        if now - self._listed_at >= LISTED_SECONDS:
            self._listed = await self._server.newest_experiment_ids()
            self._listed_at = now
        return sorted({*self._listed, *(one.experiment_id for one in together)})

    async def _open_runs(
        self, places: list[str], since: int, tag: str, values: list[str]
    ) -> list[RunInfo]:
        """The open runs with a tag."""
        return await self._server.all_runs(
            places,
            f"attributes.status = '{RunStatus.RUNNING}' AND attributes.start_time >= {since}"
            f" AND tags.`{tag}` {_any_of(values)}",
        )

    async def _close(self, run: RunInfo, status: RunStatus, end_ms: int) -> None:
        try:
            await self._server.set_status(run.run_id, status, end_ms)
        except MlflowError as error:
            logger.warning("run %s was left open and cannot be closed: %s", run.run_id, error)
        else:
            logger.info("run %s was left open: %s", run.run_id, status)

    async def _fail_models(self, places: list[str], runs: list[str]) -> None:
        """A model that is pending when no process is left was never uploaded completely."""
        for start in range(0, len(runs), IDS_PER_SEARCH):
            some = runs[start : start + IDS_PER_SEARCH]
            for model in await self._server.models_of(places, some):
                if model.pending:
                    await self._fail_model(model.model_id)

    async def _fail_opened_models(self, places: list[str], since: int, uids: list[str]) -> None:
        """Also models of ended runs: MLflow's fluent API tags models as it tags runs."""
        for model in await self._server.models_with_tag(
            places, contract.TAG_OPENED_BY, _any_of(uids), since
        ):
            if model.pending and model.opened_by in uids:
                await self._fail_model(model.model_id)

    async def _fail_model(self, model_id: str) -> None:
        try:
            await self._server.fail_model(model_id)
        except MlflowError as error:
            logger.warning("model %s was left pending: %s", model_id, error)
        else:
            logger.info("model %s was left pending: failed", model_id)


def _any_of(values: list[str]) -> str:
    """The end of a comparison; MLflow's filters have no OR, so several values match any."""
    return f"= '{values[0]}'" if len(values) == 1 else "LIKE '%'"


def _left(ending: Ending, found: Iterable[RunInfo]) -> list[RunInfo]:
    """Runs that the job's pods opened, and those below its run; never another job's own run."""
    rest = {run.run_id: run for run in found if contract.TAG_UID not in run.tags}
    ours = {
        run.run_id for run in rest.values() if run.tags.get(contract.TAG_OPENED_BY) == ending.uid
    }
    above = {ending.run_id, *ours}
    while above:
        below = {run.run_id for run in rest.values() if run.tags.get(PARENT_TAG) in above}
        above = below - ours
        ours |= below
    return [rest[run_id] for run_id in sorted(ours)]

"""Closes what a job's pods opened besides its run: nested and further runs, pending models.

A process that was killed cannot close them, and nobody else knows when it is over. Jobs that end
at the same time share the searches: while one is under way, the others gather for the next.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from trainingjob_operator.adapters.mlflow_rest import MlflowApi, MlflowError, RunInfo
from trainingjob_operator.core import contract
from trainingjob_operator.core.intent import RunStatus

logger = logging.getLogger(__name__)

PARENT_TAG = "mlflow.parentRunId"
IDS_PER_SEARCH = 100


@dataclass(eq=False, slots=True)
class Ending:
    """A job that ends: its uid, and where its run is. `left` are the open runs of its pods."""

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

    async def close(self, ending: Ending, status: RunStatus, end_ms: int) -> None:
        """Close the runs with the status of the job's, and fail models that are still pending.

        Raises:
            MlflowError: they could not be looked for. One that cannot be closed is only logged.
        """
        self._waiting.append(ending)
        async with self._turn:
            if not ending.searched:
                together, self._waiting = self._waiting, []
                await self._search(together)
        if ending.error is not None:
            raise ending.error
        for run in ending.left:
            await self._close(run, status, end_ms)

    async def _search(self, together: list[Ending]) -> None:
        """Look for all at once, and again only where something is left: the ends wait for it."""
        for one in together:
            one.searched = True
        runs = [one.run_id for one in together]
        try:
            opened, below, _ = await asyncio.gather(
                self._open_runs(together, contract.TAG_OPENED_BY, [one.uid for one in together]),
                self._open_runs(together, PARENT_TAG, runs),
                self._fail_models(together, runs),
            )
            first = [run.run_id for run in (*opened, *below)]
            if len(together) == 1 and first:
                below = await self._open_runs(together, PARENT_TAG, [*runs, *first])
            found = {run.run_id: run for run in (*opened, *below)}
            for one in together:
                one.left = _left(one, found.values())
            await self._fail_models(together, [run.run_id for one in together for run in one.left])
        except MlflowError as error:
            for one in together:
                one.error = error

    async def _open_runs(
        self, together: list[Ending], tag: str, values: list[str]
    ) -> list[RunInfo]:
        """The open runs with a tag; MLflow's filters have no OR, so that several ask for any."""
        wanted = f"= '{values[0]}'" if len(values) == 1 else "LIKE '%'"
        since = min(one.started_ms for one in together)
        return await self._server.all_runs(
            sorted({one.experiment_id for one in together}),
            f"attributes.status = '{RunStatus.RUNNING}' AND attributes.start_time >= {since}"
            f" AND tags.`{tag}` {wanted}",
        )

    async def _close(self, run: RunInfo, status: RunStatus, end_ms: int) -> None:
        try:
            await self._server.set_status(run.run_id, status, end_ms)
        except MlflowError as error:
            logger.warning("run %s was left open and cannot be closed: %s", run.run_id, error)
        else:
            logger.info("run %s was left open: %s", run.run_id, status)

    async def _fail_models(self, together: list[Ending], runs: list[str]) -> None:
        """A model that is pending when no process is left was never uploaded as a whole."""
        experiments = sorted({one.experiment_id for one in together})
        for start in range(0, len(runs), IDS_PER_SEARCH):
            some = runs[start : start + IDS_PER_SEARCH]
            for model in await self._server.models_of(experiments, some):
                if model.pending:
                    await self._fail_model(model.model_id)

    async def _fail_model(self, model_id: str) -> None:
        try:
            await self._server.fail_model(model_id)
        except MlflowError as error:
            logger.warning("model %s was left pending: %s", model_id, error)
        else:
            logger.info("model %s was left pending: failed", model_id)


def _left(ending: Ending, found: Iterable[RunInfo]) -> list[RunInfo]:
    """Those that the job's pods opened, and those below its run; never another job's own run."""
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

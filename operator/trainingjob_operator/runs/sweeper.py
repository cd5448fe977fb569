"""Closes runs of this cluster whose job is gone: what a bounded deletion or an outage left open.

Several clusters may share a server, so it considers only runs with the tag of this cluster.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from trainingjob_operator.adapters.kube import ApiError
from trainingjob_operator.adapters.mlflow_rest import MlflowApi, MlflowError, RunInfo
from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core import border, contract, run_tags
from trainingjob_operator.core.intent import RunStatus
from trainingjob_operator.core.policies import orphans
from trainingjob_operator.retrying import spread
from trainingjob_operator.runs.leftovers import Ending, Leftovers
from trainingjob_operator.runs.table import OnError

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 600.0
EXPERIMENTS_PER_SEARCH = 200
OPEN = (RunStatus.SCHEDULED, RunStatus.RUNNING)


class NotServed(Exception):  # noqa: N818 - says what happened, not that it is an error
    """Another installation serves the namespace and takes care of the runs of its jobs."""


Lookup = Callable[[str, str], Awaitable[TrainingJob | None]]
# Whether the operator still closes the run of a TrainingJob: its namespace, name and uid.
Guarded = Callable[[str, str, str], bool]


class Sweeper:
    """Searches all servers periodically; `lookup` asks the API server itself, not a cache.

    It raises NotServed for a namespace that is not ours.
    """

    def __init__(
        self,
        server: Callable[[str], MlflowApi],
        uris: Iterable[str],
        cluster: str,
        lookup: Lookup,
        guarded: Guarded,
        on_closed: Callable[[], None],
        on_error: OnError,
    ) -> None:
        self._server = server
        self._uris = tuple(uris)
        self._cluster = cluster
        self._lookup = lookup
        self._guarded = guarded
        self._on_closed = on_closed
        self._on_error = on_error

    async def run(self) -> None:
        """Sweep at once, again when no earlier run is too young any more, then every ten minutes.

        Until cancelled.
        """
        await self.sweep_all()
        await asyncio.sleep(orphans.YOUNGEST.total_seconds())
        while True:
            await self.sweep_all()
            await asyncio.sleep(spread(SWEEP_SECONDS, 0.8, 1.2))

    async def sweep_all(self) -> None:
        """Search each server once; a server that fails does not affect the others."""
        for uri in self._uris:
            for server in await self._places(uri):
                await self._keep_going(uri, self._sweep(server))

    async def _places(self, uri: str) -> list[MlflowApi]:
        """The server's workspaces; the server itself where it has none."""
        server = self._server(uri)
        found: list[str] = []

        async def ask() -> None:
            found.extend(await server.workspaces())

        await self._keep_going(uri, ask())
        return [server.in_workspace(name) for name in found] or [server]

    async def _keep_going(self, uri: str, call: Awaitable[None]) -> None:
        try:
            await call
        except MlflowError as error:
            logger.warning("cannot search for runs without a job: %s", error)
        except Exception:
            logger.exception("cannot search for runs without a job on %s", uri)
            self._on_error("sweep")

    async def _sweep(self, server: MlflowApi) -> None:
        experiments = await server.experiment_ids()
        for start in range(0, len(experiments), EXPERIMENTS_PER_SEARCH):
            some = experiments[start : start + EXPERIMENTS_PER_SEARCH]
            for status in OPEN:
                for run in await self._open_runs(server, some, status):
                    try:
                        await self._close(server, run)
                    except MlflowError as error:
                        # Often this run's alone, as where its experiment is not ours to write.
                        logger.warning("run %s cannot be closed: %s", run.run_id, error)
                    except Exception:
                        logger.exception("run %s cannot be closed", run.run_id)
                        self._on_error("sweep")

    async def _open_runs(
        self, server: MlflowApi, experiments: list[str], status: RunStatus
    ) -> list[RunInfo]:
        ours = f"tags.`{contract.TAG_CLUSTER}` = '{self._cluster}'"
        return await server.all_runs(experiments, f"{ours} AND attributes.status = '{status}'")

    async def _close(self, server: MlflowApi, run: RunInfo) -> None:
        place = run.tags.get(contract.TAG_NAMESPACE, ""), run.tags.get(contract.TAG_NAME, "")
        if not all(place):
            return
        try:
            job = await self._lookup(*place)
        except NotServed:
            return
        except (ApiError, ValueError) as error:
            logger.warning("run %s: cannot look up job %s/%s: %s", run.run_id, *place, error)
            return
        now = datetime.now(UTC)
        started = border.instant_of_ms(run.start_time_ms) or now
        guarded = self._guarded(*place, run.tags.get(contract.TAG_UID, ""))
        end = orphans.right_end(run.run_id, run.tags, job, guarded, started, now)
        if end is None:
            return
        if (await server.get_run(run.run_id)).status not in OPEN:
            # The search is older than that: the job itself has ended it meanwhile.
            return
        status, ended = end
        end_ms = int(ended.timestamp() * 1000)
        await self._close_below(server, run, status, end_ms)
        if status == RunStatus.KILLED:
            await server.set_tags(run.run_id, {contract.TAG_OUTCOME: run_tags.DELETED})
        await server.set_status(run.run_id, status, end_ms)
        logger.warning("run %s of %s/%s was left open: %s", run.run_id, *place, status)
        self._on_closed()

    async def _close_below(
        self, server: MlflowApi, run: RunInfo, status: RunStatus, end_ms: int
    ) -> None:
        """Close what the job's pods left open; if that fails, the run itself still ends."""
        uid = run.tags.get(contract.TAG_UID, "")
        ending = Ending(uid, run.run_id, run.experiment_id, run.start_time_ms)
        try:
            await Leftovers(server).close(ending, status, end_ms)
        except MlflowError as error:
            logger.warning("cannot close what the pods of run %s left open: %s", run.run_id, error)

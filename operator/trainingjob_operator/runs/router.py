"""Keeps each job's MLflow run as its intent says, outside the path of the reconciles.

The reconciler only states its intent and reads what is known. Each server has workers and polls of
its own, so a server that hangs delays the runs on it and no others. So has each workspace of a
server, since a search covers one workspace.
"""

import asyncio
import logging
from collections.abc import Callable

from trainingjob_operator.adapters.mlflow_rest import MlflowApi
from trainingjob_operator.core.intent import RunIntent, RunView
from trainingjob_operator.runs.syncer import RunSyncer
from trainingjob_operator.runs.table import Changed, Correction, OnError

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0


class RunRouter:
    """The intents and the known state of all runs; one event loop."""

    def __init__(
        self,
        server: Callable[[str, str], MlflowApi],
        changed: Changed,
        corrected: Correction,
        on_error: OnError,
        poll_seconds: float,
    ) -> None:
        self._server = server
        self._changed = changed
        self._corrected = corrected
        self._on_error = on_error
        self._poll_seconds = poll_seconds
        self._servers: dict[tuple[str, str], RunSyncer] = {}
        self._start: Callable[[RunSyncer], object] | None = None

    def view(self, key: str, uid: str) -> RunView:
        """What is known of a job's run; nothing if only an earlier job of that name had one."""
        place = self._place(key)
        return RunView() if place is None else place.view(key, uid)

    def want(self, key: str, intent: RunIntent, *, new: bool = False) -> None:
        """Set the intent for a job's run; `new`: none can exist yet, which saves a search."""
        server, place = self._of(intent.tracking_uri, intent.workspace), self._place(key)
        if place is not None and place is not server:
            # That was an earlier job of the name.
            place.drop(key)
        server.want(key, intent, new=new)

    def settling(self, key: str, seconds: float) -> bool:
        """Whether MLflow is likely to confirm within `seconds` of the last change of intent."""
        place = self._place(key)
        return place is not None and place.settling(key, seconds)

    def forget(self, key: str) -> None:
        """Stop tracking a job that is gone; a run that has ended is still polled for a while."""
        place = self._place(key)
        if place is not None:
            place.forget(key)

    def forget_all(self) -> None:
        """Drop everything, as when another replica leads: the jobs' statuses bring it back."""
        for server in self._servers.values():
            server.forget_all()

    async def run(self, workers: int) -> None:
        """Call each server with this number of workers, and poll it, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._start = lambda server: tasks.create_task(self._keep(server, workers))
            try:
                for server in self._servers.values():
                    self._start(server)
                await asyncio.Future()
            finally:
                self._start = None

    async def _keep(self, server: RunSyncer, workers: int) -> None:
        """Confine any failure to its server."""
        while True:
            try:
                await server.run(workers)
            except Exception:
                logger.exception("the tracking of one server's runs failed and starts again")
                self._on_error("runs")
                await asyncio.sleep(AGAIN_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Start no more calls, and wait up to `seconds` for those that are under way."""
        await asyncio.gather(*(server.drain(seconds) for server in self._servers.values()))

    def _place(self, key: str) -> RunSyncer | None:
        return next((server for server in self._servers.values() if key in server), None)

    def _of(self, uri: str, workspace: str) -> RunSyncer:
        """The tracking of a server's workspace, which starts with the first job in it."""
        known = self._servers.get((uri, workspace))
        if known is not None:
            return known
        made = RunSyncer(
            self._server(uri, workspace),
            self._changed,
            self._corrected,
            self._on_error,
            self._poll_seconds,
        )
        self._servers[uri, workspace] = made
        if self._start is not None:
            self._start(made)
        return made

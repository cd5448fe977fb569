"""Brings one run in MLflow to what its intent says: found or created, status, tags."""

import logging
from dataclasses import replace
from datetime import datetime

from trainingjob_operator.adapters.mlflow_rest import MlflowApi, MlflowError, RunInfo
from trainingjob_operator.core import contract
from trainingjob_operator.core.intent import RunIntent
from trainingjob_operator.runs.record import RunRecord

logger = logging.getLogger(__name__)

DELETED_STAGE = "deleted"


class RunDeletedError(Exception):
    """The run is deleted, or gone where `info` is None; the message is for people."""

    def __init__(self, message: str, info: RunInfo | None) -> None:
        super().__init__(message)
        self.info = info


class RunWriter:
    """The calls for the runs of one server; the ids of experiments are kept."""

    def __init__(self, server: MlflowApi) -> None:
        self._server = server
        self._experiments: dict[str, str] = {}

    def forget_experiment(self, intent: RunIntent) -> None:
        """Look for it again: it may have been deleted and made anew under another id."""
        self._experiments.pop(intent.experiment, None)

    async def bring_about(self, tracked: RunRecord, intent: RunIntent, new: bool) -> RunInfo | None:
        """The run with the wanted status; None where there is none and none is to be made.

        Raises:
            MlflowError: MLflow did not do it; a repeat is harmless.
            RunDeletedError: somebody deleted the run.
        """
        info = tracked.info
        if info is None and not new:
            info = await self._find(intent)
        if info is None and intent.create:
            info = await self._create(intent)
        if info is None:
            return None
        tracked.info = info
        written = await self._tell_status(intent, info)
        # Kept before the tags are told: where these fail, the status is not written again.
        tracked.info = replace(written, tags=info.tags, metrics=info.metrics)
        await self._tell_tags(tracked, intent, info)
        if intent.status.terminal and info.metrics:
            # The last poll was a while ago: without this a job would have succeeded at 40 %.
            tracked.take_metrics((await self._server.get_run(info.run_id)).metrics)
        return written

    async def _tell_status(self, intent: RunIntent, info: RunInfo) -> RunInfo:
        if info.status == intent.status and bool(info.end_time_ms) == intent.status.terminal:
            return info
        end = _milliseconds(intent.ended_at) if intent.ended_at else 0
        written = await self._server.set_status(info.run_id, intent.status, end)
        logger.info("run %s -> %s", info.status, intent.status, extra={"run": info.run_id})
        return written

    async def _tell_tags(self, tracked: RunRecord, intent: RunIntent, info: RunInfo) -> None:
        """Write our own tags where they are others; those of the user stay as people edit them."""
        known = {**dict(tracked.tags), **info.tags}
        ours = dict(tag for tag in intent.tags if tag[0].startswith(contract.TAG_PREFIX))
        news = {key: value for key, value in ours.items() if known.get(key) != value}
        if news:
            await self._server.set_tags(info.run_id, news)

    async def _find(self, intent: RunIntent) -> RunInfo | None:
        """The stored run, else the active one with the uid tag.

        That one may have taken the place of a deleted one without that being stored.
        """
        stored = intent.identity
        info = await self._get(stored.run_id) if stored is not None else None
        if info is not None and info.lifecycle_stage != DELETED_STAGE:
            return info
        experiment = info.experiment_id if info else await self._experiment(intent)
        found = await self._server.find_runs(experiment, intent.uid)
        if found or stored is None:
            return found[0] if found else None
        message = gone(stored.run_id) if info is None else restore(stored.run_id)
        raise RunDeletedError(message, info)

    async def _get(self, run_id: str) -> RunInfo | None:
        try:
            return await self._server.get_run(run_id)
        except MlflowError as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    async def _create(self, intent: RunIntent) -> RunInfo:
        experiment = await self._experiment(intent)
        tags = dict(intent.tags)
        if intent.replaces is not None:
            tags[contract.TAG_REPLACES] = intent.replaces
        return await self._server.create_run(
            experiment, intent.name, _milliseconds(intent.created_at), tags
        )

    async def _experiment(self, intent: RunIntent) -> str:
        name = intent.experiment
        if name not in self._experiments:
            self._experiments[name] = await self._server.experiment_id(name)
        return self._experiments[name]


def restore(run_id: str) -> str:
    """The message about a run that can be had back."""
    return f"run {run_id} is deleted: restore it with `mlflow runs restore --run-id {run_id}`"


def gone(run_id: str) -> str:
    """The message about a run that cannot."""
    return f"run {run_id} is gone from MLflow for good"


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)

"""Brings one run in MLflow to what its intent says: found or created, status, tags."""

import logging
from dataclasses import replace

from trainingjob_operator.adapters.mlflow_rest import MlflowApi, MlflowError, RunInfo
from trainingjob_operator.core import contract
from trainingjob_operator.core.intent import RunIntent
from trainingjob_operator.runs.record import RunRecord

logger = logging.getLogger(__name__)

DELETED_STAGE = "deleted"
# Tries of what comes before an end. It is worth a moment, and not the end itself.
HELD_UP_AT_MOST = 3
OWN_TAGS = (
    contract.TAG_UID,
    contract.TAG_CLUSTER,
    contract.TAG_NAMESPACE,
    contract.TAG_NAME,
)


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

        One that was made just now for pods that are about to run has MLflow's first status,
        RUNNING: SCHEDULED is told by a repeat, if the intent is still that.

        The tags come before an end: whoever waits for that in MLflow finds them.

        Raises:
            MlflowError: MLflow did not do it; a repeat is harmless.
            RunDeletedError: somebody deleted the run.
        """
        info = tracked.info
        if info is None and not new:
            info = await self._find(tracked, intent)
        made = info is None and intent.create
        if made:
            info = await self._create(intent)
        if info is None:
            return None
        tracked.info = info
        if made and intent.starting:
            return info
        if not intent.status.terminal:
            written = await self._tell_status(tracked, intent, info)
            await self._tell_tags(tracked, intent, info)
            return written
        refused = await self._tags_of_end(tracked, intent, info)
        written = await self._tell_status(tracked, intent, info)
        if refused is not None:
            raise refused
        if info.metrics:
            # The last poll was a while ago: without this a job would have succeeded at 40 %.
            tracked.take_metrics((await self._server.get_run(info.run_id)).metrics)
        return written

    async def _tags_of_end(
        self, tracked: RunRecord, intent: RunIntent, info: RunInfo
    ) -> MlflowError | None:
        """Write the tags; returns why MLflow does not take them.

        Raises:
            MlflowError: once more may do; the run gets its end without them after a few times.
        """
        try:
            await self._tell_tags(tracked, intent, info)
        except MlflowError as error:
            if error.retryable and tracked.held_up < HELD_UP_AT_MOST:
                tracked.held_up += 1
                raise
            logger.warning("MLflow does not take the tags of the end: %s", error)
            return error
        return None

    async def _tell_status(self, tracked: RunRecord, intent: RunIntent, info: RunInfo) -> RunInfo:
        written = info
        if info.status != intent.status or bool(info.end_time_ms) != intent.status.terminal:
            written = await self._server.set_status(info.run_id, intent.status, intent.end_ms)
            logger.info("run %s -> %s", info.status, intent.status, extra={"run": info.run_id})
        # Kept before all is told: where the rest fails, the status is not written again.
        tracked.info = replace(written, tags=info.tags, metrics=info.metrics)
        tracked.confirmed = intent.status
        return written

    async def _tell_tags(self, tracked: RunRecord, intent: RunIntent, info: RunInfo) -> None:
        """Write our own tags where they are others; those of the user stay as people edit them."""
        known = {**dict(tracked.tags), **info.tags}
        ours = dict(tag for tag in intent.tags if tag[0].startswith(contract.TAG_PREFIX))
        news = {key: value for key, value in ours.items() if known.get(key) != value}
        if news:
            await self._server.set_tags(info.run_id, news)
            tracked.tags = tuple((dict(tracked.tags) | news).items())

    async def _find(self, tracked: RunRecord, intent: RunIntent) -> RunInfo | None:
        """The stored run, else the active one of the job's own tags and start.

        That one may have taken the place of a deleted one without that being stored. Anybody can
        write a tag: a run that has only the uid of the job is not touched.
        """
        stored = intent.identity
        info = await self._get(stored.run_id) if stored is not None else None
        if info is not None and info.lifecycle_stage != DELETED_STAGE:
            return info
        experiment = info.experiment_id if info else await self._experiment(intent)
        found = await self._server.find_runs(experiment, intent.uid)
        ours = [run for run in found if _is_own(run, intent)]
        foreign = [run.run_id for run in found if run not in ours]
        tracked.foreign = _foreign(foreign) if foreign else None
        if ours or stored is None:
            return ours[0] if ours else None
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
        return await self._server.create_run(experiment, intent.name, intent.created_ms, tags)

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


def _foreign(run_ids: list[str]) -> str:
    """The message about runs with the job's uid and another's name or start."""
    named = ", ".join(run_ids[:3]) + (", …" if len(run_ids) > 3 else "")
    return (
        f"not of this job, though they have its uid as a tag: {named}. "
        "Cluster, namespace, name or start time are others; the operator leaves them alone"
    )


def _is_own(run: RunInfo, intent: RunIntent) -> bool:
    wanted = dict(intent.tags)
    return run.start_time_ms == intent.created_ms and all(
        run.tags.get(tag) == wanted[tag] for tag in OWN_TAGS if tag in wanted
    )

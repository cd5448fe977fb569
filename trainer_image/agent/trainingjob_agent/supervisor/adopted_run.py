"""MLflow's client in the user's script, by MLflow's plugin interface for tracking stores.

`hook/` names it for http and https, so that MLflow builds it instead of its own store.
"""
# MLflow's stores have no annotations.
# mypy: allow-untyped-calls, no-warn-return-any

import os
import sys
from functools import cache, partial
from typing import Any

import mlflow
from mlflow.entities import Run, RunInfo, RunTag
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from trainingjob_agent.contract import OPENED_BY_TAG

_EXPERIMENT = "MLFLOW_EXPERIMENT_ID"
"""The pod has that of the job's run; `mlflow.set_experiment` changes it."""
_JOBS_RUN = "TRAININGJOB_MLFLOW_RUN_ID"
_JOBS_UID = "TRAININGJOB_UID"
_NOT_ADOPTED_YET = "MLFLOW_RUN_ID"
"""MLflow's fluent API removes it when it adopts the run."""
_NOT_OF_THE_JOBS_RUN = (MLFLOW_RUN_NAME, OPENED_BY_TAG)


class AdoptedRunStore(RestStore):
    """MLflow's own store, but for the run of the job.

    The script does not change its status, which is the operator's: neither to RUNNING when it
    adopts the run, nor to FINISHED at its exit. And the first run which it creates by a client, as
    Lightning's logger does, is this one, as it is with MLflow's fluent API. An experiment of the
    script's own is neither a reason to refuse the run nor made for it; what is asked of others, to
    find the runs in them, is answered as it is.
    """

    _adopted = False

    def get_run(self, run_id: str) -> Run:
        """Get a run (runs/get); as the fluent API adopts the job's, it goes to its experiment."""
        run = super().get_run(run_id)
        if run_id == os.environ.get(_JOBS_RUN) and not self._adopted and not _is_to_be_adopted():
            self._adopted = True
            experiment_id = run.info.experiment_id
            if os.environ.get(_EXPERIMENT, experiment_id) != experiment_id:
                _say_whose_experiment_it_is()
                mlflow.set_experiment(experiment_id=experiment_id)
        return run

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Any = None
    ) -> str:
        """Create an experiment; it is the job's as long as nobody has asked for the job's run."""
        if not _is_to_be_adopted():
            return super().create_experiment(name, artifact_location, tags)
        _say_whose_experiment_it_is()
        return self.get_run(os.environ[_JOBS_RUN]).info.experiment_id

    def update_run_info(
        self, run_id: str, run_status: Any, end_time: int | None, run_name: str | None
    ) -> RunInfo:
        """Update a run (runs/update); of the job's run only the name."""
        if run_id != os.environ.get(_JOBS_RUN):
            return super().update_run_info(run_id, run_status, end_time, run_name)
        if run_name:
            return super().update_run_info(run_id, None, None, run_name)
        return self.get_run(run_id).info

    def create_run(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: list[RunTag],
        run_name: str | None,
    ) -> Run:
        """Create a run (runs/create), or give the job's if nobody has asked for it yet.

        Another one gets the tag by which the operator closes it with the job.
        """
        child = any(tag.key == MLFLOW_PARENT_RUN_ID for tag in tags)
        if child or not _is_to_be_adopted():
            ours = _with_opener(tags)
            return super().create_run(experiment_id, user_id, start_time, ours, run_name)
        run_id = os.environ.pop(_NOT_ADOPTED_YET)
        self._adopted = True
        name = run_name or next((tag.value for tag in tags if tag.key == MLFLOW_RUN_NAME), None)
        if name:
            self.update_run_info(run_id, None, None, name)
        self.log_batch(run_id, [], [], [tag for tag in tags if tag.key not in _NOT_OF_THE_JOBS_RUN])
        return self.get_run(run_id)


def build_store(store_uri: str, **_: object) -> AdoptedRunStore:
    """Build the store for a server, as MLflow's registry asks for it."""
    return AdoptedRunStore(partial(get_default_host_creds, store_uri))


def _with_opener(tags: list[RunTag]) -> list[RunTag]:
    """With the tag that MLflow's fluent API adds by itself (MLFLOW_RUN_CONTEXT), a client not."""
    uid = os.environ.get(_JOBS_UID)
    if not uid or any(tag.key == OPENED_BY_TAG for tag in tags):
        return tags
    return [*tags, RunTag(OPENED_BY_TAG, uid)]


def _is_to_be_adopted() -> bool:
    run_id = os.environ.get(_NOT_ADOPTED_YET)
    return bool(run_id) and run_id == os.environ.get(_JOBS_RUN)


@cache
def _say_whose_experiment_it_is() -> None:
    sys.stderr.write(
        "trainingjob-exec: the job's run stays in its experiment, not in that of the script; "
        "spec.mlflow.experiment is the place for its name\n"
    )

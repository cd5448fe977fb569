"""MLflow's client in the user's script, by MLflow's plugin interface for tracking stores.

`hook/` names it for http and https, so that MLflow builds it instead of its own store.
"""
# MLflow's stores have no annotations.
# mypy: allow-untyped-calls, no-warn-return-any

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import Future
from typing import Any

import mlflow
from mlflow.entities import Run, RunInfo, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.async_logging.run_operations import RunOperations
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from trainingjob_agent.contract import OPENED_BY_TAG
from trainingjob_agent.supervisor.asking import REACH, ask_run, is_outage, unanswered_run
from trainingjob_agent.supervisor.jobs_run import JobsRun, rank_of_process
from trainingjob_agent.supervisor.kept_calls import KeptCalls
from trainingjob_agent.supervisor.run_log import RunLog

_IS_OPEN = "TRAININGJOB_RUN_IS_OPEN"
"""Set while the job's run is open in this process, or in the one that started it."""
_SAID_BY_OPERATOR = ("mlflow.user", "mlflow.source.", MLFLOW_RUN_NAME, OPENED_BY_TAG)
"""Tags that MLflow's client makes up from the process: the run has better ones, or none."""
_EXPERIMENT_NAME = "MLFLOW_EXPERIMENT_NAME"
_SYSTEM_METRICS = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


class AdoptedRunStore(RestStore):
    """MLflow's own store, but for the run of the job.

    What is logged to it goes to the process beside the script, which delivers it; no call waits.
    Its status is the operator's: opening and ending the run does not change it. It is the first run
    that the script creates, and again the one that is created after its end, unless that has
    another name. It stays in its experiment. What is asked of the server is answered as it is.
    """

    def __init__(self, get_host_creds: Any, job: JobsRun) -> None:
        super().__init__(get_host_creds)
        self._job = job
        self._log = RunLog(job)
        self._kept = KeptCalls(job, lambda: REACH.is_away(job))
        self._lock = threading.Lock()
        self._known: Run | None = None
        self._name: str | None = None
        self._adopted = False
        self._system_metrics: str | None = None

    def get_run(self, run_id: str) -> Run:
        """Get a run (runs/get); the job's as it was last known when the server does not answer."""
        if not self._job.has_id(run_id):
            return super().get_run(run_id)
        known_id = self._job.known_id()
        if known_id is None:
            return self._last_known()
        try:
            self._known = ask_run(self.get_host_creds(), known_id)
        except MlflowException as error:
            if not is_outage(error):
                raise
            # Whoever makes a model asks for the history of each metric that is listed here.
            return unanswered_run(self._job) if self._kept.makes_model else self._last_known()
        return self._known

    def log_batch(self, run_id: str, metrics: Any, params: Any, tags: Any) -> None:
        """Log to a run (runs/log-batch); to the job's without waiting."""
        if self._job.has_id(run_id):
            try:
                self._log.log(metrics, params, tags)
            except OSError as error:
                self._job.say_once("disk", f"the script waits for MLflow where it logs: {error}")
            else:
                return
        super().log_batch(run_id, metrics, params, tags)

    def log_metric(self, run_id: str, metric: Any) -> None:
        """Log one value, as `log_batch` does."""
        if self._job.has_id(run_id):
            return self.log_batch(run_id, [metric], [], [])
        return super().log_metric(run_id, metric)

    def log_param(self, run_id: str, param: Any) -> None:
        """Log one parameter, as `log_batch` does."""
        if self._job.has_id(run_id):
            return self.log_batch(run_id, [], [param], [])
        return super().log_param(run_id, param)

    def set_tag(self, run_id: str, tag: Any) -> None:
        """Set one tag, as `log_batch` does."""
        if self._job.has_id(run_id):
            return self.log_batch(run_id, [], [], [tag])
        return super().set_tag(run_id, tag)

    def log_batch_async(self, run_id: str, metrics: Any, params: Any, tags: Any) -> RunOperations:
        """Log as MLflow's asynchronous logging; for the job's run `log_batch` is as fast."""
        if not self._job.has_id(run_id):
            return super().log_batch_async(run_id, metrics, params, tags)
        self.log_batch(run_id, metrics, params, tags)
        done: Future[None] = Future()
        done.set_result(None)
        return RunOperations([done])

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Any = None
    ) -> str:
        """Create an experiment; it is the job's as long as the script has not opened the run."""
        if self._adopted or _IS_OPEN in os.environ:
            return super().create_experiment(name, artifact_location, tags)
        jobs = self._experiment_id()
        if not jobs:
            return super().create_experiment(name, artifact_location, tags)
        self._say_whose_experiment_it_is()
        return jobs

    def update_run_info(
        self, run_id: str, run_status: Any, end_time: int | None, run_name: str | None
    ) -> RunInfo:
        """Update a run (runs/update); of the job's run only the name."""
        if not self._job.has_id(run_id):
            return super().update_run_info(run_id, run_status, end_time, run_name)
        if run_name:
            self.log_batch(run_id, [], [], [RunTag(MLFLOW_RUN_NAME, run_name)])
        if run_status == RunStatus.RUNNING:  # opened by its id
            self._note_opening()
        elif run_status is not None and RunStatus.is_terminated(run_status):
            os.environ.pop(_IS_OPEN, None)
            self._allow_system_metrics()
        return self._last_known().info

    def create_run(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: list[RunTag],
        run_name: str | None,
    ) -> Run:
        """Open the job's run; create another (runs/create) where that is not what is meant."""
        name = run_name or next((tag.value for tag in tags if tag.key == MLFLOW_RUN_NAME), None)
        with self._lock:
            adopts = self._means_jobs_run(tags, name)
            if adopts:
                self._note_opening()
        if not adopts:
            self._allow_system_metrics()
            ours = _with_opener(tags, self._job.uid)
            return super().create_run(experiment_id, user_id, start_time, ours, run_name)
        self._keep_to_jobs_experiment(experiment_id)
        kept = [tag for tag in tags if not tag.key.startswith(_SAID_BY_OPERATOR)]
        if name and name != self._name:
            self._name = name
            kept.append(RunTag(MLFLOW_RUN_NAME, name))
        run_id = self._run_id()
        self.log_batch(run_id, [], [], kept)
        try:
            return self.get_run(run_id)
        except MlflowException as error:
            # The delivery waits until somebody has put that right, and says so.
            self._job.say_once("run", f"MLflow does not show the job's run: {error}")
            return self._last_known()

    def _note_opening(self) -> None:
        os.environ[_IS_OPEN] = "true"
        self._adopted = True
        self._prevent_system_metrics()

    def _means_jobs_run(self, tags: list[RunTag], name: str | None) -> bool:
        if any(tag.key == MLFLOW_PARENT_RUN_ID for tag in tags):
            return False
        if rank_of_process() > 0:
            return True
        if _IS_OPEN in os.environ:
            return False
        return not self._adopted or name is None or name == self._name

    def _last_known(self) -> Run:
        return self._known or unanswered_run(self._job)

    def _run_id(self) -> str:
        return self._job.known_id() or self._job.pending_id

    def _call_endpoint(self, api: Any, json_body: Any = None, *more: Any, **named: Any) -> Any:
        """Call the server, with the run's id in place of the one that stands for it.

        What is about models, data sets and further runs is kept while it is away.
        """
        endpoint = named.get("endpoint", more[0] if more else None)
        try:
            answer = self._kept.answer(api, json_body, endpoint)
        except OSError as error:
            self._job.say_once("disk", f"the script waits for MLflow where it logs: {error}")
            answer = None
        if answer is not None:
            return answer
        known_id = self._job.known_id() if self._job.run_id is None else None
        if json_body and known_id:
            json_body = json_body.replace(self._job.pending_id, known_id)
        try:
            answer = super()._call_endpoint(api, json_body, *more, **named)
        except MlflowException as error:
            if not is_outage(error):
                raise
            REACH.saw(away=True)
            answer = self._kept.keep(api, json_body)
            if answer is None:
                raise
        self._kept.remember(api, answer)
        return answer

    def _experiment_id(self) -> str:
        """Return the id of the job's experiment; nothing while the run is not known."""
        return self._job.experiment_id or self.get_run(self._run_id()).info.experiment_id

    def _keep_to_jobs_experiment(self, experiment_id: str) -> None:
        """Have further runs and searches of the fluent API go there, too."""
        jobs = self._experiment_id()
        if not jobs or (str(experiment_id) == jobs and _EXPERIMENT_NAME not in os.environ):
            return
        self._say_whose_experiment_it_is()
        with contextlib.suppress(MlflowException):  # it is away; the run itself is not affected
            mlflow.set_experiment(experiment_id=jobs)

    def _say_whose_experiment_it_is(self) -> None:
        self._job.say_once(
            "experiment",
            "the job's run stays in its experiment, not in that of the script; "
            "spec.mlflow.experiment is the place for its name",
        )

    def _prevent_system_metrics(self) -> None:
        """Keep MLflow's own monitor, which the fluent API starts next, from the job's run."""
        if os.environ.get(_SYSTEM_METRICS, "").lower() in {"true", "1"}:
            self._system_metrics = os.environ[_SYSTEM_METRICS]
            os.environ[_SYSTEM_METRICS] = "false"
            self._job.say_once(
                "system-metrics",
                "MLflow's own system metrics are off for the job's run: its monitor has them",
            )

    def _allow_system_metrics(self) -> None:
        if self._system_metrics is not None:
            os.environ[_SYSTEM_METRICS] = self._system_metrics
            self._system_metrics = None


def _with_opener(tags: list[RunTag], uid: str | None) -> list[RunTag]:
    """With the tag by which the operator closes a further run with the job.

    MLflow's fluent API adds it by itself (MLFLOW_RUN_CONTEXT), a client does not.
    """
    if not uid or any(tag.key == OPENED_BY_TAG for tag in tags):
        return tags
    return [*tags, RunTag(OPENED_BY_TAG, uid)]

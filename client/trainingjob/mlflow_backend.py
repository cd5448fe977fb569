"""`mlflow run --backend trainingjob`: a project of MLflow as a TrainingJob.

The backend's configuration has the options of `tj run`: `image` (or the project's `docker_env`),
`runtime`, `nodes`, `gpus`, `cpu`, `memory`, `queue`, `name`, `env`, `packages`; and `namespace`,
`context`.
"""

# Functions of MLflow have no annotations.
# mypy: allow-untyped-calls

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Param, RunStatus, RunTag
from mlflow.exceptions import ExecutionException
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.submitted_run import SubmittedRun
from mlflow.projects.utils import (
    fetch_and_validate_project,
    get_entry_point_command,
    load_project,
)
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT

from trainingjob.client import Client
from trainingjob.core.job import FAILED, STOPPED, SUCCEEDED
from trainingjob.errors import JobFailed, UserError
from trainingjob.run import Run

_IMAGE = "TRAININGJOB_IMAGE"
_PLACE = ("namespace", "context")
_OPTIONS = ("name", "runtime", "nodes", "gpus", "cpu", "memory", "queue", "env", "packages")
# What MLflow adds to the configuration.
_MLFLOWS = frozenset(
    {"ENV_MANAGER", "SYNCHRONOUS", "DOCKER_ARGS", "STORAGE_DIR", "build_image", "docker_auth"}
)
_RUN_SECONDS = 60.0
_POLL_SECONDS = 0.5


class Backend(AbstractBackend):
    """Starts an entry point of a project; parameters are in its command and in the run."""

    def run(
        self,
        project_uri: str,
        entry_point: str,
        params: dict[str, Any],
        version: str | None,
        backend_config: dict[str, Any],
        tracking_uri: str,
        experiment_id: str,
    ) -> "SubmittedJob":
        """Start it with the files of the project.

        Raises:
            ExecutionException: the configuration, the API server or the operator refuses it.
        """
        directory = fetch_and_validate_project(project_uri, version, entry_point, params)
        project = load_project(directory)
        [command] = get_entry_point_command(project, entry_point, params, None)
        client = MlflowClient(tracking_uri)
        try:
            given = options(backend_config, project.docker_env or {})
            image = given.pop("image")
            place = {key: given.pop(key, None) for key in _PLACE}
            started = Client(place["namespace"], context=place["context"]).submit(
                ["sh", "-c", command],
                image=image,
                workdir=Path(directory),
                experiment=client.get_experiment(experiment_id).name,
                called=entry_point,
                **given,
            )
            run_id = _run_id(started)
        except UserError as error:
            raise ExecutionException(str(error)) from error
        client.log_batch(
            run_id,
            params=[Param(key, str(value)) for key, value in params.items()],
            tags=[RunTag(MLFLOW_PROJECT_ENTRY_POINT, entry_point)],
        )
        return SubmittedJob(started, run_id, client)


class SubmittedJob(SubmittedRun):
    """A TrainingJob as MLflow follows it."""

    def __init__(self, job: Run, run_id: str, client: MlflowClient) -> None:
        self._job = job
        self._run_id = run_id
        self._client = client

    @property
    def run_id(self) -> str:
        """Id of the MLflow run."""
        return self._run_id

    def wait(self) -> bool:
        """Wait for the end of job and run, and print the output; whether it succeeded."""
        for line in self._job.logs(follow=True):
            print(line)
        try:
            self._job.wait()
        except JobFailed as failed:
            print(failed)
            return False
        finally:
            self._wait_for_the_run()
        return True

    def _wait_for_the_run(self) -> None:
        """Whoever calls `mlflow run` looks at the run next, which ends just after the job."""
        deadline = time.monotonic() + _RUN_SECONDS
        while time.monotonic() < deadline:
            status = RunStatus.from_string(self._client.get_run(self._run_id).info.status)
            if RunStatus.is_terminated(status):
                return
            time.sleep(_POLL_SECONDS)

    def get_status(self) -> str:
        """Name of the status, as of now."""
        ended = {
            SUCCEEDED: RunStatus.FINISHED, FAILED: RunStatus.FAILED, STOPPED: RunStatus.KILLED
        }  # fmt: skip
        return str(RunStatus.to_string(ended.get(self._job.refresh().state, RunStatus.RUNNING)))

    def cancel(self) -> None:
        """Stop the job; its run becomes KILLED."""
        self._job.stop()


def options(backend_config: Mapping[str, Any], docker_env: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Client.submit`, `namespace` and `context` from a configuration.

    Raises:
        UserError: it has anything else in it, or no image is named.
    """
    known = ("image", *_OPTIONS, *_PLACE)
    given = {key: value for key, value in backend_config.items() if key not in _MLFLOWS}
    others = sorted(set(given) - set(known))
    if others:
        raise UserError(
            f"the backend's configuration has {', '.join(others)}", f"it takes {', '.join(known)}"
        )
    image = given.get("image") or docker_env.get("image") or os.environ.get(_IMAGE)
    if not image and not given.get("runtime"):
        raise UserError(
            "no image",
            f"name one as image of the backend's configuration or by {_IMAGE}, or a runtime",
        )
    return {**given, "image": image or ""}


def _run_id(job: Run) -> str:
    deadline = time.monotonic() + _RUN_SECONDS
    while (found := job.mlflow_run_id) is None:
        if time.monotonic() > deadline:
            raise UserError(
                f"{job.name} has no run yet",
                "it goes on; tj doctor says whether the operator runs and MLflow answers",
            )
        time.sleep(_POLL_SECONDS)
    return found

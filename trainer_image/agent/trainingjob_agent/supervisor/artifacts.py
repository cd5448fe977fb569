"""MLflow's artifact repository in the user's script: a file outlasts an outage of the server.

`hook/` names it for the scheme of artifacts that pass through the tracking server.
"""
# MLflow's repositories have no annotations.
# mypy: allow-untyped-calls

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.store.artifact.artifact_repo import verify_artifact_path
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

from trainingjob_agent.delivery import KeptFiles, is_outage
from trainingjob_agent.delivery.bundles import KEPT_PATH, Bundles
from trainingjob_agent.supervisor.asking import REACH
from trainingjob_agent.supervisor.jobs_run import JobsRun
from trainingjob_agent.supervisor.kept_calls import MODELS_ARE_KEPT

_OF_MODEL = re.compile(r"/(?:kept-models|models)/(m-[\w-]+)(?:/artifacts)?/?(.*)$")


class JobsArtifacts(MlflowArtifactsRepository):
    """MLflow's own, but a file for the job's run that the server does not take now is kept.

    So is one of a model. The process beside the script uploads it when the server is back.
    """

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Upload a file, or keep it for later; further files of an outage are kept at once."""
        job = JobsRun.from_environment()
        keep = _keeper(self.artifact_uri, job) if job is not None else None
        if job is None or keep is None:
            super().log_artifact(local_file, artifact_path)
            return
        verify_artifact_path(artifact_path)
        file, path = Path(local_file), artifact_path or ""
        if (KEPT_PATH in self.artifact_uri or REACH.is_away(job)) and keep(file, path):
            return
        try:
            super().log_artifact(local_file, artifact_path)
        except Exception as error:
            if not is_outage(error):
                raise
            REACH.saw(away=True)
            if not keep(file, path):
                raise


def _keeper(artifact_uri: str, job: JobsRun) -> Callable[[Path, str], bool] | None:
    """Return what keeps a file of the job's run, or of a model; None for what is of neither."""
    uri_path = urlsplit(artifact_uri).path
    run_id = job.known_id()
    root = f"/{run_id}/artifacts"
    if run_id is not None and root in uri_path:
        place = uri_path.partition(root)[2].strip("/")
        return lambda file, path: _kept(job, file, posixpath.join(place, path))
    model = _OF_MODEL.search(uri_path)
    if model is None:
        return None
    model_id, place = model.groups()
    return lambda file, path: _kept_with_model(job, model_id, file, posixpath.join(place, path))


def _kept(job: JobsRun, file: Path, path: str) -> bool:
    try:
        KeptFiles(job.kept_files).put(file, path)
    except OSError as error:
        return _no_room(job, file, error)
    job.say_once(
        "artifacts", "MLflow is away: files for the job's run are kept, to be uploaded later"
    )
    return True


def _kept_with_model(job: JobsRun, model_id: str, file: Path, path: str) -> bool:
    try:
        Bundles(job.bundles).open(model_id).add_file(file, path)
    except OSError as error:
        return _no_room(job, file, error)
    job.say_once("models", MODELS_ARE_KEPT)
    return True


def _no_room(job: JobsRun, file: Path, error: OSError) -> bool:
    job.say_once("no-room", f"{file} cannot be kept for MLflow, which is away: {error}")
    return False

"""MLflow's artifact repository in the user's script: a file outlasts an outage of the server.

`hook/` names it for the scheme of artifacts that pass through the tracking server.
"""
# MLflow's repositories have no annotations.
# mypy: allow-untyped-calls

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.store.artifact.artifact_repo import verify_artifact_path
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

from trainingjob_agent.delivery.bundles import RUN_STAND_IN, STAND_IN, Bundles
from trainingjob_agent.delivery.kept_files import KeptFiles
from trainingjob_agent.delivery.outage import is_outage
from trainingjob_agent.supervisor.asking import KEPT_RUN, REACH
from trainingjob_agent.supervisor.jobs_run import JobsRun
from trainingjob_agent.supervisor.kept_calls import MODELS_ARE_KEPT
from trainingjob_agent.supervisor.kept_runs import RUNS_ARE_KEPT

_FILES_ARE_KEPT = "MLflow is away: files for the job's run are kept, to be uploaded later"
_OF_RUN = re.compile(rf"/(?:further-runs/({RUN_STAND_IN}\w+)|([0-9a-f]{{32}})/artifacts)/?(.*)$")
_OF_MODEL = re.compile(r"/(?:kept-models|models)/(m-[\w-]+)(?:/artifacts)?/?(.*)$")


class JobsArtifacts(MlflowArtifactsRepository):
    """MLflow's own, but a file for the job's run that the server does not take now is kept.

    So is one of a model or of a further run. The process beside the script uploads it when the
    server is back.
    """

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Upload a file, or keep it for later; further files of an outage are kept at once.

        Raises:
            OSError: there is no room for a file of which the server cannot know yet.
        """
        job = JobsRun.from_environment()
        place = _place_of(self.artifact_uri, job) if job is not None else None
        if job is None or place is None:
            super().log_artifact(local_file, artifact_path)
            return
        verify_artifact_path(artifact_path)
        file, path = Path(local_file), artifact_path or ""
        if not place.known:
            place.keep(file, path)
            return
        if REACH.is_away(job) and place.has_kept(file, path):
            return
        try:
            super().log_artifact(local_file, artifact_path)
        except Exception as error:
            if not is_outage(error):
                raise
            REACH.saw(away=True)
            if not place.has_kept(file, path):
                raise


@dataclass(frozen=True)
class _Place:
    """Where files go: in the artifacts of the job's run, of a further one, or of a model.

    `known` says that the server knows the run or the model.
    """

    job: JobsRun
    path: str
    model_id: str | None = None
    run_id: str | None = None
    known: bool = True

    def keep(self, file: Path, path: str) -> None:
        """Keep a file for later.

        Raises:
            OSError: there is no room for it.
        """
        whole = posixpath.join(self.path, path)
        if self.run_id is not None:
            Bundles(self.job.bundles).put_file(self.run_id, file, whole)
            self.job.say_once("runs", RUNS_ARE_KEPT)
        elif self.model_id is None:
            KeptFiles(self.job.kept_files).put(file, whole)
            self.job.say_once("artifacts", _FILES_ARE_KEPT)
        else:
            Bundles(self.job.bundles).open(self.model_id).add_file(file, whole)
            self.job.say_once("models", MODELS_ARE_KEPT)

    def has_kept(self, file: Path, path: str) -> bool:
        """Keep a file if there is room for it."""
        try:
            self.keep(file, path)
        except OSError as error:
            text = f"{file} cannot be kept for MLflow, which is away: {error}"
            self.job.say_once("no-room", text)
            return False
        return True


def _place_of(artifact_uri: str, job: JobsRun) -> _Place | None:
    """Return what a repository is for; None where that is neither a run nor a model."""
    uri_path = urlsplit(artifact_uri).path
    for root, known in ((f"/{job.known_id()}/artifacts", True), (KEPT_RUN, False)):
        if root in uri_path:
            return _Place(job, uri_path.partition(root)[2].strip("/"), known=known)
    if urlsplit(artifact_uri).netloc not in ("", urlsplit(job.tracking_uri).netloc):
        return None
    model, run = _OF_MODEL.search(uri_path), _OF_RUN.search(uri_path)
    if model is not None:
        model_id, path = model.groups()
        return _Place(job, path, model_id, known=not model_id.startswith(STAND_IN))
    if run is not None:
        stand_in, run_id, path = run.groups()
        return _Place(job, path, run_id=stand_in or run_id, known=stand_in is None)
    return None

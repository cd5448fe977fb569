"""MLflow's artifact repository in the user's script: a file outlasts an outage of the server.

`hook/` names it for the scheme of artifacts that pass through the tracking server.
"""
# MLflow's repositories have no annotations.
# mypy: allow-untyped-calls

import posixpath
import time
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.store.artifact.artifact_repo import verify_artifact_path
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

from trainingjob_agent.delivery import KeptFiles, is_outage
from trainingjob_agent.supervisor.jobs_run import JobsRun

_PATIENCE_SECONDS = 60.0
"""After a failure, for which further files are kept without a try: each takes MLflow minutes."""


class _LastFailure:
    seconds = float("-inf")


_last_failure = _LastFailure()


class JobsArtifacts(MlflowArtifactsRepository):
    """MLflow's own, but a file for the job's run that the server does not take now is kept.

    The process beside the script uploads it as soon as the server is back.
    """

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Upload a file, or keep it for later; further files of an outage are kept at once."""
        job = JobsRun.from_environment()
        place = _place_in_run(self.artifact_uri, job)
        if job is None or place is None:
            super().log_artifact(local_file, artifact_path)
            return
        verify_artifact_path(artifact_path)
        path = posixpath.join(place, artifact_path or "")
        away = time.monotonic() - _last_failure.seconds < _PATIENCE_SECONDS
        if away and _kept(job, local_file, path):
            return
        try:
            super().log_artifact(local_file, artifact_path)
        except Exception as error:
            if not is_outage(error):
                raise
            _last_failure.seconds = time.monotonic()
            if not _kept(job, local_file, path):
                raise


def _place_in_run(artifact_uri: str, job: JobsRun | None) -> str | None:
    """Return where a repository is in the artifacts of the job's run; None outside of them."""
    run_id = job.known_id() if job is not None else None
    if run_id is None:
        return None
    root = f"/{run_id}/artifacts"
    path = urlsplit(artifact_uri).path
    return path.partition(root)[2].strip("/") if root in path else None


def _kept(job: JobsRun, file: str, path: str) -> bool:
    try:
        KeptFiles(job.kept_files).put(Path(file), path)
    except OSError as error:
        job.say_once("no-room", f"{file} cannot be kept for MLflow, which is away: {error}")
        return False
    job.say_once(
        "artifacts", "MLflow is away: files for the job's run are kept, to be uploaded later"
    )
    return True

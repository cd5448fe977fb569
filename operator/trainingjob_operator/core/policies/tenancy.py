"""Which server, experiment and workspace a job uses, and which it may not use.

All jobs of a server share the operator's login there: these rules keep the jobs of one namespace
out of the experiments of another.
"""

import re

from trainingjob_operator.api import Failure, TrainingJob
from trainingjob_operator.core.policies import runtimes
from trainingjob_operator.core.reasons import Reason
from trainingjob_operator.core.tracking_uris import PLACEHOLDER, Tracking, TrackingUris

ANY = "*"
# Stands for any text in the name of the default experiment.
DEFAULT = "default"


def tracking(job: TrainingJob, uris: TrackingUris) -> Tracking | None:
    """The location of the job's run; None if it may not have what it requests, or not yet.

    A job that has started keeps its server and workspace when the operator's settings change: its
    run is there, and its pods write to it.
    """
    stored = job.status.mlflow
    if stored is not None and stored.tracking_uri and (stored.run_id or job.status.attempts):
        return uris.tracking(stored.tracking_uri, stored.workspace or "")
    uri = uris.resolve(job.spec.mlflow.tracking_uri)
    if uri is None or runtimes.lacks_one(job) or refusal(job, uris) is not None:
        return None
    return uris.tracking(uri, _workspace(job, uris, uri))


def refusal(job: TrainingJob, uris: TrackingUris) -> Failure | None:
    """Why the job may not start, with the field, the rule and the remedy."""
    asked = job.spec.mlflow.tracking_uri
    uri = uris.resolve(asked)
    if uri is None:
        return Failure(
            reason=Reason.TRACKING_URI_NOT_ALLOWED,
            message=f"spec.mlflow.trackingUri {asked} is not allowed: leave it out to use the "
            "operator's server, or have it added to the operator's mlflow.allowedTrackingUris",
        )
    return _refused_experiment(job, uris) or _refused_workspace(job, uris, uri)


def experiment(job: TrainingJob, uris: TrackingUris) -> str:
    """The experiment that the job requests, or that of its namespace."""
    return job.spec.mlflow.experiment or _default_experiment(job, uris)


def _default_experiment(job: TrainingJob, uris: TrackingUris) -> str:
    """The namespace's name where the pattern allows that, else the shortest that it does."""
    namespace, pattern = job.metadata.namespace, _pattern(job, uris)
    if not pattern or _matches(pattern, namespace):
        return namespace
    return pattern.replace(ANY, DEFAULT)


def _refused_experiment(job: TrainingJob, uris: TrackingUris) -> Failure | None:
    asked, pattern = job.spec.mlflow.experiment, _pattern(job, uris)
    if asked is None or not pattern or _matches(pattern, asked):
        return None
    return Failure(
        reason=Reason.EXPERIMENT_NOT_ALLOWED,
        message=f"spec.mlflow.experiment {asked!r} is not allowed in the namespace "
        f"{job.metadata.namespace}: the operator's mlflow.experimentPattern "
        f"{uris.experiment_pattern} allows {pattern}; choose such a name, or leave the field out "
        f"to use {_default_experiment(job, uris)}",
    )


def _refused_workspace(job: TrainingJob, uris: TrackingUris, uri: str) -> Failure | None:
    asked, bound = job.spec.mlflow.workspace, _bound_workspace(job, uris, uri)
    if asked is None or bound is None or asked == bound:
        return None
    gives = f"gives it {bound}" if bound else "does not name it"
    return Failure(
        reason=Reason.WORKSPACE_NOT_ALLOWED,
        message=f"spec.mlflow.workspace {asked} is not allowed in the namespace "
        f"{job.metadata.namespace}: the operator's mlflow.workspaces {gives}; leave the field out, "
        "or have the workspace mapped to the namespace",
    )


def _workspace(job: TrainingJob, uris: TrackingUris, uri: str) -> str:
    return job.spec.mlflow.workspace or _bound_workspace(job, uris, uri) or ""


def _bound_workspace(job: TrainingJob, uris: TrackingUris, uri: str) -> str | None:
    """The workspace of the job's namespace, "" for the default one; None where any will do."""
    namespace, mapped = job.metadata.namespace, uris.workspaces.get(uri)
    if not mapped:
        return None
    return mapped.get(namespace, mapped.get(ANY, "")).replace(PLACEHOLDER, namespace)


def _pattern(job: TrainingJob, uris: TrackingUris) -> str:
    return uris.experiment_pattern.replace(PLACEHOLDER, job.metadata.namespace)


def _matches(pattern: str, name: str) -> bool:
    expression = ".*".join(re.escape(part) for part in pattern.split(ANY))
    return re.fullmatch(expression, name, re.DOTALL) is not None

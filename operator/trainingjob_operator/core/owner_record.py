"""The record of a TrainingJob in its child Jobs, enough to close the run without the TrainingJob.

A TrainingJob disappears as soon as somebody deletes it. Its Jobs, which our finalizer keeps, are
then all that a restarted operator has.
"""

from datetime import datetime

from pydantic import ValidationError

from trainingjob_operator.api import (
    Attempt,
    Mlflow,
    ObjectMeta,
    State,
    TrainingJob,
    TrainingJobSpec,
    TrainingJobStatus,
)
from trainingjob_operator.core import border, contract
from trainingjob_operator.core.decode import job_view
from trainingjob_operator.core.metadata import Raw
from trainingjob_operator.core.observe import JobView
from trainingjob_operator.core.tracking_uris import Tracking

# Bytes of our annotation: a tracking URI, an experiment's and a run's name.
MLFLOW_LIMIT = 16384
MAX_ATTEMPT = 2**31 - 1


def annotations(job: TrainingJob, tracking: Tracking) -> dict[str, str]:
    """The annotations of a child Job: the TrainingJob's creation, and the location of its run."""
    place = {"tracking_uri": tracking.uri, "workspace": tracking.workspace or None}
    mlflow = job.spec.mlflow.model_copy(update=place)
    record = {
        contract.ANNOTATION_MLFLOW: mlflow.model_dump_json(exclude={"tags"}, exclude_none=True)
    }
    created = job.metadata.creation_timestamp
    if created is not None:
        record[contract.ANNOTATION_CREATED] = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    return record


def trainingjob(raw: Raw, now: datetime) -> TrainingJob:
    """The TrainingJob that a child Job (batch/v1) belonged to, as a deleted one.

    Anybody may edit a Job, so this names no run: the operator searches for the one with the right
    uid, name, namespace and start, on a server that its settings allow.
    """
    view, metadata = job_view(raw), raw["metadata"]
    known = metadata.get("annotations") or {}
    number = border.whole(metadata.get("labels", {}).get(contract.LABEL_ATTEMPT), 1, MAX_ATTEMPT)
    ended = _completed_before_its_deletion(view)
    return TrainingJob(
        metadata=ObjectMeta(
            name=view.owner,
            namespace=view.namespace,
            uid=view.owner_uid,
            creation_timestamp=border.instant(known.get(contract.ANNOTATION_CREATED)),
            deletion_timestamp=view.deleted_at or now,
        ),
        # Nothing is created from this spec any more.
        spec=TrainingJobSpec(image="none", mlflow=_mlflow(known.get(contract.ANNOTATION_MLFLOW))),
        status=TrainingJobStatus(
            state=State.SUCCEEDED if ended else State.RUNNING,
            attempt=number or 1,
            attempts=[Attempt(attempt=number or 1, job=view.name)],
            completion_time=view.ended_at if ended else None,
        ),
    )


def _mlflow(value: object) -> Mlflow:
    text = border.text(value, MLFLOW_LIMIT)
    try:
        return Mlflow.model_validate_json(text) if text else Mlflow()
    except ValidationError:
        # Somebody edited it: then the sweep closes the run.
        return Mlflow()


def _completed_before_its_deletion(view: JobView) -> bool:
    if not view.complete or view.ended_at is None:
        return False
    return view.deleted_at is None or view.ended_at <= view.deleted_at

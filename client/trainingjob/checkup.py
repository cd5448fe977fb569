"""`tj doctor`: looks at everything that a job needs, and says what to do about what is missing."""

import os
from collections.abc import Iterator
from importlib import resources

from trainingjob.adapters import kubectl, probe, tracking
from trainingjob.adapters.kube import Cluster
from trainingjob.core import checkup
from trainingjob.core import job as jobs
from trainingjob.core.checkup import Finding
from trainingjob.core.job import Job
from trainingjob.errors import UserError

_RUNNING = "Running"


def examine(context: str | None, namespace: str | None) -> Iterator[Finding]:
    """All findings; nothing more after one without which the others make no sense."""
    try:
        cluster = Cluster.connect(context, namespace)
        survey = cluster.survey()
        yield Finding(True, f"the API server {survey.server} answers, {survey.version()}")
        missing = [right for right in checkup.NEEDED if survey.lacks(right)]
        yield checkup.of_rights(missing, cluster.namespace)
        found = [jobs.read(one) for one in cluster.training_jobs()]
        yield Finding(True, f"{len(found)} TrainingJobs in namespace {cluster.namespace}")
        yield checkup.of_operators(survey.operators())
        yield checkup.of_gpus(survey.gpus())
        yield checkup.of_queues(survey.queues(), cluster.namespace)
    except UserError as error:
        yield checkup.of_error(error)
        return
    known = next((job.tracking_uri for job in reversed(found) if job.tracking_uri), None)
    uri = os.environ.get(tracking.URI) or known
    yield checkup.of_mlflow(uri, probe.problem_of(uri) if uri else None)
    try:
        yield _in_a_pod(cluster, context, found)
    except UserError as error:
        yield checkup.of_pods_unasked(error)


def _in_a_pod(cluster: Cluster, context: str | None, found: list[Job]) -> Finding:
    """Whether MLflow answers in the first pod that runs."""
    source = resources.files("trainingjob.pod").joinpath("reaching.py").read_text()
    for job in found:
        if job.state != _RUNNING or job.tracking_uri is None:
            continue
        for pod in sorted(cluster.pods(job.uid)):
            if pod.phase == _RUNNING:
                problem = kubectl.python(pod.name, cluster.namespace, context, source)
                return checkup.of_mlflow_in_a_pod(pod.name, job.tracking_uri, problem)
    return checkup.of_pods_unasked()

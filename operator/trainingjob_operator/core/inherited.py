"""Labels and annotations of a TrainingJob that its Jobs and pods get, too.

Cost tools read them on the pods, admission policies on both, and Kueue on the Job.
"""

from collections.abc import Mapping

from trainingjob_operator.api import GROUP, TrainingJob
from trainingjob_operator.core import contract

# Tools that apply objects recognise their own by such keys: a copy would make them delete objects
# that they never applied; a Service that selects app.kubernetes.io/name would send traffic to pods.
APPLIERS = (
    "argoproj.io",
    "cattle.io",
    "fluxcd.io",
    "helm.sh",
    "k14s.io",
    "k8s.io",
    "kubernetes.io",
    "x-k8s.io",
)
# On a pod the label of a queue would hold that pod back by itself.
KUEUE = "kueue.x-k8s.io"


def queue(job: TrainingJob) -> str | None:
    """The Kueue LocalQueue of the job: spec.queueName, else Kueue's own label.

    With a runtime that label is in the spec already, as far as the runtime allows it.
    """
    if job.status.runtime is not None:
        return job.spec.queue_name
    return job.spec.queue_name or job.metadata.labels.get(contract.LABEL_QUEUE) or None


def by_job(entries: Mapping[str, str]) -> dict[str, str]:
    """The labels or annotations of a TrainingJob that its Jobs get."""
    return {key: value for key, value in entries.items() if _below(key, KUEUE) or _passed_on(key)}


def by_pods(entries: Mapping[str, str]) -> dict[str, str]:
    """The labels or annotations of a TrainingJob that its pods get."""
    return {key: value for key, value in entries.items() if _passed_on(key)}


def _passed_on(key: str) -> bool:
    return not any(_below(key, domain) for domain in (GROUP, *APPLIERS))


def _below(key: str, domain: str) -> bool:
    """Whether the prefix of a key is a domain or below it; a key without one is its author's."""
    prefix, slash, _ = key.rpartition("/")
    return bool(slash) and f".{prefix}".endswith(f".{domain}")

"""Names and labels of all that belongs to a TrainingJob: deterministic, so a repeat conflicts."""

from trainingjob_operator.core import contract

JOB_COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"


def key(namespace: str, name: str) -> str:
    """The queue key of a TrainingJob."""
    return f"{namespace}/{name}"


def split_key(job_key: str) -> tuple[str, str]:
    """Namespace and name of a queue key."""
    namespace, _, name = job_key.partition("/")
    return namespace, name


def child_job(name: str, attempt: int) -> str:
    """The batch/v1 Job of one attempt."""
    return f"{name}-{attempt}"


def checkpoint_claim(name: str, uid: str) -> str:
    """The PersistentVolumeClaim that is made for a job; the uid keeps it apart from a kept one."""
    return f"{name}-checkpoints-{uid[:8]}"


def taken(kind: str, name: str) -> str:
    """The message about an object with a name that we need and another owner."""
    return (
        f"{kind} {name} exists and does not belong to this TrainingJob: "
        "delete it or give the TrainingJob another name"
    )


def labels(name: str, uid: str, attempt: int) -> dict[str, str]:
    """Labels of an attempt's Job and pods."""
    return {**service_selector(name, uid), contract.LABEL_ATTEMPT: str(attempt)}


def service_selector(name: str, uid: str) -> dict[str, str]:
    """Labels that all pods of a TrainingJob share over its attempts."""
    return {
        contract.LABEL_MANAGED_BY: contract.MANAGED_BY,
        contract.LABEL_NAME: name,
        contract.LABEL_UID: uid,
    }

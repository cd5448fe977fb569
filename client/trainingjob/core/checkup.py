"""What `tj doctor` finds out: each answer with what to do about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trainingjob.core import wire
from trainingjob.errors import UserError


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer; `good` is None where this login may not see it."""

    good: bool | None
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that `tj` does in the API server."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        below = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {self.resource}{below}"


NEEDED = (
    *(
        Right(verb, wire.PLURAL, wire.GROUP)
        for verb in ("list", "get", "watch", "create", "patch", "delete")
    ),
    Right("create", "configmaps"),
    Right("get", "configmaps"),
    Right("list", "pods"),
    Right("get", "pods", subresource="log"),
    Right("list", "events"),
    Right("list", "jobs", "batch"),
)


def of_error(error: UserError) -> Finding:
    """A call that was not answered as it should be."""
    return Finding(False, error.message, error.remedy)


def of_rights(missing: Sequence[Right], namespace: str) -> Finding:
    """The rights of this login in its namespace."""
    if not missing:
        return Finding(True, f"all rights in namespace {namespace}")
    return Finding(
        False,
        f"no right in namespace {namespace} to {', '.join(map(str, missing))}",
        f"ask for the role edit in namespace {namespace}, or choose another --namespace",
    )


def of_operators(ready: Sequence[int] | None) -> Finding:
    """The ready replicas of each Deployment of the operator; None where they cannot be seen."""
    if ready is None:
        return Finding(None, "whether the operator runs, this login may not see")
    if sum(ready):
        return Finding(True, f"the operator runs, {sum(ready)} ready")
    return Finding(
        False,
        "the operator does not run" if ready else "there is no operator in the cluster",
        "its log: kubectl logs --all-namespaces --selector "
        "app.kubernetes.io/name=trainingjob-operator; docs/install.md",
    )


def of_gpus(gpus: Iterable[int] | None) -> Finding:
    """The NVIDIA GPUs that each node can give; None where nodes cannot be seen."""
    if gpus is None:
        return Finding(None, "which GPUs there are, this login may not see")
    having = [count for count in gpus if count]
    if not having:
        return Finding(True, "no NVIDIA GPUs: jobs with --gpus would wait for ever")
    return Finding(True, f"{sum(having)} NVIDIA GPUs on {len(having)} nodes")


def of_queues(names: Sequence[str] | None, namespace: str) -> Finding:
    """The LocalQueues of the namespace; None without Kueue."""
    if names is None:
        return Finding(True, "no queues of Kueue to be seen: leave --queue out")
    if not names:
        return Finding(True, f"no LocalQueue in namespace {namespace}: leave --queue out")
    return Finding(True, f"queues: {', '.join(sorted(names))}")


def of_mlflow(uri: str | None, problem: str | None) -> Finding:
    """Whether the server of the runs answers from this machine."""
    if uri is None:
        return Finding(
            None,
            "where MLflow is, no job of the namespace says yet",
            "set MLFLOW_TRACKING_URI, or ask again after the first job",
        )
    if problem is None:
        return Finding(True, f"MLflow at {uri} answers")
    return Finding(
        False,
        f"MLflow at {uri} does not answer from here: {problem}",
        "only logs of pods that are gone, and results, need it: set MLFLOW_TRACKING_URI to an "
        "address that this machine reaches",
    )


def of_mlflow_in_a_pod(pod: str, uri: str, problem: str) -> Finding:
    """Whether the server of the runs answers in a pod of a job; an empty problem: it does."""
    if not problem:
        return Finding(True, f"MLflow at {uri} answers in pod {pod}")
    return Finding(
        False,
        f"MLflow at {uri} does not answer in pod {pod}: {problem}",
        "look at the network policies of the namespace and at mlflow.trackingUri of the operator "
        "(docs/install.md)",
    )


def of_pods_unasked(error: UserError | None = None) -> Finding:
    """Whether MLflow answers in pods, where none could be asked; for an error, or as none runs."""
    return Finding(
        None,
        f"whether MLflow answers in pods: {error.message if error else 'no pod of a job runs'}",
        error.remedy if error else "ask again while a job runs",
    )

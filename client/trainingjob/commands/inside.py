"""`tj shell`, `stacks`: look into the pods of a job that runs."""

from typing import TYPE_CHECKING, Annotated

import typer

from trainingjob.commands.options import Context, Name, Namespace, cluster
from trainingjob.core import job as jobs
from trainingjob.core.pods import Pod
from trainingjob.errors import UserError

if TYPE_CHECKING:
    from trainingjob.adapters.kube import Cluster

Rank = Annotated[int, typer.Option(min=0, help="Node rank.")]


def shell(name: Name, rank: Rank = 0, namespace: Namespace = None, context: Context = None) -> None:
    """Open a shell in a pod of the job; by kubectl."""
    from trainingjob.adapters import kubectl

    found = cluster(context, namespace)
    pod = next((one for one in _running(found, name) if one.rank == rank), None)
    if pod is None:
        raise UserError(f"no pod of rank {rank} runs", f"{found.calls('why', name)} says more")
    raise typer.Exit(kubectl.shell(pod.name, found.namespace, context))


def stacks(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Write the stacks of all Python processes of the job into its logs and its run."""
    from trainingjob.adapters import kubectl

    found = cluster(context, namespace)
    pods = _running(found, name)
    for pod in pods:
        kubectl.ask_for_stacks(pod.name, found.namespace, context)
    logs = found.calls("logs", name)
    typer.echo(f"asked {len(pods)} pods: {logs} shows the stacks, and the run has them in stacks/")


def _running(found: "Cluster", name: str) -> list[Pod]:
    """The pods that run, by rank.

    Raises:
        UserError: none does.
    """
    job = jobs.read(found.get(name))
    pods = sorted(pod for pod in found.pods(job.uid) if pod.phase == "Running")
    if not pods:
        raise UserError(f"no pod of {name} runs", f"{found.calls('why', name)} says more")
    return pods

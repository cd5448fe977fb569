"""`tj suspend`, `resume`, `stop`, `delete`: change what becomes of a job."""

import typer

from trainingjob.commands.options import Context, Name, Namespace, cluster
from trainingjob.core import job as jobs


def suspend(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Stop the pods, with time to write a checkpoint; the job stays."""
    found = cluster(context, namespace)
    found.patch_spec(name, suspend=True)
    typer.echo(f"{name} is being suspended; {found.calls('resume', name)} starts it again")


def resume(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Start a suspended job again."""
    found = cluster(context, namespace)
    found.patch_spec(name, suspend=False)
    typer.echo(f"{name} starts again; {found.calls('logs', name, '--follow')} follows it")


def stop(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """End a job for good: it becomes Stopped, its run KILLED; logs and status stay."""
    found = cluster(context, namespace)
    job = jobs.read(found.stop(name))
    if job.ended:
        typer.echo(f"{name} has ended already: {job.state}")
    else:
        typer.echo(f"{name} is being stopped; {found.calls('wait', name)} waits for its end")


def delete(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Delete a job and its pods; a run that has not ended becomes KILLED."""
    cluster(context, namespace).delete(name)
    typer.echo(f"{name} is being deleted; its run stays in MLflow")

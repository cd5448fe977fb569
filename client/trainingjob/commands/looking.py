"""`tj ls`, `status`, `why`, `events`: look at jobs."""

import json
import time
import webbrowser
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from trainingjob.commands.options import AsJson, Context, Name, Namespace, cluster
from trainingjob.core import gauges, tables
from trainingjob.core import job as jobs
from trainingjob.core.durations import age
from trainingjob.core.job import Job
from trainingjob.core.why import explain
from trainingjob.errors import UserError

if TYPE_CHECKING:
    from trainingjob.adapters.kube import Cluster

_POLL_SECONDS = 2.0
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on, until Ctrl-C.")]


def ls(
    namespace: Namespace = None,
    context: Context = None,
    all_namespaces: AllNamespaces = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """List the jobs."""
    from trainingjob.adapters import terminal

    found = cluster(context, namespace)
    if as_json:
        summaries = [tables.summary(job) for job in _all(found, all_namespaces)]
        typer.echo(json.dumps(summaries, indent=2))
    elif watch:
        _watch(lambda: _table(found, all_namespaces))
    else:
        terminal.lines(_table(found, all_namespaces))


def status(
    name: Name, namespace: Namespace = None, context: Context = None, as_json: AsJson = False
) -> None:
    """Show one job: state, progress, run."""
    from trainingjob.adapters import terminal

    job = jobs.read(cluster(context, namespace).get(name))
    if as_json:
        typer.echo(json.dumps(tables.summary(job), indent=2))
    else:
        terminal.lines(tables.lines(tables.details(job, datetime.now(UTC))))


def why(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Say in words why a job is as it is, and what to do."""
    from trainingjob.adapters import advice, terminal

    found = cluster(context, namespace)
    job = jobs.read(found.get(name))
    terminal.explanation(explain(job, datetime.now(UTC), advice.known(), found.calls))


def events(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """List the events about a job and its pods, oldest first."""
    from trainingjob.adapters import terminal

    found = cluster(context, namespace)
    job = jobs.read(found.get(name))
    now = datetime.now(UTC)
    uids = {job.uid, *(pod.uid for pod in found.pods(job.uid)), *found.child_job_uids(job.uid)}
    rows = [
        (
            age(one.time, now),
            one.type,
            one.reason,
            f"{one.kind}/{one.about}",
            one.message if one.count == 1 else f"{one.message} ({one.count} times)",
        )
        for one in found.events(uids)
    ]
    if not rows:
        typer.echo("no events: Kubernetes keeps them for an hour")
        return
    terminal.lines(tables.lines([("AGE", "TYPE", "REASON", "ABOUT", "MESSAGE"), *rows]))


def top(
    name: Name, watch: Watch = False, namespace: Namespace = None, context: Context = None
) -> None:
    """Show the latest metrics of the run: the training's, and those of each node's system."""
    from trainingjob.adapters import terminal
    from trainingjob.adapters.tracking import KeptRun

    found = cluster(context, namespace)
    job = jobs.read(found.get(name))
    if job.run_id is None:
        raise UserError(f"{name} has no run yet", f"{found.calls('why', name)} says why")
    run = KeptRun(job.run_id, job.tracking_uri)

    def table() -> list[str]:
        return tables.lines([gauges.HEADINGS, *gauges.rows(run.metrics())])

    if watch:
        _watch(table)
    else:
        terminal.lines(table())


def open_run(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Open the page of the job's run in the browser, and print its address."""
    found = cluster(context, namespace)
    job = jobs.read(found.get(name))
    if job.run_url is None:
        why = found.calls("why", name)
        raise UserError(f"{name} has no run with a page yet", f"{why} says why")
    typer.echo(job.run_url)
    webbrowser.open(job.run_url)


def doctor(namespace: Namespace = None, context: Context = None) -> None:
    """Check all that a job needs, and say what to do; the exit code is 1 if something is wrong."""
    from trainingjob import checkup
    from trainingjob.adapters import terminal

    if not terminal.findings(checkup.examine(context, namespace)):
        raise typer.Exit(1)


def _watch(table: Callable[[], list[str]]) -> None:
    """Show lines anew every two seconds, until Ctrl-C; through outages, once there was an answer.

    Raises:
        UserError: the first call fails.
    """
    from rich.live import Live

    from trainingjob.adapters import terminal

    last = shown = table()
    try:
        with Live(console=terminal.console(), auto_refresh=False) as live:
            while True:
                live.update(terminal.coloured("\n".join(shown)), refresh=True)
                time.sleep(_POLL_SECONDS)
                try:
                    last = shown = table()
                except UserError as error:
                    shown = [*last, "", f"{error.message}; trying again"]
    except KeyboardInterrupt:
        return


def _table(found: "Cluster", all_namespaces: bool) -> list[str]:
    listed = _all(found, all_namespaces)
    if not listed:
        place = "any namespace" if all_namespaces else f"namespace {found.namespace}"
        return [f"no TrainingJobs in {place}"]
    now = datetime.now(UTC)
    rows = [tables.HEADINGS, *(tables.row(job, now) for job in listed)]
    if all_namespaces:
        first = [tables.NAMESPACE_HEADING, *(job.namespace for job in listed)]
        rows = [(one, *row) for one, row in zip(first, rows, strict=True)]
    return tables.lines(rows)


def _all(found: "Cluster", all_namespaces: bool) -> list[Job]:
    """The newest last, where a terminal ends."""
    listed = [jobs.read(body) for body in found.training_jobs(all_namespaces=all_namespaces)]
    return sorted(listed, key=lambda job: (str(job.created), job.namespace, job.name))

"""`tj logs`, `wait`: follow a job to its end, and end with its exit code."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from trainingjob.commands.options import Context, Name, Namespace, cluster
from trainingjob.core.job import Job
from trainingjob.core.pods import Selection
from trainingjob.core.why import explain
from trainingjob.errors import UserError

if TYPE_CHECKING:
    from trainingjob.adapters.kube import Cluster

_DETACHED = 130
_TIMED_OUT = 124
_RANKS = "all"

Rank = Annotated[str, typer.Option(help="Node rank, or all.")]
Attempt = Annotated[
    int | None, typer.Option(min=1, help="Only of this attempt.", show_default=False)
]
Follow = Annotated[bool, typer.Option("--follow", help="Go on to the job's end.")]
Timeout = Annotated[
    float | None,
    typer.Option(min=0, help="Seconds to wait; then the exit code is 124.", show_default=False),
]


def logs(
    name: Name,
    to_the_end: Follow = False,
    rank: Rank = _RANKS,
    attempt: Attempt = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Print the output of all ranks, merged by time; from the run when the pods are gone."""
    from trainingjob import logs as output
    from trainingjob.adapters import terminal
    from trainingjob.core import job as jobs

    selection = Selection(_rank(rank), attempt)
    found = cluster(context, namespace)
    job = jobs.read(found.get(name))
    screen = terminal.Screen(with_ranks=job.num_nodes > 1 and selection.rank is None)
    if to_the_end:
        try:
            for line in output.of_gone_pods(found, job, selection):
                screen.line(line)
        except UserError as error:
            screen.say(f"the output of pods that are gone cannot be read: {error.message}")
        follow(found, name, selection, explained=False)
        return
    current: int | None = None
    for line in output.read(found, job, selection):
        if job.attempt > 1 and line.attempt != current:
            screen.say(f"attempt {line.attempt}")
        current = line.attempt
        screen.line(line)
    if current is None:
        why = found.calls("why", name)
        raise UserError(f"{name} has no output yet", f"{why} says what it waits for")


def wait(
    name: Name,
    timeout: Timeout = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Wait for a job's end; the exit code is the job's."""
    from trainingjob import following

    try:
        job = following.wait(cluster(context, namespace), name, timeout)
    except TimeoutError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_TIMED_OUT) from error
    except KeyboardInterrupt:
        raise typer.Exit(_DETACHED) from None
    typer.echo(f"{name} {job.state}")
    raise typer.Exit(job.exit_code)


def follow(found: "Cluster", name: str, selection: Selection, *, explained: bool) -> None:
    """Show a job to its end, and end with its exit code."""
    from trainingjob import following
    from trainingjob.adapters import advice, terminal

    last: Job | None = None
    outage_shown = gone = False
    nodes = _nodes(found, name) if selection.rank is None else 1
    screen = terminal.Screen(with_ranks=nodes > 1)
    try:
        with screen.shown():
            for one in following.follow(found, name, selection):
                match one:
                    case Job():
                        last, outage_shown = one, False
                        screen.job(one)
                    case following.Outage() if not outage_shown:
                        outage_shown = True
                        screen.say(f"{one.error.message}; trying again")
                    case following.Outage():
                        continue
                    case following.Unread():
                        screen.say(
                            f"the output of rank {one.pod.rank} cannot be read: {one.error.message}"
                        )
                    case following.Gone():
                        # What its pods wrote before is still to come.
                        gone = True
                    case _:
                        screen.line(one)
    except KeyboardInterrupt:
        typer.echo(f"\ndetached, {name} goes on: {hint(found, name)}", err=True)
        raise typer.Exit(_DETACHED) from None
    if gone or last is None:
        raise UserError(f"{name} was deleted", "its run is KILLED")
    if explained and last.exit_code:
        terminal.explanation(explain(last, datetime.now(UTC), advice.known(), found.calls))
    raise typer.Exit(last.exit_code)


def hint(found: "Cluster", name: str) -> str:
    """How to come back to a job that goes on by itself, and how to end it."""
    follow, stop = found.calls("logs", name, "--follow"), found.calls("stop", name)
    return f"{follow} comes back, {stop} ends it"


def _nodes(found: "Cluster", name: str) -> int:
    from trainingjob.core import job as jobs

    return jobs.read(found.get(name)).num_nodes


def _rank(text: str) -> int | None:
    if text == _RANKS:
        return None
    if not (text.isascii() and text.isdigit()):
        raise UserError(f"--rank {text!r} is no rank", "a number from 0, or all")
    return int(text)

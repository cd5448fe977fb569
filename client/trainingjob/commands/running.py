"""`tj run`, `logs`, `wait`: start a job, follow it, end with its exit code."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainingjob.commands.options import Context, Name, Namespace, cluster
from trainingjob.core import manifests
from trainingjob.core.job import Job
from trainingjob.core.manifests import Request
from trainingjob.core.naming import of_command
from trainingjob.core.pods import Selection
from trainingjob.core.why import explain
from trainingjob.errors import UserError

if TYPE_CHECKING:
    from trainingjob.adapters.kube import Cluster
    from trainingjob.core.manifests import Manifest

_DETACHED = 130
_TIMED_OUT = 124
_GONE = 1
_IMAGE = "TRAININGJOB_IMAGE"
_RANKS = "all"

File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="Start the TrainingJob of this file.", show_default=False),
]
Command = Annotated[
    list[str] | None,
    typer.Argument(help="Command after --, as on this machine.", show_default=False),
]
JobName = Annotated[
    str | None,
    typer.Option("--name", help="Name of the job. Default: after the script.", show_default=False),
]
Image = Annotated[
    str | None,
    typer.Option("--image", envvar=_IMAGE, help="Image with Python and what the code needs.",
                 show_default=False),
]  # fmt: skip
Nodes = Annotated[int, typer.Option(min=1, max=1000, help="Pods that train together.")]
Gpus = Annotated[int, typer.Option(min=0, help="NVIDIA GPUs of each node.")]
Cpu = Annotated[str | None, typer.Option(help="CPUs of each node, such as 4.", show_default=False)]
Memory = Annotated[
    str | None, typer.Option(help="Memory of each node, such as 16Gi.", show_default=False)
]
Queue = Annotated[
    str | None, typer.Option(help="LocalQueue of Kueue to wait in.", show_default=False)
]
Workdir = Annotated[
    Path, typer.Option(help="Directory whose files go along, but for what .gitignore and "
                            ".tjignore name."),
]  # fmt: skip
Code = Annotated[bool, typer.Option("--code/--no-code", help="Whether files go along.")]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", help="NAME=VALUE for the program; several times.",
                 show_default=False),
]  # fmt: skip
Experiment = Annotated[
    str | None,
    typer.Option(help="MLflow experiment. Default: the namespace's name.", show_default=False),
]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Start it and return at once.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the YAML and start nothing.")]
Rank = Annotated[str, typer.Option(help="Node rank, or all.")]
Attempt = Annotated[
    int | None, typer.Option(min=1, help="Only of this attempt.", show_default=False)
]
Follow = Annotated[bool, typer.Option("--follow", help="Go on to the job's end.")]
Timeout = Annotated[
    float | None,
    typer.Option(min=0, help="Seconds to wait; then the exit code is 124.", show_default=False),
]


def run(
    command: Command = None,
    file: File = None,
    name: JobName = None,
    image: Image = None,
    nodes: Nodes = 1,
    gpus: Gpus = 0,
    cpu: Cpu = None,
    memory: Memory = None,
    queue: Queue = None,
    env: Env = None,
    experiment: Experiment = None,
    workdir: Workdir = Path(),
    code: Code = True,
    detach: Detach = False,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Start a job and follow it; the exit code is the job's. Ctrl-C detaches.

    tj run --image registry.example.com/team/torch:1 --gpus 1 -- python train.py --lr 3e-4
    """
    from trainingjob import submission
    from trainingjob.adapters import terminal

    if file is not None:
        if command:
            raise UserError("--file and a command exclude each other", "leave one out")
        job, config_maps = manifests.from_yaml(_read(file), str(file))
    else:
        request = Request(
            name=name or of_command(_given(command), submission.name_suffix()),
            image=_image(image),
            command=tuple(_given(command)),
            nodes=nodes,
            gpus=gpus,
            cpu=cpu,
            memory=memory,
            queue=queue,
            experiment=experiment,
            env=tuple(manifests.variable(one) for one in env or []),
        )
        packed = submission.code_of(workdir) if code else None
        if packed and not dry_run:
            terminal.Screen(with_ranks=False).say(f"code: {packed}")
        job, config_maps = submission.objects(request, packed)
    if dry_run:
        typer.echo(manifests.to_yaml([*config_maps, job]), nl=False)
        return
    _start(cluster(context, namespace), job, config_maps, detach=detach)


def rerun(
    name: Name,
    command: Command = None,
    new_name: JobName = None,
    detach: Detach = False,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Start a job again with the same spec and code, and maybe another command after --."""
    from trainingjob import submission

    found = cluster(context, namespace)
    _show(found, submission.again(found, name, new_name, tuple(command or ())), detach=detach)


def logs(
    name: Name,
    follow: Follow = False,
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
    if follow:
        _follow(found, name, selection, explained=False)
        return
    job = jobs.read(found.get(name))
    screen = terminal.Screen(with_ranks=job.num_nodes > 1 and selection.rank is None)
    current: int | None = None
    for line in output.read(found, job, selection):
        if job.attempt > 1 and line.attempt != current:
            screen.say(f"attempt {line.attempt}")
        current = line.attempt
        screen.line(line)
    if current is None:
        raise UserError(f"{name} has no output yet", f"tj why {name} says what it waits for")


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


def _start(
    found: "Cluster", job: "Manifest", config_maps: "list[Manifest]", *, detach: bool
) -> None:
    from trainingjob import submission

    _show(found, submission.submit(found, job, config_maps), detach=detach)


def _show(found: "Cluster", made: Job, *, detach: bool) -> None:
    """Say that a job was created, and follow it."""
    typer.echo(f"{made.name} created in namespace {made.namespace}")
    if detach:
        typer.echo(_hint(made.name))
        return
    _follow(found, made.name, Selection(), explained=True)


def _follow(found: "Cluster", name: str, selection: Selection, *, explained: bool) -> None:
    """Show a job to its end, and end with its exit code."""
    from trainingjob import following
    from trainingjob.adapters import advice, terminal

    last: Job | None = None
    told_outage = False
    nodes = _nodes(found, name) if selection.rank is None else 1
    screen = terminal.Screen(with_ranks=nodes > 1)
    try:
        with screen.shown():
            for one in following.follow(found, name, selection):
                match one:
                    case Job():
                        last, told_outage = one, False
                        screen.job(one)
                    case following.Outage() if not told_outage:
                        told_outage = True
                        screen.say(f"{one.error.message}; trying again")
                    case following.Outage():
                        continue
                    case following.Unread():
                        screen.say(
                            f"the output of rank {one.pod.rank} cannot be read: {one.error.message}"
                        )
                    case following.Gone():
                        raise UserError(f"{name} was deleted", "its run is KILLED")
                    case _:
                        screen.line(one)
    except KeyboardInterrupt:
        typer.echo(f"\ndetached, {name} goes on: {_hint(name)}", err=True)
        raise typer.Exit(_DETACHED) from None
    if last is None:
        raise typer.Exit(_GONE)
    if explained and last.exit_code:
        terminal.explanation(explain(last, datetime.now(UTC), advice.known()))
    raise typer.Exit(last.exit_code)


def _nodes(found: "Cluster", name: str) -> int:
    from trainingjob.core import job as jobs

    return jobs.read(found.get(name)).num_nodes


def _hint(name: str) -> str:
    return f"tj logs {name} --follow comes back, tj delete {name} ends it"


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}", "name another file") from error


def _given(command: list[str] | None) -> list[str]:
    if not command:
        raise UserError("no command", "tj run --image IMAGE -- python train.py, or -f job.yaml")
    return command


def _image(image: str | None) -> str:
    if not image:
        raise UserError("no image", f"name one by --image, or by the variable {_IMAGE}")
    return image


def _rank(text: str) -> int | None:
    if text == _RANKS:
        return None
    if not (text.isascii() and text.isdigit()):
        raise UserError(f"--rank {text!r} is no rank", "a number from 0, or all")
    return int(text)

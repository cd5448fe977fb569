"""`tj run`, `rerun`: start a job and follow it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from trainingjob.commands.following import follow, hint
from trainingjob.commands.options import Context, Namespace, cluster
from trainingjob.core import manifests
from trainingjob.core.manifests import Request
from trainingjob.core.naming import of_command
from trainingjob.core.pods import Selection
from trainingjob.core.why import Explanation
from trainingjob.errors import UserError

if TYPE_CHECKING:
    from trainingjob.adapters.kube import Cluster
    from trainingjob.submission import Submission

_IMAGE = "TRAININGJOB_IMAGE"

File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="Start the TrainingJob of this file.", show_default=False),
]
Command = Annotated[
    list[str] | None,
    typer.Argument(help="Command after --, as on this machine.", show_default=False),
]
Repeated = Annotated[
    str,
    typer.Argument(metavar="NAME|RUN_ID", help="The TrainingJob, or its MLflow run.",
                   show_default=False),
]  # fmt: skip
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
Runtime = Annotated[
    str | None,
    typer.Option(help="ClusterTrainingRuntime, or TrainingRuntime/NAME of the namespace.",
                 show_default=False),
]  # fmt: skip
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
Local = Annotated[bool, typer.Option("--local", help="On this machine, without a cluster.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the YAML and start nothing.")]


def run(
    command: Command = None,
    file: File = None,
    name: JobName = None,
    image: Image = None,
    nodes: Nodes = 1,
    gpus: Gpus = 0,
    cpu: Cpu = None,
    memory: Memory = None,
    runtime: Runtime = None,
    queue: Queue = None,
    env: Env = None,
    experiment: Experiment = None,
    workdir: Workdir = Path(),
    code: Code = True,
    local: Local = False,
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

    if local:
        _check_local({"--file": file, "--detach": detach, "--dry-run": dry_run})
        _run_here(_given(command), workdir, name, experiment, env or [])
    if file is not None:
        if command:
            raise UserError("--file and a command exclude each other", "leave one out")
        wanted = submission.of_yaml(_read(file), str(file))
    else:
        request = Request(
            name=name or of_command(_given(command), submission.name_suffix()),
            image=_image(image, runtime),
            command=tuple(_given(command)),
            nodes=nodes,
            gpus=gpus,
            cpu=cpu,
            memory=memory,
            queue=queue,
            runtime=runtime,
            experiment=experiment,
            env=tuple(manifests.variable(one) for one in env or []),
        )
        packed = submission.code_of(workdir) if code else None
        if packed and not dry_run:
            terminal.Screen(with_ranks=False).say(f"code: {packed}")
        wanted = submission.of_request(request, packed)
    if dry_run:
        _print(wanted)
        return
    _start(cluster(context, namespace), wanted, detach=detach)


def rerun(
    name: Repeated,
    command: Command = None,
    new_name: JobName = None,
    detach: Detach = False,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Start a job again with the same spec and code, and maybe another command after --.

    The id of its run names a job that is gone, too.
    """
    from trainingjob import submission

    found = cluster(context, namespace)
    wanted = submission.again(found, name, new_name, tuple(command or ()))
    _start(found, wanted, detach=detach)


def _check_local(others: dict[str, object]) -> None:
    """Options that need a cluster; image and resources may stay in a command that gets --local."""
    for option, value in others.items():
        if value:
            raise UserError(f"--local and {option} exclude each other", "leave one out")


def _run_here(
    command: list[str], workdir: Path, name: str | None, experiment: str | None, env: list[str]
) -> NoReturn:
    """Run a command on this machine, explain its failure, and end with its exit code."""
    from trainingjob import local, submission
    from trainingjob.adapters import advice, terminal

    ended = local.run(
        local.Started(
            name or of_command(command, submission.name_suffix()),
            tuple(command),
            workdir,
            experiment,
            env=tuple(manifests.variable(one) for one in env),
            code=submission.code_tags(workdir, tuple(command)),
        )
    )
    if ended.failure:
        known = advice.known().get(ended.failure["reason"])
        remedies = (known.remedy,) if known else ()
        facts = tuple(ended.failure.items())
        terminal.explanation(Explanation(f"run {ended.run_id} failed.", facts, remedies))
    raise typer.Exit(ended.exit_code)


def _print(wanted: "Submission") -> None:
    if wanted.archive is not None:
        raise UserError(
            "the code is too large for a file with the job: it goes to the artifacts of the run",
            "leave --dry-run out, or the code by --no-code",
        )
    typer.echo(manifests.to_yaml([*wanted.config_maps, wanted.job]), nl=False)


def _start(found: "Cluster", wanted: "Submission", *, detach: bool) -> None:
    """Create a job, say so, and follow it."""
    from trainingjob import submission

    made = submission.submit(found, wanted)
    typer.echo(f"{made.name} created in namespace {made.namespace}")
    if detach:
        typer.echo(hint(found, made.name))
        return
    follow(found, made.name, Selection(), explained=True)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}", "name another file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not text in UTF-8", "name another file") from error


def _given(command: list[str] | None) -> list[str]:
    if not command:
        raise UserError("no command", "tj run --image IMAGE -- python train.py, or -f job.yaml")
    return command


def _image(image: str | None, runtime: str | None) -> str:
    """The image; a runtime may have it."""
    if not image and not runtime:
        remedy = f"name one by --image, by the variable {_IMAGE}, or by a --runtime that has one"
        raise UserError("no image", remedy)
    return image or ""

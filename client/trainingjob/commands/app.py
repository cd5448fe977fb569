"""The command line: which commands there are."""

from collections.abc import Callable
from typing import Annotated

import typer

from trainingjob import __version__
from trainingjob.commands import following, inside, looking, running, steering

# What Python has another meaning for.
_NAMES = {"open_run": "open"}


def _name(command: Callable[..., None]) -> str:
    return _NAMES.get(command.__name__, command.__name__)


app = typer.Typer(
    name="tj",
    help="PyTorch trainings on Kubernetes, each with an MLflow run whose status is true.",
    no_args_is_help=True,
    # rich would take half of the time that the help needs.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

COMMANDS = (
    running.run,
    looking.ls,
    looking.status,
    looking.why,
    following.logs,
    looking.events,
    looking.top,
    following.wait,
    running.rerun,
    looking.open_run,
    inside.shell,
    inside.stacks,
    steering.suspend,
    steering.resume,
    steering.stop,
    steering.delete,
    looking.doctor,
)
for one in COMMANDS:
    app.command(name=_name(one))(one)


def command_names() -> list[str]:
    """The names of all commands, in the order of the help."""
    return [_name(one) for one in COMMANDS]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """What stands before the command."""

"""Every command that the pages show is run, or read by the program that it calls.

Those that need a kubelet: tests/e2e/test_documented_commands.py.
"""

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import mlflow.cli
import pytest
import typer
from localcluster.__main__ import parser as localcluster_parser
from localcluster.images import DOCKERFILES
from trainingjob.commands.app import app
from trainingjob_trainer.command_line import parse_options

from tests.support.desk import Desk, a_desk
from tests.support.documented import ON_A_NODE, REPOSITORY, commands
from tests.support.fixtures import Kwok
from tests.support.waiting import wait_for

RELEASE = (
    "trainingjob-operator helm/trainingjob-operator --namespace trainingjob-system"
    " --set mlflow.trackingUri=https://mlflow.example.com"
)


@pytest.fixture(scope="module")
def desk(kwok: Kwok, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One for all commands: none changes anything."""
    with a_desk(kwok, tmp_path_factory.mktemp("desk")) as made:
        yield made


def on_the_cluster(desk: Desk, command: str) -> None:
    """By kubectl; what writes is a dry run, and what would watch for ever looks once."""
    names = {
        "create namespace trainingjob-system": "create namespace one-that-is-new",
        "NAME-ATTEMPT": "documented-1",
        "NAMESPACE": desk.namespace,
        "NAME": "documented",
        "POD": "documented-pod",
        "NODE": desk.run("kubectl get nodes -o jsonpath='{.items[0].metadata.name}'"),
        " --watch": "",
    }
    for placeholder, name in names.items():
        command = command.replace(placeholder, name)
    if " set-context " in command:
        command = f"cp $KUBECONFIG $KUBECONFIG.own && KUBECONFIG=$KUBECONFIG.own {command}"
    if re.search(r"kubectl (--namespace \S+ )?(apply|create|delete|label|patch)", command):
        command += " --dry-run=server"
    # The paths of the pages are those of the repository, but for what `tj` wrote.
    directory = desk.directory if "job.yaml" in command else REPOSITORY
    if " explain " not in command:
        desk.run(command, directory)
        return

    def explained() -> bool:
        return "FIELDS:" in desk.run(command)

    # The API server publishes the schema of a new definition some time after it serves it.
    wait_for("the fields are explained", explained, 60)


def by_helm(desk: Desk, command: str) -> None:
    """As a dry run, `…` being the release; the definitions of the tests belong to no release."""
    whole = command.replace("--install …", f"--install {RELEASE}").replace(
        "upgrade …", "upgrade --install " + RELEASE
    )
    # The cluster does not know the kinds of the Prometheus operator.
    side = "client" if "monitoring" in whole else "server"
    first, *piped = whole.split(" | ")
    if " template " not in first:
        first += f" --dry-run={side} --take-ownership"
    printed = desk.run(
        " | ".join([first, *(f"{one} --dry-run=server" for one in piped)]), REPOSITORY
    )
    assert "trainingjob-operator" in printed


def as_it_is(desk: Desk, command: str) -> None:
    """In the directory of the script, on this machine and on the cluster."""
    desk.run(command.replace("NAME", "documented"))


def its_help(desk: Desk, command: str) -> None:
    """A command that is only named has a help, which has its options."""
    words = [one for one in command.split() if not one.startswith("-") and not one.isupper()]
    printed = desk.run(f"{' '.join(words)} --help")
    options = [one.split("=")[0] for one in command.split() if one.startswith("--") and one != "--"]
    assert [one for one in options if one not in printed] == []


def read_by_tj(desk: Desk, command: str) -> None:
    """Command and options are those of `tj`; tests/integration/client and tests/e2e run them."""
    _parse(typer.main.get_command(app), command)


def read_by_mlflow(desk: Desk, command: str) -> None:
    """Command and options are those of MLflow."""
    _parse(mlflow.cli.cli, command)


def read_by_the_trainer(desk: Desk, command: str) -> None:
    """The options are those of the trainer."""
    parse_options(shlex.split(command)[1:], {})


def read_by_localcluster(desk: Desk, command: str) -> None:
    """Command and options are those of localcluster."""
    inner = re.sub(r'^eval "\$\((.*)\)"$', r"\1", command)
    localcluster_parser().parse_args(shlex.split(inner)[1:])


def planned_by_make(desk: Desk, command: str) -> None:
    """The targets exist; CI makes them."""
    desk.run(f"{command} --dry-run", REPOSITORY)


def of_a_project(desk: Desk, command: str) -> None:
    """What is installed from the repository has its extras; the release tries the wheels."""
    for one in shlex.split(command)[2:]:
        path, _, extra = one.removesuffix("]").partition("[")
        project = tomllib.loads((REPOSITORY / path / "pyproject.toml").read_text())["project"]
        assert not extra or extra in project["optional-dependencies"]


def of_an_image(desk: Desk, command: str) -> None:
    """The Dockerfile is one of those that `make images` builds."""
    [file] = re.findall(r"--file (\S+)", command)
    assert file in DOCKERFILES.values()
    assert command.endswith(" .")


def of_python(desk: Desk, command: str) -> None:
    """The tests or the module exist."""
    files = [one for one in command.split() if one.endswith(".py")]
    assert all((REPOSITORY / one).is_file() for one in files)
    assert files or find_spec(command.split(" -m ")[1])


def needs_another_program(desk: Desk, command: str) -> None:
    """Of Docker, Kueue, PyPI and a clone, which the tests' machine does without."""


WAYS: tuple[tuple[str, Callable[[Desk, str], None]], ...] = (
    (
        r"docker (info|inspect.*)|git clone .*|pip install (mlflow|torchmetrics)",
        needs_another_program,
    ),
    (r"kubectl (get workloads|describe localqueue)", needs_another_program),
    (r"docker build .*", of_an_image),
    (r"pip install .*", of_a_project),
    (r"make .*", planned_by_make),
    (r"\.venv/bin/(pytest|python) .*", of_python),
    (r'(eval "\$\()?(\.venv/bin/)?localcluster .*', read_by_localcluster),
    (r"(export|cd) .*|trainingjob-exec -- (python|torchrun) .*", as_it_is),
    (r"tj (ls|ls --json|why NAME|run --dry-run .*)|kubectl tj ls", as_it_is),
    (
        r"tj COMMAND --help|tj --install-completion|tj (logs|run|status|stop|why)|kubectl tj",
        its_help,
    ),
    (r"tj .*", read_by_tj),
    (r"mlflow run --backend trainingjob|mlflow server --allowed-hosts", its_help),
    (r"mlflow (gc|server|(runs|experiments) restore)", its_help),
    (r"mlflow .*", read_by_mlflow),
    (r"trainingjob-trainer .*", read_by_the_trainer),
    (r"trainingjob-exec -- COMMAND|trainingjob-exec --", its_help),
    (r"helm (test|uninstall|upgrade|upgrade --wait)", its_help),
    (r"helm .*", by_helm),
    (r"kubectl (apply|logs|wait|delete --cascade=foreground|rollout undo)", its_help),
    (r"(sed .* \| )?kubectl .*", on_the_cluster),
)


def way(command: str) -> tuple[str, Callable[[Desk, str], None]]:
    """How a command is run here."""
    for pattern, run in WAYS:
        if re.fullmatch(pattern, command):
            return pattern, run
    places = ", ".join(f"{one.page}:{one.line}" for one in commands() if one.text == command)
    return pytest.fail(f"nothing runs `{command}` ({places}): add it to WAYS")


HERE = sorted({one.text for one in commands() if not ON_A_NODE.fullmatch(one.text)})


@pytest.mark.parametrize("command", HERE)
def test_it_works(desk: Desk, command: str) -> None:
    _, run = way(command)
    run(desk, command)


def test_each_way_has_a_command() -> None:
    assert {pattern for pattern, _ in WAYS} == {way(command)[0] for command in HERE}


def _parse(command: Any, line: str) -> None:
    """Read a command line by its program, to the last option, without running anything.

    `command` is one of click or of typer, which has a copy of click. Its UsageError says that it
    has no such command, option or argument.
    """
    _, *words = shlex.split(re.sub(r" > \S+$", "", line))
    while hasattr(command, "resolve_command"):
        _, command, words = command.resolve_command(command.context_class(command), words)
    command.make_context(command.name or "", list(words))


def test_an_option_that_a_program_does_not_have_is_found(desk: Desk) -> None:
    for read, line, message in (
        (read_by_tj, "tj run --nods 2 -- python train.py", "No such option: --nods"),
        (read_by_tj, "tj stopp NAME", "No such command 'stopp'"),
        (read_by_mlflow, "mlflow runs restor", "No such command 'restor'"),
    ):
        with pytest.raises(Exception, match=message):
            read(desk, line)

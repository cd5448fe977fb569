"""`trainingjob-exec [--] COMMAND ...`, also `python -m trainingjob_agent.supervisor`."""

import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainingjob_agent.causes.termination import (
    EXIT_FAILURE,
    Termination,
    describe_exception,
    write_termination_message,
)
from trainingjob_agent.contract import RUN_URL, Contract, ContractError
from trainingjob_agent.login import login_variables
from trainingjob_agent.logs.output import Output
from trainingjob_agent.rendezvous import wait_for_name
from trainingjob_agent.supervisor.child import Child
from trainingjob_agent.supervisor.jobs_run import DIRECTORY, MLFLOW_NAMES, outbox_in
from trainingjob_agent.supervisor.records import STOP_MARKER

_USAGE = """usage: trainingjob-exec [--] COMMAND [ARGUMENT ...]

Run a training script as it is, in the pod of a TrainingJob: with system metrics in the job's MLflow
run and for Prometheus, signals forwarded, and the cause reported when it fails.
"""
_EXIT_USAGE = 2
_EXIT_NOT_EXECUTABLE = 126
_EXIT_NOT_FOUND = 127
_PACKAGES = Path(__file__).parents[2]
_HOOK = "trainingjob_agent/supervisor/hook"

_logger = logging.getLogger("trainingjob-exec")


def main(arguments: Sequence[str] | None = None, *, package_directory: Path | None = None) -> int:
    """Run a command to its end; returns its exit code, 128 + n after signal n.

    Args:
        arguments: those of the command line by default.
        package_directory: where the script's Python finds this package, if it has none itself.
    """
    command = list(sys.argv[1:] if arguments is None else arguments)
    if command[:1] in (["-h"], ["--help"]):
        sys.stdout.write(_USAGE)
        return 0
    if command[:1] == ["--"]:
        command = command[1:]
    if not command or command[0].startswith("-"):
        sys.stderr.write(_USAGE)
        return _EXIT_USAGE
    logging.basicConfig(level=logging.INFO, format="trainingjob-exec: %(message)s")
    output = Output(os.environ)
    child = Child(command, output.add)
    child.forward_signals()
    try:
        contract = Contract.from_environment()
    except ContractError as error:
        _logger.error("%s", error)  # noqa: TRY400 - the message says it all
        path = Contract.termination_log_of(os.environ)
        write_termination_message(describe_exception(error), path)
        return EXIT_FAILURE
    if contract.num_nodes > 1:
        wait_for_name(os.environ.get("PET_MASTER_ADDR", ""))
    with tempfile.TemporaryDirectory(prefix="trainingjob-exec-") as directory:
        environment = script_environment(os.environ, Path(directory), package_directory)
        return _run(child, command, contract, environment, Path(directory), output)


def _run(
    child: Child,
    command: Sequence[str],
    contract: Contract,
    environment: Mapping[str, str],
    directory: Path,
    output: Output,
) -> int:
    outbox_in(directory).mkdir()
    try:
        child.start(environment, directory / STOP_MARKER)
    except OSError as error:
        message = f"cannot run {command[0]}: {error.strerror}"
        _logger.error("%s", message)  # noqa: TRY400 - the message says it all
        termination = Termination("InvalidConfiguration", message, rank=contract.node_rank)
        write_termination_message(termination, contract.termination_log)
        missing = isinstance(error, FileNotFoundError)
        return _EXIT_NOT_FOUND if missing else _EXIT_NOT_EXECUTABLE
    # After the script has begun: what this imports is not what the script waits for.
    from trainingjob_agent.supervisor.supervisor import Supervisor

    return Supervisor(child, command, contract, directory, output).run()


def script_environment(
    environment: Mapping[str, str], directory: Path, package_directory: Path | None = None
) -> dict[str, str]:
    """Return the environment of the script: ours, and what its Python processes hook into."""
    # This module may be in an archive, the hook has to be in files.
    hook = (package_directory or _PACKAGES) / _HOOK
    paths = (hook, package_directory, environment.get("PYTHONPATH"))
    kept = {ours: environment[name] for name, ours in MLFLOW_NAMES.items() if environment.get(name)}
    # MLflow would print the address by which pods reach it; what runs beside prints the page.
    quiet = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"} if environment.get(RUN_URL) else {}
    return {
        **kept,
        **quiet,
        **environment,
        **login_variables(environment),
        "PYTHONPATH": os.pathsep.join(str(path) for path in paths if path),
        DIRECTORY: str(directory),
        "TRAININGJOB_STACKS_FILE": str(directory / "stacks.txt"),
    }


if __name__ == "__main__":
    raise SystemExit(main())

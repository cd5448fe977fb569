"""kubectl, for what happens inside a pod: it has the terminal's part of exec."""

import shutil
import subprocess

from trainingjob.core.wire import CONTAINER_NAME
from trainingjob.errors import UserError

# The better shell of those that the image has.
_SHELL = ("sh", "-c", "exec $(command -v bash || command -v sh)")
# trainingjob-exec, or tini before it, answers with the stacks of all Python processes.
_ASK_FOR_STACKS = ("sh", "-c", "kill -QUIT 1")


def shell(pod: str, namespace: str, context: str | None) -> int:
    """Open a shell in a pod, on this terminal; returns its exit code.

    Raises:
        UserError: there is no kubectl here.
    """
    command = _exec(pod, namespace, context, "--stdin", "--tty", command=_SHELL)
    return subprocess.run(command, check=False).returncode


def ask_for_stacks(pod: str, namespace: str, context: str | None) -> None:
    """Let a pod write the stacks of its Python processes into its log.

    Raises:
        UserError: there is no kubectl here, or it fails.
    """
    command = _exec(pod, namespace, context, command=_ASK_FOR_STACKS)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"{pod} does not take the signal: {' '.join(done.stderr.split())}",
            "the role must have create on pods/exec, and the image a shell",
        )


def python(pod: str, namespace: str, context: str | None, source: str) -> str:
    """What Python code prints in a pod.

    Raises:
        UserError: there is no kubectl here, or it fails.
    """
    command = _exec(pod, namespace, context, command=("python3", "-c", source))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"{pod} does not run python3: {_last_line(done.stderr)}",
            "the role must have create on pods/exec, and the image python3",
        )
    return done.stdout.strip()


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def _exec(
    pod: str, namespace: str, context: str | None, *flags: str, command: tuple[str, ...]
) -> list[str]:
    program = shutil.which("kubectl")
    if program is None:
        raise UserError("there is no kubectl here", "install it, of the cluster's version")
    place = ["--namespace", namespace, *(["--context", context] if context else [])]
    return [program, "exec", pod, *place, "--container", CONTAINER_NAME, *flags, "--", *command]

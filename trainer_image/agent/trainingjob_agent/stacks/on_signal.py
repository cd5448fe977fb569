"""A process that writes the stacks of all its threads when it gets a signal.

Imported at the start of each Python process of a script, so it imports next to nothing.
"""

import faulthandler
import os

FILE_VARIABLE = "TRAININGJOB_STACKS_FILE"
"""Names the file to which all processes of this node write their stacks."""

STACKS_SIGNAL = 61
"""SIGRTMAX - 3; nothing that we know of uses it for something else, unlike SIGUSR1."""


MAIN_STACK_SIGNAL = 60
"""Asks for the main thread alone."""


def write_stacks_when_asked() -> None:
    """Have faulthandler answer the signals; does nothing without a file.

    It needs neither the interpreter's lock nor the main thread, so it answers in the middle of a
    call of native code.

    Raises:
        OSError: the file cannot be opened.
    """
    path = os.environ.get(FILE_VARIABLE)
    if path:
        # Open for as long as the process lives: faulthandler writes to the number of the file.
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        faulthandler.register(STACKS_SIGNAL, file, all_threads=True, chain=False)
        # The kernel gives a process's signal to its main thread, unless that one blocks it.
        faulthandler.register(MAIN_STACK_SIGNAL, file, all_threads=False, chain=False)

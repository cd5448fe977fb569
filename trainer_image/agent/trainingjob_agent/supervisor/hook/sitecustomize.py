"""Runs in each Python process of a script under `trainingjob-exec`, before its first line.

Its directory is the first of PYTHONPATH. It imports next to nothing, and nothing that it does may
keep the script from running, also in a Python that is too old for the rest of us: no syntax here is
newer than 3.6.
"""

import importlib.machinery
import os
import sys
from types import TracebackType

_DIRECTORY = os.environ.get("TRAININGJOB_SCRIPT_DIR")


def _run_hidden_one() -> None:
    """Run the `sitecustomize` of the environment, which this one hides."""
    own = os.path.dirname(__file__)  # noqa: PTH120 - pathlib takes longer than all the rest
    others = [path for path in sys.path if path != own]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec

        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _install(directory: str) -> None:
    """Have exceptions recorded, stacks written when asked for, and workers spared by signals."""
    previous = sys.excepthook
    try:
        from trainingjob_agent.place import begin

        place, helper = begin(directory, os.environ)
    except (ImportError, OSError) as reason:
        sys.stderr.write(f"trainingjob-exec: this process goes unnoticed: {reason}\n")
        return

    def record(
        kind: "type[BaseException]", error: BaseException, trace: "TracebackType | None"
    ) -> None:
        shown = True
        try:
            from trainingjob_agent.supervisor.records import note_exception

            shown = note_exception(directory, error, place, helper=helper)
        except (ImportError, OSError) as reason:
            # In another Python than ours, or without space; the printed traceback counts then.
            sys.stderr.write(f"trainingjob-exec: no record of this exception: {reason}\n")
        if shown:
            previous(kind, error, trace)

    sys.excepthook = record
    try:
        from trainingjob_agent.stacks.on_signal import write_stacks_when_asked

        write_stacks_when_asked()
    except (ImportError, OSError) as reason:
        sys.stderr.write(f"trainingjob-exec: no stacks of this process: {reason}\n")
    try:
        from trainingjob_agent.forks import keep_workers_out_of_group

        keep_workers_out_of_group()
    except ImportError as reason:
        sys.stderr.write(f"trainingjob-exec: signals reach workers of this process: {reason}\n")
    _watch_transformers()
    if os.environ.get("TRAININGJOB_NUM_NODES", "1") != "1":
        _watch_for_lone_node(directory)


def _watch_transformers() -> None:
    try:
        from trainingjob_agent.supervisor.frameworks import report_transformers

        report_transformers()
    except ImportError as reason:
        sys.stderr.write(f"trainingjob-exec: the progress of Transformers is not known: {reason}\n")


def _watch_for_lone_node(directory: str) -> None:
    try:
        from trainingjob_agent.supervisor.first_step import report_lone_node

        report_lone_node(directory)
    except ImportError as reason:
        sys.stderr.write(f"trainingjob-exec: cannot see whether nodes train together: {reason}\n")


if _DIRECTORY and sys.version_info < (3, 8):
    sys.stderr.write("trainingjob-exec: this process goes unnoticed: Python 3.8 is the oldest\n")
elif _DIRECTORY:
    _install(_DIRECTORY)
_run_hidden_one()

"""The progress of Lightning and Transformers, by callbacks that their Trainers get by themselves.

Lightning asks for them: its entry points are in `hook/`. Imported in each Python process.
"""

from __future__ import annotations

import sys
from types import ModuleType

from trainingjob_agent.supervisor.on_import import when_imported


def report_transformers() -> None:
    """Have each Trainer of Transformers report its progress, as soon as the script imports it."""
    when_imported("transformers.trainer", _add_callback)


def _add_callback(trainer: ModuleType) -> None:
    """Add to what each Trainer begins its list of callbacks with."""
    try:
        from trainingjob_agent.supervisor.frameworks.of_transformers import Progress

        trainer.DEFAULT_CALLBACKS.append(Progress)
    except (ImportError, AttributeError) as reason:
        # Of a release that we do not know; the script goes on as without us.
        sys.stderr.write(f"trainingjob-exec: the progress of Transformers is not known: {reason}\n")

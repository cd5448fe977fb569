"""Callbacks that each Trainer of Lightning gets, by Lightning's entry points for factories.

Beside `sitecustomize`, so that it can be imported in a Python without our package, too: the script
goes on there as without us.
"""

from __future__ import annotations

import sys


def of_lightning() -> list[object]:
    """Return the callback for scripts that import `lightning`."""
    try:
        from trainingjob_agent.supervisor.frameworks.of_lightning import Progress
    except ImportError as reason:
        return _none(reason)
    return [Progress()]


def of_pytorch_lightning() -> list[object]:
    """Return the callback for scripts that import `pytorch_lightning`."""
    try:
        from trainingjob_agent.supervisor.frameworks.of_pytorch_lightning import Progress
    except ImportError as reason:
        return _none(reason)
    return [Progress()]


def _none(reason: ImportError) -> list[object]:
    sys.stderr.write(f"trainingjob-exec: the progress of Lightning is not known: {reason}\n")
    return []

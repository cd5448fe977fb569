"""Lets something happen as soon as the script imports a module, and nothing if it never does.

Imported at the start of each Python process of a script, so it imports next to nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Finder:
    """Finds the module as the other finders do, and runs `action` behind its own code."""

    def __init__(self, name: str, action: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._action = action

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        loader = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def execute_and_act(module: ModuleType) -> None:
                execute(module)
                self._action(module)

            vars(loader)["exec_module"] = execute_and_act
        return spec


def when_imported(name: str, action: Callable[[ModuleType], None]) -> None:
    """Run `action` once, with the module, behind its first import in this process.

    What `action` raises ends that import.
    """
    sys.meta_path.insert(0, _Finder(name, action))

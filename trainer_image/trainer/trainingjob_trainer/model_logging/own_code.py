"""The code that a pickled model needs: packages to install, and modules that go into the pickle."""

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

from torch import nn

_FOLDERS_OF_PACKAGES = frozenset({"site-packages", "dist-packages"})
_PYTHON = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))


@dataclass(frozen=True, slots=True)
class OwnCode:
    """`packages` are on the package index; `modules` are the user's and ours, and are not."""

    packages: tuple[str, ...]
    modules: tuple[ModuleType, ...]

    @contextmanager
    def pickled(self) -> Iterator[None]:
        """Let cloudpickle write these modules' classes, rather than their names."""
        import cloudpickle

        with ExitStack() as after:
            for module in self.modules:
                cloudpickle.register_pickle_by_value(module)
                after.callback(cloudpickle.unregister_pickle_by_value, module)
            yield


def carried_along(model: nn.Module) -> OwnCode:
    """Find the packages of the model's parts, and all code around it that is of no package.

    Of that all, not the files of the model's classes only: these import others, and one that the
    pickle does not refer to costs nothing.
    """
    modules = {name: module for name, module in list(sys.modules.items()) if _is_own(name, module)}
    installed = packages_distributions()
    packages = set()
    for name in {type(part).__module__ for part in model.modules()} - modules.keys():
        top = name.partition(".")[0]
        if top in installed and top != "torch":
            packages.add(installed[top][0])
    return OwnCode(tuple(sorted(packages)), tuple(modules.values()))


def _is_own(name: str, module: object) -> bool:
    """Whether this is ours, or a file of the user's; `__main__` goes into a pickle anyway."""
    if not isinstance(module, ModuleType) or module.__name__ != name or name == "__main__":
        return False
    if name.partition(".")[0] == __name__.partition(".")[0]:
        return True
    # Not by the attribute: a lazy module would import something.
    text = vars(module).get("__file__")
    if not isinstance(text, str) or not text.endswith(".py"):
        return False
    file = Path(text).resolve()
    return not (
        _FOLDERS_OF_PACKAGES.intersection(file.parts)
        or any(file.is_relative_to(folder) for folder in _PYTHON)
    )

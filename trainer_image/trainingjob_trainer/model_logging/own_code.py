"""The code that a pickled model needs: packages to install, and modules that go into the pickle."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from types import ModuleType

from torch import nn


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
    """Find where the classes of the model and of all its parts are from."""
    names = {type(part).__module__ for part in model.modules()}
    installed = packages_distributions()
    own = __name__.partition(".")[0]
    packages, modules = set(), []
    for name in sorted(names - {"__main__"}):
        top = name.partition(".")[0]
        if top == "torch":
            continue
        if top in installed and top != own:
            packages.add(installed[top][0])
        elif name in sys.modules:
            modules.append(sys.modules[name])
    return OwnCode(tuple(sorted(packages)), tuple(modules))

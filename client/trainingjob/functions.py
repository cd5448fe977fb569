"""`@job`: a function that runs here when it is called, and on the cluster when it is submitted."""

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Generic, ParamSpec, TypedDict, TypeVar, Unpack

from trainingjob.core import functions
from trainingjob.core.cells import module_of
from trainingjob.errors import UserError

if TYPE_CHECKING:
    from trainingjob.client import Client
    from trainingjob.run import Run

P = ParamSpec("P")
R = TypeVar("R")
_NOTEBOOK = "trainingjob_notebook"


class Options(TypedDict, total=False):
    """What `Client.submit` takes besides the command; and where."""

    image: str
    workdir: Path | str
    nodes: int
    gpus: int
    cpu: str
    memory: str
    queue: str
    runtime: str
    experiment: str
    env: dict[str, str]
    packages: Sequence[str]
    namespace: str
    context: str


class Function(Generic[P, R]):
    """A function with the resources that it trains on."""

    def __init__(
        self, function: Callable[P, R], options: Options, client: "Client | None" = None
    ) -> None:
        self.__wrapped__ = function
        self._options = options
        self._client = client
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here."""
        return self.__wrapped__(*args, **kwargs)

    def on(self, client: "Client") -> "Function[P, R]":
        """The same function, for a client of its own: `train.on(Client(local=True)).submit()`."""
        return Function(self.__wrapped__, self._options, client)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> "Run":
        """Run it as a job, with the files of the working directory.

        Every rank calls it; `Run.result()` is what rank 0 returns. On this machine there is one.

        Raises:
            TypeError: it has no such arguments.
            UserError: an argument is none for JSON, the function or what it needs cannot go along,
                or the API server refuses the job.
        """
        inspect.signature(self.__wrapped__).bind(*args, **kwargs)
        options = dict(self._options)
        namespace, context = options.pop("namespace", None), options.pop("context", None)
        name = self.__wrapped__.__name__
        where, modules = place(self.__wrapped__, Path(self._options.get("workdir", ".")))
        from trainingjob.client import Client

        client = self._client or Client(namespace, context=context)  # type: ignore[arg-type]  # a TypedDict's values
        calling = resources.files("trainingjob.pod").joinpath("calling.py").read_text()
        given = functions.arguments(name, args, kwargs)
        if client.local:
            command = functions.command(where, calling, given, python=sys.executable)
        else:
            several = self._options.get("nodes", 1) > 1 or self._options.get("gpus", 0) > 1
            command = functions.command(where, calling, given, processes=several)
        return client.submit(command, **options, called=name, modules=modules)  # type: ignore[arg-type]  # as above


def job(**options: Unpack[Options]) -> Callable[[Callable[P, R]], Function[P, R]]:
    """Give a function `submit`, which runs it on a cluster; calling it runs it here, as ever."""
    return lambda function: Function(function, options)


def place(function: Callable[..., object], workdir: Path) -> tuple[functions.Place, dict[str, str]]:
    """Where the pods find a function, and the module to send for one of a notebook, by its file.

    Raises:
        UserError: it is in an interactive session, or not in the working directory; or a notebook
            does not have what it needs.
    """
    try:
        file = Path(inspect.getfile(function)).resolve()
    except (TypeError, OSError):
        file = Path()
    if not file.is_file():
        cells = _cells()
        if cells is None:
            raise UserError(
                f"{function.__qualname__} is in no file",
                "put it into a module of the working directory, or into the cell of a notebook",
            )
        where = functions.place(_NOTEBOOK, function.__qualname__, PurePosixPath(f"{_NOTEBOOK}.py"))
        return where, {f"{_NOTEBOOK}.py": module_of(cells, function.__qualname__)}
    if not file.is_relative_to(workdir.resolve()):
        raise UserError(
            f"{function.__qualname__} is in {file}, outside of the working directory {workdir}",
            "name a directory with it by workdir",
        )
    inside = PurePosixPath(file.relative_to(workdir.resolve()).as_posix())
    return functions.place(function.__module__, function.__qualname__, inside), {}


def _cells() -> list[str] | None:
    """The cells of this notebook that were run, in Python; None outside of IPython."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return (
        None if shell is None else [str(cell) for cell in shell.history_manager.input_hist_parsed]
    )

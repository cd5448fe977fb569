"""Functions that are submitted: how the pods find them, what goes along and what comes back."""

import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob import UserError, job
from trainingjob.core import functions
from trainingjob.core.functions import Place
from trainingjob.functions import place

CALLING = resources.files("trainingjob.pod").joinpath("calling.py").read_text()
REPOSITORY = Path(__file__).parents[3]


@job(image="torch:1", nodes=2)
def train(learning_rate: float = 3e-4, *, layers: int = 2) -> float:
    """Train."""
    return learning_rate * layers


def test_it_is_still_a_function() -> None:
    assert train(0.5) == 1.0
    assert (vars(train)["__name__"], train.__doc__) == ("train", "Train.")


@pytest.mark.parametrize(
    ("module", "file", "found"),
    [
        ("train", "train.py", Place(".", "train", "f")),
        ("team.train", "team/train.py", Place(".", "team.train", "f")),
        ("team.train", "src/team/train.py", Place("src", "team.train", "f")),
        ("team", "src/team/__init__.py", Place("src", "team", "f")),
        # python src/train.py: a pod imports it by its file's name.
        ("__main__", "src/train.py", Place("src", "train", "f")),
    ],
)
def test_how_the_pods_find_it(module: str, file: str, found: Place) -> None:
    assert functions.place(module, "f", PurePosixPath(file)) == found


def test_the_place_of_a_real_one() -> None:
    found, modules = place(train.__wrapped__, REPOSITORY)
    assert (found.root, found.name, modules) == (".", "train", {})
    assert found.module == "tests.unit.client.test_functions"


def test_what_cannot_go_along() -> None:
    def within() -> None:
        """Nobody can import it."""

    with pytest.raises(UserError, match="is not at the top level of its module"):
        place(within, REPOSITORY)
    with pytest.raises(UserError, match="outside of the working directory"):
        place(train.__wrapped__, REPOSITORY / "docs")
    with pytest.raises(UserError, match="is not where its file is"):
        functions.place("other.name", "f", PurePosixPath("src/train.py"))
    names: dict[str, Any] = {"__name__": "__main__"}
    exec("def cell(): pass", names)  # noqa: S102 - as a notebook does
    with pytest.raises(UserError, match="cell is in no file"):
        place(names["cell"], REPOSITORY)


def test_wrong_arguments_are_found_before_anything_is_sent() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'rate'"):
        train.submit(rate=1)  # type: ignore[call-arg]  # that is the mistake


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)  # fmt: skip


@given(JSON, JSON)
def test_arguments_arrive_as_they_were(positional: Any, named: Any) -> None:
    assert json.loads(functions.arguments("train", [positional], {"a": named})) == {
        "args": [positional],
        "kwargs": {"a": named},
    }


@pytest.mark.parametrize(
    "value", [(1, 2), {1: 2}, {"a": (1,)}, Path("x"), float("nan"), {1, 2}, b"x", object()]
)
def test_arguments_that_would_arrive_as_something_else_are_refused(value: object) -> None:
    with pytest.raises(UserError) as refused:
        functions.arguments("train", [], {"data": value})
    assert refused.value.message == (
        f"argument data of train is a {type(value).__name__} that JSON cannot hold"
    )


def test_the_command_of_one_rank_and_of_several() -> None:
    where = Place("src", "team.train", "f")
    assert functions.command(where, "source", "{}", processes=False) == (
        *("python", "-c", "source", "src", "team.train", "f", "{}"),
    )
    assert functions.command(where, "source", "{}", processes=True) == (
        *("torchrun", "--no-python"),
        *("python", "-c", "source", "src", "team.train", "f", "{}"),
    )


def test_results() -> None:
    assert functions.result('{"value": {"loss": 0.5}}') == {"loss": 0.5}
    with pytest.raises(UserError, match="train returned what JSON cannot hold: a set"):
        functions.result('{"error": "train returned what JSON cannot hold: a set"}')
    for other in ("", "[]", "{}", "no"):
        with pytest.raises(UserError, match=r"result\.json of the run is not what a function"):
            functions.result(other)


SCRIPT = """
from trainingjob import Client, job

@job(image="torch:1")
def train(a, *, b):
    print(f"{a} {b}")
    return {"sum": a + b}

if __name__ == "__main__":
    train.submit(1, b=2)
"""


def in_the_pod(directory: Path, with_package: bool) -> "subprocess.CompletedProcess[str]":
    """Call the function of SCRIPT in a Python with or without the package `trainingjob`."""
    (directory / "src").mkdir()
    (directory / "src" / "script.py").write_text(SCRIPT)
    arguments = functions.arguments("train", [1], {"b": 2})
    command = functions.command(
        Place("src", "script", "train"), CALLING, arguments, processes=False
    )
    isolated = [] if with_package else ["-S"]
    return subprocess.run(
        [sys.executable, *isolated, *command[1:]],
        cwd=directory,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("with_package", [True, False])
def test_an_image_needs_no_client_to_call_it(tmp_path: Path, with_package: bool) -> None:
    done = in_the_pod(tmp_path, with_package)
    assert (done.returncode, done.stdout) == (0, "1 2\n")
    assert done.stderr == "tj: the result of train is not kept: KeyError('MLFLOW_RUN_ID')\n"

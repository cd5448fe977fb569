"""A notebook's function goes along with the statements that it needs, and no others."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob.core.cells import module_of
from trainingjob.errors import UserError

# As IPython keeps them: its own syntax is translated already.
NOTEBOOK = (
    "get_ipython().run_line_magic('matplotlib', 'inline')\nimport math, os\n",
    "from trainingjob import job\nIMAGE = 'torch:1'\n",
    "data = load_everything()\ndata.head()\n",
    "config = {'lr': 1}\nrate = 2\n",
    "config['lr'] = 3\nconfig['layers'] = 4\nrate += 1\n",
    "def loss(step, base: float = rate):\n    return math.exp(-step) * config['lr'] + base\n",
    "def broken(:\n",
    "def loss(step):\n    # Better.\n    return [again(n) for n in range(step)] + [config, rate]\n",
    "class Model:\n    size = 3\n    def forward(self, size):\n        return Model.size + size\n",
    "def again(n):\n    return again(n - 1) if n else 0\n",
    (
        "@job(image=IMAGE)\ndef train(steps: int, *, lr=3e-4):\n    import json\n"
        "    model = Model()\n    return json.dumps([loss(steps), model.forward(lr)])\n"
    ),
    "run = train.submit(3)\nprint(run.name)\n",
)
MODULE = """\
from trainingjob import job

IMAGE = 'torch:1'

config = {'lr': 1}

rate = 2

config['lr'] = 3

config['layers'] = 4

rate += 1

def loss(step):
    return [again(n) for n in range(step)] + [config, rate]

class Model:
    size = 3

    def forward(self, size):
        return Model.size + size

def again(n):
    return again(n - 1) if n else 0

@job(image=IMAGE)
def train(steps: int, *, lr=0.0003):
    import json
    model = Model()
    return json.dumps([loss(steps), model.forward(lr)])
"""


def test_what_goes_along() -> None:
    assert module_of(NOTEBOOK, "train") == MODULE


@pytest.mark.parametrize(
    ("cells", "returned"),
    [
        # What sets a name last counts, unless it builds on what was there.
        (["x = 1", "def f(): return x", "x = 2", "x = 3"], 3),
        (["x = 1", "x = x + 1", "def f(): return x"], 2),
        (["x = [1]", "x += [2]", "x[0] = 3", "def f(): return x"], [3, 2]),
        (["a, b = 1, 2", "def f(): return b"], 2),
        (["if True:\n    x = 1", "def f(): return x"], 1),
        (["import os.path as p", "def f(): return p.sep"], "/"),
        (["class C: pass", "c = C()", "c.lr = 1", "def f(): return c.lr"], 1),
        (["def f():\n    y = 1\n    return [y for y in range(3)]"], [0, 1, 2]),
        (["def f(n=2):\n    return f(n - 1) if n else 'done'"], "done"),
    ],
)
def test_what_it_returns_in_the_pod(cells: list[str], returned: object) -> None:
    names: dict[str, Any] = {"__name__": "module"}
    exec(compile(module_of(cells, "f"), "module.py", "exec"), names)  # noqa: S102 - as an import does
    assert names["f"]() == returned


@pytest.mark.parametrize(
    ("cells", "message", "remedy"),
    [
        (
            ["def f(): return data"],
            "f uses data, which no cell of the notebook sets",
            "set it in a cell, give it as an argument, or import it from a module",
        ),
        (
            ["def g(): return data", "def f(): return g()"],
            "f uses data, by way of g, which no cell of the notebook sets",
            "set it in a cell, give it as an argument, or import it from a module",
        ),
        (
            ["files = get_ipython().getoutput('ls')", "def f(): return files"],
            "f uses get_ipython, by way of files, which only a notebook has",
            "leave it out of what the function uses",
        ),
    ],
)
def test_what_cannot_go_along(cells: list[str], message: str, remedy: str) -> None:
    with pytest.raises(UserError) as refused:
        module_of(cells, "f")
    assert (refused.value.message, refused.value.remedy) == (message, remedy)


@given(st.lists(st.text(max_size=60)))
def test_any_cells_are_read(cells: list[str]) -> None:
    assert "def f" in module_of([*cells, "def f(): return 1"], "f")

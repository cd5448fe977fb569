"""The agent goes into images of other people: Python 3.10, no torch. `make types` checks it too.

What the script's own Python imports of it is for 3.8.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import trainingjob_agent

AGENT = Path(trainingjob_agent.__file__).parent
SINCE_3_11 = {
    "datetime": {"UTC"},
    "enum": {"StrEnum", "ReprEnum", "verify"},
    "typing": {"Self", "Never", "LiteralString", "NotRequired", "Required", "assert_never"},
    "asyncio": {"TaskGroup", "timeout", "Runner"},
    "contextlib": {"chdir"},
    "hashlib": {"file_digest"},
}
MODULES_SINCE_3_11 = {"tomllib"}
BUILTINS_SINCE_3_11 = {"ExceptionGroup", "BaseExceptionGroup"}


def newer_names(tree: ast.Module) -> set[str]:
    """Names of the standard library that Python 3.10 does not have."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            newer = SINCE_3_11.get(node.module, set())
            found |= {f"{node.module}.{one.name}" for one in node.names if one.name in newer}
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names} & MODULES_SINCE_3_11
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            newer = SINCE_3_11.get(node.value.id, set())
            found |= {f"{node.value.id}.{node.attr}"} if node.attr in newer else set()
        if isinstance(node, ast.Name):
            found |= {node.id} & BUILTINS_SINCE_3_11
    return found


@pytest.mark.parametrize(
    "module", sorted(AGENT.rglob("*.py")), ids=lambda path: str(path.relative_to(AGENT))
)
def test_each_module_of_the_agent_is_one_of_python_3_10(module: Path) -> None:
    tree = ast.parse(module.read_text(), feature_version=(3, 10))

    assert newer_names(tree) == set()


@pytest.mark.parametrize(
    "newer",
    [
        "from enum import StrEnum",
        "import tomllib",
        "from datetime import UTC",
        "datetime.UTC",
        "raise ExceptionGroup('several', [])",
    ],
)
def test_newer_names_are_seen(newer: str) -> None:
    assert newer_names(ast.parse(newer))


def test_newer_syntax_is_seen() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("try: pass\nexcept* OSError: pass", feature_version=(3, 10))


IN_SCRIPTS = (
    *("place", "forks", "login", "stacks.on_signal", "supervisor.first_step"),
    *("supervisor.artifacts", "supervisor.mlflow_plugins", "supervisor.progress"),
    *("supervisor.frameworks.fit", "supervisor.records"),
)
"""What the hook brings into the script's own Python, which may be 3.8 if the agent is injected."""


def imported_by_scripts() -> list[Path]:
    """The files of ours that a process of a script may import."""
    imports = ", ".join(f"trainingjob_agent.{name}" for name in IN_SCRIPTS)
    probe = (
        f"import json, sys, {imports}; "
        "print(json.dumps([one.__file__ for name, one in sys.modules.items() "
        "if name.startswith('trainingjob_agent')]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    return [Path(file) for file in json.loads(answer.stdout)]


def test_what_scripts_import_needs_python_3_8_and_no_package_but_mlflow() -> None:
    files = imported_by_scripts()
    assert len(files) > len(IN_SCRIPTS)
    for file in (*files, *(AGENT / "supervisor" / "hook").glob("*.py")):
        tree = ast.parse(file.read_text(), feature_version=(3, 8))
        assert newer_than_3_8(tree) == set(), file
        assert packages(tree) <= WITH_MLFLOW, file


WITH_MLFLOW = {AGENT.name, "mlflow", "requests", "urllib3"}


def packages(tree: ast.Module) -> set[str]:
    """Names of what is imported besides the standard library."""
    imports = (node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))
    names = {
        name.partition(".")[0]
        for node in imports
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [one.name for one in node.names]
        )
    }
    return names - sys.stdlib_module_names


NEWER_THAN_3_8 = {
    *("removeprefix", "removesuffix", "is_relative_to", "readlink", "with_stem", "hardlink_to"),
    *("cache", "pairwise", "randbytes", "eventfd", "slots", "kw_only"),
}


def newer_than_3_8(tree: ast.Module) -> set[str]:
    """Methods and keywords that Python 3.8 lacks, and annotations that it could not evaluate."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found |= {node.attr} & NEWER_THAN_3_8
        if isinstance(node, ast.keyword):
            found |= {str(node.arg)} & NEWER_THAN_3_8
    annotated = {"AnnAssign": "annotation", "arg": "annotation", "FunctionDef": "returns"}
    generic = any(
        isinstance(part, (ast.Subscript, ast.BinOp))
        for node in ast.walk(tree)
        if (field := annotated.get(type(node).__name__)) and getattr(node, field) is not None
        for part in ast.walk(getattr(node, field))
    )
    postponed = any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
    )
    return found | ({"evaluated annotations"} if generic and not postponed else set())


@pytest.mark.parametrize(
    "newer",
    [
        "text.removeprefix('a')",
        "@dataclass(slots=True)\nclass A: pass",
        "def f(a: int | None): pass",
        "def f() -> list[int]: pass",
    ],
)
def test_what_python_3_8_lacks_is_seen(newer: str) -> None:
    assert newer_than_3_8(ast.parse(newer))


SLOW_TO_IMPORT = ["asyncio", "mlflow", "numpy", "prometheus_client", "psutil", "requests", "torch"]


def test_nothing_slow_is_imported_before_the_script_begins() -> None:
    probe = (
        "import sys, trainingjob_agent.supervisor.__main__; "
        f"print([one for one in {SLOW_TO_IMPORT} if one in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)

    assert answer.stdout == "[]\n", answer.stderr

"""The agent goes into images of other people: Python 3.10, no torch. `make types` checks it too."""

import ast
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


SLOW_TO_IMPORT = ["asyncio", "mlflow", "numpy", "prometheus_client", "psutil", "requests", "torch"]


def test_nothing_slow_is_imported_before_the_script_begins() -> None:
    probe = (
        "import sys, trainingjob_agent.supervisor.__main__; "
        f"print([one for one in {SLOW_TO_IMPORT} if one in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)

    assert answer.stdout == "[]\n", answer.stderr

"""Runs in the pod: calls a function and keeps what it returns. Sent as text, as preamble.py is.

    python -c SOURCE ROOT MODULE FUNCTION ARGUMENTS

ROOT is the directory to import from, ARGUMENTS are JSON. The result becomes an artifact of the run.
"""

import importlib
import importlib.util
import json
import os
import sys
import types
from typing import Any

_SAYS = "tj: "
_ARTIFACT = "trainingjob/result.json"
_PACKAGE = "trainingjob"


def main(root: str, module: str, name: str, arguments: str) -> None:
    """Import the function's module, call it, and let rank 0 keep the result."""
    sys.path.insert(0, os.path.realpath(root))
    if importlib.util.find_spec(_PACKAGE) is None:
        sys.modules[_PACKAGE] = stand_in()
    found = getattr(importlib.import_module(module), name)
    given = json.loads(arguments)
    result = getattr(found, "__wrapped__", found)(*given["args"], **given["kwargs"])
    if int(os.environ.get("RANK") or os.environ.get("TRAININGJOB_NODE_RANK") or 0) == 0:
        keep(result, name)


def keep(result: Any, name: str) -> None:
    """Upload the result; a training that has ended well does not fail for it."""
    try:
        text = json.dumps({"value": result}, allow_nan=False)
    except (TypeError, ValueError) as error:
        problem = f"{name} returned what JSON cannot hold: {error}"
        text = json.dumps({"error": problem})
        print(f"{_SAYS}{problem}", file=sys.stderr)
    try:
        run_id = os.environ.get("TRAININGJOB_MLFLOW_RUN_ID") or os.environ["MLFLOW_RUN_ID"]
        from mlflow import MlflowClient

        MlflowClient().log_text(run_id, text, _ARTIFACT)
    except Exception as error:  # noqa: BLE001 - MLflow's client may raise anything
        print(f"{_SAYS}the result of {name} is not kept: {error!r}", file=sys.stderr)


def stand_in() -> types.ModuleType:
    """The package `trainingjob` for images without it: `job` returns the function as it is."""
    module = types.ModuleType(_PACKAGE)

    def job(**_options: Any) -> Any:
        return lambda function: function

    def absent(name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)

    module.__dict__.update(job=job, __getattr__=absent)
    return module


if __name__ == "__main__":
    main(*sys.argv[1:])

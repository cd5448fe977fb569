"""A job on this machine: what the operator would give its pod and its run, without a cluster."""

import json
from dataclasses import dataclass
from typing import Any

NAMESPACE = "local"
EXIT_TERMINATED, EXIT_INTERRUPTED = 143, 130
_ATTEMPT = "1"
_TAG = "trainingjob."
# As in a termination message of the agent (trainingjob_agent/causes/termination.py).
_PARTS = ("reason", "message", "frame", "epoch", "step")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a command on this machine is: as a job, and as a run of an MLflow server."""

    name: str
    uid: str
    tracking_uri: str
    experiment_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended: status of the run, and the failure as the agent has described it, if it did."""

    status: str
    outcome: str
    failure: dict[str, str]


def run_tags(name: str, uid: str, code: dict[str, str]) -> dict[str, str]:
    """The tags of the run at its start: those of a job, and those of its code."""
    return {
        **code,
        f"{_TAG}name": name,
        f"{_TAG}namespace": NAMESPACE,
        f"{_TAG}uid": uid,
        f"{_TAG}attempt": _ATTEMPT,
    }


def environment(run: Identity, termination_log: str) -> dict[str, str]:
    """The variables of the contract (docs/concepts.md) that mean something on one machine."""
    return {
        "TRAININGJOB_NAME": run.name,
        "TRAININGJOB_NAMESPACE": NAMESPACE,
        "TRAININGJOB_UID": run.uid,
        "TRAININGJOB_ATTEMPT": _ATTEMPT,
        "TRAININGJOB_TERMINATION_LOG": termination_log,
        "TRAININGJOB_MLFLOW_RUN_ID": run.run_id,
        "MLFLOW_RUN_ID": run.run_id,
        "MLFLOW_EXPERIMENT_ID": run.experiment_id,
        "MLFLOW_TRACKING_URI": run.tracking_uri,
        "MLFLOW_RUN_CONTEXT": json.dumps({f"{_TAG}opened_by": run.uid}),
    }


def ending(exit_code: int, termination_message: str) -> Ending:
    """What an exit code, and the termination message of the agent, mean for the run."""
    if exit_code == 0:
        return Ending("FINISHED", "Succeeded", {})
    if exit_code in (EXIT_TERMINATED, EXIT_INTERRUPTED):
        return Ending("KILLED", "Stopped", {})
    found = _read(termination_message)
    failure = {name: str(found[name]) for name in _PARTS if found.get(name) not in (None, "")}
    failure.setdefault("reason", "NonZeroExitCode")
    failure.setdefault("message", f"exit code {exit_code}")
    return Ending("FAILED", "Failed", failure)


def end_tags(end: Ending, exit_code: int) -> dict[str, str]:
    """The tags of the run at its end."""
    tags = {f"{_TAG}outcome": end.outcome}
    if end.failure:
        tags |= {f"{_TAG}failure.{name}": value for name, value in end.failure.items()}
        tags |= {
            f"{_TAG}failure.attempt": _ATTEMPT,
            f"{_TAG}failure.exit_code": str(exit_code),
        }
    return tags


def _read(message: str) -> dict[str, Any]:
    try:
        found = json.loads(message)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

"""The job's run, as each process of the script knows it from its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainingjob_agent.place import number_in, rank_of

DIRECTORY = "TRAININGJOB_SCRIPT_DIR"
TRACKING_URI = "TRAININGJOB_MLFLOW_TRACKING_URI"
EXPERIMENT_ID = "TRAININGJOB_MLFLOW_EXPERIMENT_ID"
RUN_ID = "TRAININGJOB_MLFLOW_RUN_ID"
UID = "TRAININGJOB_UID"
EVERY_RANK = "TRAININGJOB_OPTION_LOG_EVERY_RANK"

MLFLOW_NAMES = {
    "MLFLOW_TRACKING_URI": TRACKING_URI,
    "MLFLOW_EXPERIMENT_ID": EXPERIMENT_ID,
    "MLFLOW_RUN_ID": RUN_ID,
}
"""What MLflow's client reads, which a script may change, and where its first value is kept."""

_OUTBOX = "outbox"
_KEPT_FILES = "kept-files"
_BUNDLES = "bundles"
_RUN_ID = "run-id"
_NODE_RANKS = ("NODE_RANK", "GROUP_RANK", "TRAININGJOB_NODE_RANK", "PET_NODE_RANK")


@dataclass(frozen=True)
class JobsRun:
    """Where the job's run is, and where what is logged to it goes.

    `directory` is shared by all processes of the script on this node. `run_id` is None while MLflow
    is away as the pod starts: the operator creates the run later.
    """

    directory: Path
    tracking_uri: str
    run_id: str | None = None
    experiment_id: str | None = None
    uid: str | None = None
    every_rank: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> JobsRun | None:
        """Return the job's run; None outside of `trainingjob-exec`, or without a run."""
        directory, uri = environment.get(DIRECTORY), environment.get(TRACKING_URI)
        run_id, uid = environment.get(RUN_ID) or None, environment.get(UID) or None
        if not (directory and uri and (run_id or uid)):
            return None
        return cls(
            Path(directory),
            uri,
            run_id,
            environment.get(EXPERIMENT_ID) or None,
            uid,
            environment.get(EVERY_RANK, "").strip().lower() == "true",
        )

    @property
    def outbox(self) -> Path:
        """Where the script's processes put what they log."""
        return outbox_in(self.directory)

    @property
    def kept_files(self) -> Path:
        """Where they put files that MLflow does not take now."""
        return kept_files_in(self.directory)

    @property
    def bundles(self) -> Path:
        """Where they put calls about models and data sets that are to be made later."""
        return bundles_in(self.directory)

    @property
    def pending_id(self) -> str:
        """Return the id by which the script knows the run until its own one is known."""
        return pending_id_of(self.uid)

    def known_id(self) -> str | None:
        """Return the run's id; None as long as nobody has found the run."""
        if self.run_id is not None:
            return self.run_id
        try:
            return (self.directory / _RUN_ID).read_text(encoding="utf-8")
        except OSError:
            return None  # it appears as a whole, when the process beside has found the run

    def has_id(self, run_id: str) -> bool:
        """Whether this is the id of the job's run."""
        return run_id == self.run_id or run_id in (self.pending_id, self.known_id())

    def say_once(self, subject: str, text: str) -> None:
        """Write a line to standard error, unless a process of the script has said it already."""
        try:
            (self.directory / f"said-{subject}").touch(exist_ok=False)
        except FileExistsError:
            return
        except OSError as error:
            text = f"{text} ({error})"
        sys.stderr.write(f"trainingjob-exec: {text}\n")


def outbox_in(directory: Path) -> Path:
    """Return where the processes of a script put what they log."""
    return directory / _OUTBOX


def kept_files_in(directory: Path) -> Path:
    """Return where the processes of a script put files that MLflow does not take now."""
    return directory / _KEPT_FILES


def pending_id_of(uid: str | None) -> str:
    """Return what stands for the id of the run of a job as long as nobody has found it."""
    return f"pending-{uid}"


def bundles_in(directory: Path) -> Path:
    """Return where the processes of a script put calls that are to be made later."""
    return directory / _BUNDLES


def tell_run_id(directory: Path, run_id: str) -> None:
    """Tell the processes of a script which run is the job's.

    Raises:
        OSError: it cannot be written.
    """
    file = directory / f"{_RUN_ID}.new"
    file.write_text(run_id, encoding="utf-8")
    file.replace(directory / _RUN_ID)


def rank_of_process(environment: Mapping[str, str] = os.environ) -> int:
    """Return the rank of this process: torch's, or the launcher's, or by the node's; 0 without."""
    distributed = sys.modules.get("torch.distributed")
    initialized = getattr(distributed, "is_initialized", None)  # not every build of torch has it
    if distributed is not None and initialized is not None and initialized():
        return int(distributed.get_rank())
    rank = rank_of(environment)
    if rank is not None:
        return rank
    processes = number_in(environment, "LOCAL_WORLD_SIZE") or 1
    nodes = (number_in(environment, name) for name in _NODE_RANKS)
    return next((number for number in nodes if number is not None), 0) * processes

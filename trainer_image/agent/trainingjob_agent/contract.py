"""The environment that the operator gives the pod, parsed once into a frozen value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEFAULT_TERMINATION_LOG = Path("/dev/termination-log")
DEFAULT_CODE_DIR = Path("/trainingjob/code")
DEFAULT_MONITOR_INTERVAL_SECONDS = 10.0
LOCAL_NAME = "local"

MonitorLevel = Literal["basic", "full"]
LOCAL_NAMESPACE = "default"
RUN_URL = "TRAININGJOB_MLFLOW_RUN_URL"
OPENED_BY_TAG = "trainingjob.opened_by"
"""Tag with the uid of the job whose pods opened a run besides the job's own."""


class ContractError(ValueError):
    """A variable of the contract has a value that cannot be used."""


@dataclass(frozen=True)
class Contract:
    """The pod's environment. Every field has a value that suits a run outside of a cluster.

    `rank`, `local_rank`, `world_size` and `local_world_size` are torchrun's; the rest is set by the
    operator on the pod, but for `monitor_level`, which the job may set, and `code_dir`: where
    `tj run` mounts the code, the job as it was created, and what differs from the commit.
    """

    name: str = LOCAL_NAME
    namespace: str = LOCAL_NAMESPACE
    uid: str | None = None
    attempt: int = 0
    node_rank: int = 0
    num_nodes: int = 1
    checkpoint_dir: Path | None = None
    code_dir: Path = DEFAULT_CODE_DIR
    monitor_enabled: bool = True
    monitor_interval_seconds: float = DEFAULT_MONITOR_INTERVAL_SECONDS
    monitor_level: MonitorLevel = "basic"
    metrics_port: int | None = None
    tracking_uri: str | None = None
    experiment_id: str | None = None
    run_id: str | None = None
    run_url: str | None = None
    termination_log: Path = DEFAULT_TERMINATION_LOG
    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    local_world_size: int = 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Contract:
        """Read the contract; an empty variable counts as absent.

        Raises:
            ContractError: a value is no number, no boolean or out of range; names the variable.
        """
        read = _Reader(environment)
        return cls(
            name=read.text("TRAININGJOB_NAME") or LOCAL_NAME,
            namespace=read.text("TRAININGJOB_NAMESPACE") or LOCAL_NAMESPACE,
            uid=read.text("TRAININGJOB_UID"),
            attempt=read.integer("TRAININGJOB_ATTEMPT", 0),
            node_rank=read.integer("TRAININGJOB_NODE_RANK", read.integer("PET_NODE_RANK", 0)),
            num_nodes=read.integer("TRAININGJOB_NUM_NODES", 1, minimum=1),
            checkpoint_dir=read.path("TRAININGJOB_CHECKPOINT_DIR"),
            code_dir=read.path("TRAININGJOB_CODE_DIR") or DEFAULT_CODE_DIR,
            monitor_enabled=read.boolean("TRAININGJOB_MONITOR_ENABLED", default=True),
            monitor_interval_seconds=read.seconds(
                "TRAININGJOB_MONITOR_INTERVAL", DEFAULT_MONITOR_INTERVAL_SECONDS
            ),
            monitor_level=read.monitor_level("TRAININGJOB_OPTION_MONITOR_LEVEL"),
            metrics_port=read.integer("TRAININGJOB_METRICS_PORT", 0) or None,
            tracking_uri=read.text("MLFLOW_TRACKING_URI"),
            experiment_id=read.text("MLFLOW_EXPERIMENT_ID"),
            run_id=read.text("TRAININGJOB_MLFLOW_RUN_ID") or read.text("MLFLOW_RUN_ID"),
            run_url=read.text(RUN_URL),
            termination_log=cls.termination_log_of(environment),
            rank=read.integer("RANK", 0),
            local_rank=read.integer("LOCAL_RANK", 0),
            world_size=read.integer("WORLD_SIZE", 1, minimum=1),
            local_world_size=read.integer("LOCAL_WORLD_SIZE", 1, minimum=1),
        )

    @staticmethod
    def termination_log_of(environment: Mapping[str, str]) -> Path:
        """Return where the termination message goes; readable even if the rest is not."""
        return _Reader(environment).path("TRAININGJOB_TERMINATION_LOG") or DEFAULT_TERMINATION_LOG

    @property
    def system_metric_prefix(self) -> str:
        """`system/` on one node, `system/<node rank>/` on several."""
        return "system/" if self.num_nodes == 1 else f"system/{self.node_rank}/"

    @property
    def gpu_tag(self) -> str:
        """Tag of the run that says which GPUs this node has."""
        return "trainingjob.gpus" if self.num_nodes == 1 else f"trainingjob.gpus.{self.node_rank}"

    @property
    def tracked(self) -> bool:
        """Whether an MLflow run exists, or will: one is named, or can be found by the job's uid."""
        return self.tracking_uri is not None and (self.run_id or self.uid) is not None


@dataclass(frozen=True)
class _Reader:
    """Typed access to environment variables."""

    environment: Mapping[str, str]

    def text(self, variable: str) -> str | None:
        return self.environment.get(variable, "").strip() or None

    def path(self, variable: str) -> Path | None:
        text = self.text(variable)
        return Path(text) if text else None

    def integer(self, variable: str, default: int, minimum: int = 0) -> int:
        text = self.text(variable)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or int(text) < minimum:
            raise ContractError(f"{variable}: expected an integer ≥ {minimum}, got {text!r}")
        return int(text)

    def seconds(self, variable: str, default: float) -> float:
        text = self.text(variable)
        if text is None:
            return default
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            raise ContractError(f"{variable}: expected a number of seconds > 0, got {text!r}")
        return seconds

    def monitor_level(self, variable: str) -> MonitorLevel:
        text = self.text(variable)
        if text is None or text == "basic":
            return "basic"
        if text == "full":
            return "full"
        raise ContractError(f"{variable}: expected basic or full, got {text!r}")

    def boolean(self, variable: str, *, default: bool) -> bool:
        text = self.text(variable)
        if text is None:
            return default
        if text.lower() not in {"true", "false"}:
            raise ContractError(f"{variable}: expected true or false, got {text!r}")
        return text.lower() == "true"

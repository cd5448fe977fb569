"""Checkpoints: on disk whole or not at all, and written beside the training."""

from trainingjob_trainer.checkpoint.checkpointer import (
    Checkpointer,
    checkpoint_duration,
    checkpoint_errors,
)
from trainingjob_trainer.checkpoint.lease import DirectoryInUseError, Holder, Lease
from trainingjob_trainer.checkpoint.shares import describe_shard, split
from trainingjob_trainer.checkpoint.snapshot import Snapshot
from trainingjob_trainer.checkpoint.store import CheckpointStore, Part

__all__ = [
    "CheckpointStore",
    "Checkpointer",
    "DirectoryInUseError",
    "Holder",
    "Lease",
    "Part",
    "Snapshot",
    "checkpoint_duration",
    "checkpoint_errors",
    "describe_shard",
    "split",
]

"""One stored batch, on its way through the spool."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from trainingjob_agent.delivery import segments
from trainingjob_agent.delivery.batch import Batch
from trainingjob_agent.delivery.records import Record


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One stored batch: where it is, or `body` itself if the disk did not take it.

    Nobody waits for it before `wanted_seconds` (of `time.monotonic()`).
    """

    points: int
    size: int
    path: Path | None
    record: Record | None
    body: bytes | None = field(default=None, repr=False)
    wanted_seconds: float = field(default_factory=time.monotonic)

    def read(self) -> Batch:
        """Return the batch.

        Raises:
            OSError, ValueError: it cannot be read, or has changed.
        """
        if self.body is not None:
            return Batch.from_bytes(self.body)
        assert self.path is not None  # noqa: S101 - a frame has one or the other
        assert self.record is not None  # noqa: S101
        return Batch.from_bytes(segments.read(self.path, self.record))

"""A user's script with a DataLoader, which saves after some more batches when it is to stop."""

import signal
import sys
from collections.abc import Iterator
from itertools import count, islice
from types import FrameType

from torch.utils.data import DataLoader, IterableDataset

WORKERS = 2
stopping = False


class Numbers(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return count()


def stop(_number: int, _frame: FrameType | None) -> None:
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)
batches = iter(DataLoader(Numbers(), num_workers=WORKERS, multiprocessing_context="fork"))
next(batches)
# One write: the lines of several ranks must not run into each other.
sys.stdout.write("ready\n")
sys.stdout.flush()
while not stopping:
    next(batches)
for _ in islice(batches, 10 * WORKERS):
    pass  # the step goes on; it needs more than what is there already
print("saved", flush=True)

"""Processes that multiprocessing forks: a signal for the whole group is not for a mere worker.

torchrun and `trainingjob-exec` send SIGTERM to a process group. A worker of a DataLoader that dies
of it makes its parent fail in the middle of a step, before the parent can write a checkpoint. When
the parent is killed, such a worker sees it by itself; any other ends with the container.

Imported at the start of each Python process of a script, so it imports next to nothing.
"""

import os
import sys


def keep_workers_out_of_group() -> None:
    """Give each daemonic process of multiprocessing, from now on, a process group of its own.

    Those are what a parent ends by itself: the workers of a DataLoader or of a Pool. Others stay in
    the group: they may be ranks with something to save, or want `os.setsid`, which fails in the
    leader of a group.
    """
    os.register_at_fork(after_in_child=_expect_worker)


def _expect_worker() -> None:
    # Only multiprocessing knows what it forks, and has no hook before the child starts.
    if "multiprocessing.util" in sys.modules:
        from multiprocessing.util import register_after_fork

        register_after_fork(_leave_group, _leave_group)


def _leave_group(_: object) -> None:
    from multiprocessing import current_process

    if current_process().daemon:
        os.setpgid(0, 0)

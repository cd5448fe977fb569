"""What runs beside a training in its pod: monitor, exporter, delivery, supervisor. No torch."""

from __future__ import annotations


def report_progress(step: int, total: int | None = None, epoch: int | None = None) -> None:
    """Report how far the training is: call it after each optimizer step, in any rank.

    Under `trainingjob-exec` the run of the job gets `progress/*`, and `kubectl get tj` the columns
    PROGRESS and ETA; elsewhere nothing happens. A call takes microseconds, since one is kept
    every five seconds, and the first and the last. The pace counts from the first.

    Args:
        step: steps done, those before a resumption included.
        total: steps in all; without it there is no percentage and no remaining time.
        epoch: the epoch under way, from 1.
    """
    # Here, since each Python process of a script imports this package.
    from trainingjob_agent.supervisor.progress import progress_of_process

    progress = progress_of_process()
    if progress is not None:
        progress.report(step, step / total if total else None, epoch)

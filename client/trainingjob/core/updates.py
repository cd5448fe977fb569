"""What to say about a job while it is followed."""

from trainingjob.core.durations import duration
from trainingjob.core.job import UNSEEN, Job
from trainingjob.core.tables import shown_state

_STEP_PERCENT = 10


def news(before: Job | None, job: Job) -> list[str]:
    """Lines about what has changed between two looks at a job; none if nothing worth a line."""
    lines = []
    if job.run_id and (before is None or before.run_id != job.run_id):
        lines.append(f"run {job.run_url or job.run_id}")
    state = _state(job)
    if before is None or _state(before) != state:
        lines.append(state)
    stalled = job.conditions.get("Stalled")
    was = before.conditions.get("Stalled") if before else None
    if stalled and stalled.status == "True" and (was is None or was.status != "True"):
        lines.append(f"stalled: {stalled.message}")
    return lines


def progress(job: Job) -> str:
    """How far it is, for a line that is written anew: `epoch 3, step 120, train/loss 0.021`."""
    done = job.progress
    parts = []
    if done.epoch is not None:
        parts.append(f"epoch {done.epoch}")
    if done.step is not None:
        parts.append(f"step {done.step}")
    if loss := _loss(done.metrics):
        parts.append(f"{loss} {done.metrics[loss]:.4g}")
    if done.remaining_seconds is not None and not job.ended:
        parts.append(f"{duration(done.remaining_seconds)} to go")
    return ", ".join(parts)


def progress_line(before: Job | None, job: Job) -> str | None:
    """The progress as a line of its own, every tenth of the way; for output that is no terminal."""
    percentage = job.progress.percentage
    if percentage is None or job.ended:
        return None
    last = before.progress.percentage if before else None
    if last is not None and percentage // _STEP_PERCENT <= last // _STEP_PERCENT:
        return None
    return f"{percentage}%, {progress(job)}" if progress(job) else f"{percentage}%"


def _state(job: Job) -> str:
    text = "waits for the operator" if job.state == UNSEEN else shown_state(job)
    if job.attempt > 1:
        text += f", attempt {job.attempt}"
    if job.failure and not job.ended:
        text += f": {job.failure.reason}: {job.failure.message}"
    return text


def _loss(metrics: dict[str, float]) -> str | None:
    """The metric to show: the training's loss, or else any loss."""
    named = [name for name in metrics if "loss" in name.lower()]
    return min(named, key=lambda name: (not name.startswith("train"), name), default=None)

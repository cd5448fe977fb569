"""The rows of `tj ls`, and the same for programs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from trainingjob.core.durations import age, duration
from trainingjob.core.job import Job

HEADINGS = ("NAME", "STATE", "PROGRESS", "ETA", "ATTEMPT", "NODES", "AGE", "RUN", "REASON")
NAMESPACE_HEADING = "NAMESPACE"


def row(job: Job, now: datetime) -> tuple[str, ...]:
    """One job in the order of HEADINGS."""
    remaining = job.progress.remaining_seconds
    percentage = job.progress.percentage
    return (
        job.name,
        shown_state(job),
        "-" if percentage is None else f"{percentage}%",
        "-" if remaining is None or job.ended else duration(remaining),
        str(job.attempt) if job.attempt else "-",
        str(job.num_nodes),
        age(job.created, now),
        job.run_id or "-",
        job.failure.reason if job.failure else "-",
    )


def shown_state(job: Job) -> str:
    """The state; Deleting for a job that is being deleted, which has no state of its own."""
    return "Deleting" if job.deleting else job.state


def summary(job: Job) -> dict[str, Any]:
    """One job for `--json`: names as in the API, absent values as null."""
    failure = job.failure
    return {
        "name": job.name,
        "namespace": job.namespace,
        "uid": job.uid,
        "state": shown_state(job),
        "createdAt": job.created.isoformat() if job.created else None,
        "numNodes": job.num_nodes,
        "attempt": job.attempt,
        "percentage": job.progress.percentage,
        "epoch": job.progress.epoch,
        "step": job.progress.step,
        "estimatedRemainingSeconds": job.progress.remaining_seconds,
        "metrics": job.progress.metrics,
        "runId": job.run_id,
        "runStatus": job.run_status,
        "runUrl": job.run_url,
        "failure": failure
        and {
            "reason": failure.reason,
            "message": failure.message,
            "node": failure.node,
            "rank": failure.rank,
            "frame": failure.frame,
        },
    }


def lines(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines with their columns below each other, three spaces apart."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def details(job: Job, now: datetime) -> list[tuple[str, str]]:
    """One job as pairs of what and how; only what is known."""
    progress, failure = job.progress, job.failure
    known = {
        "name": f"{job.namespace}/{job.name}",
        "state": shown_state(job),
        "age": age(job.created, now),
        "image": job.image,
        "nodes": str(job.num_nodes),
        "attempt": str(job.attempt) if job.attempt else None,
        "progress": None if progress.percentage is None else f"{progress.percentage}%",
        "epoch": None if progress.epoch is None else str(progress.epoch),
        "step": None if progress.step is None else str(progress.step),
        "ETA": None
        if progress.remaining_seconds is None or job.ended
        else duration(progress.remaining_seconds),
        **{name: f"{value:.6g}" for name, value in sorted(progress.metrics.items())},
        "run": job.run_id,
        "run status": job.run_status,
        "run page": job.run_url,
        "cause": failure and f"{failure.reason}: {failure.message}",
    }
    return [(name, value) for name, value in known.items() if value]

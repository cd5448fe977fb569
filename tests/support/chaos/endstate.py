"""The state that all is in at the end, without what differs from one time to the next."""

import re
from dataclasses import dataclass
from typing import Any

from tests.support.chaos.upstream import CORE, JOBS, TRAININGJOBS, Json, Refused, Upstream

# Times and durations depend on the machine, ids on chance.
VARYING_KEYS = (
    "experimentId",
    "goodput",
    "node",
    "runId",
    "suspendedSince",
    "trackingUri",
    "uid",
    "url",
)
VARYING_ENDINGS = ("Seconds", "Time")
POD_SUFFIX = re.compile(r"\b(job-\d+-\d+)-[a-z0-9]{5}\b")
# What the API server notes of who wrote a field.
OPERATOR = "trainingjob-operator"
VARYING_TAGS = (
    "trainingjob.uid",
    "trainingjob.namespace",
    "trainingjob.goodput",
    "trainingjob.failure.node",
    "mlflow.user",
    "mlflow.source",
)


@dataclass(frozen=True)
class Remains:
    """What is there at the end, as both servers give it."""

    trainingjob: Json | None
    jobs: list[Json]
    pods: list[Json]
    services: list[Json]
    runs: list[Json]


async def remains(upstream: Upstream, namespace: str) -> Remains:
    """Ask for all that a trial left."""
    return Remains(
        trainingjob=await _trainingjob(upstream, namespace),
        jobs=await _list(upstream, JOBS, namespace, "jobs"),
        pods=await _list(upstream, CORE, namespace, "pods"),
        services=await _list(upstream, CORE, namespace, "services"),
        runs=await upstream.runs(namespace),
    )


def end_state(found: Remains) -> Json:
    """What must be the same whatever happened on the way."""
    return {
        "trainingjob": _written(found.trainingjob) if found.trainingjob else None,
        "jobs": [_child(one) for one in found.jobs],
        "pods": sorted(_pod(one) for one in found.pods),
        "services": [_name(one) for one in found.services],
        "runs": [_run(one) for one in found.runs],
    }


async def event_reasons(upstream: Upstream, namespace: str) -> list[str]:
    """The reasons of the events about the job; an event that a crash took is lost."""
    found = await _list(upstream, CORE, namespace, "events")
    ours = [one for one in found if one["involvedObject"]["kind"] == "TrainingJob"]
    return sorted(f"{one['reason']}: {_stable(one['message'])}" for one in ours)


async def _trainingjob(upstream: Upstream, namespace: str) -> Json | None:
    path = f"{TRAININGJOBS}/namespaces/{namespace}/trainingjobs/job"
    try:
        found = await upstream.call("GET", path)
    except Refused as refused:
        if refused.status != 404:
            raise
        return None
    return found


def _written(found: Json) -> Json:
    status = _stable(found.get("status", {}))
    status["conditions"] = sorted(status.get("conditions", []), key=lambda one: str(one["type"]))
    return {"finalizers": found["metadata"].get("finalizers", []), "status": status}


async def _list(upstream: Upstream, root: str, namespace: str, plural: str) -> list[Json]:
    found = await upstream.call("GET", f"{root}/namespaces/{namespace}/{plural}")
    return sorted(found["items"], key=_name)


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])


def _child(job: Json) -> Json:
    """A child Job, or the one of somebody else, which nobody may touch."""
    [container] = job["spec"]["template"]["spec"]["containers"]
    reported = job.get("status", {}).get("conditions", [])
    managers = {one["manager"] for one in job["metadata"].get("managedFields", [])}
    return {
        "name": _name(job),
        "written_by_us": OPERATOR in managers,
        "generation": job["metadata"]["generation"],
        "deleting": "deletionTimestamp" in job["metadata"],
        "finalizers": job["metadata"].get("finalizers", []),
        "ended": sorted(one["type"] for one in reported if one["type"] in ("Complete", "Failed")),
        "env": [one["name"] for one in container.get("env", [])],
    }


def _pod(pod: Json) -> tuple[str, str]:
    return POD_SUFFIX.sub(r"\1", _name(pod)), str(pod["status"]["phase"])


def _run(run: Json) -> Json:
    tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
    info = run["info"]
    return {
        "status": info["status"],
        "lifecycle_stage": info["lifecycle_stage"],
        "name": info["run_name"],
        "ended": bool(info.get("end_time")),
        "tags": {
            key: _stable(value) for key, value in tags.items() if not key.startswith(VARYING_TAGS)
        },
    }


def _stable(value: Any) -> Any:
    """A part of a status without times, ids and the random ends of pod names."""
    if isinstance(value, dict):
        return {
            key: _stable(part)
            for key, part in value.items()
            if key not in VARYING_KEYS and not key.endswith(VARYING_ENDINGS)
        }
    if isinstance(value, list):
        return [_stable(part) for part in value]
    return POD_SUFFIX.sub(r"\1", value) if isinstance(value, str) else value

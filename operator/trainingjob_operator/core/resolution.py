"""What a job with a runtime amounts to: the runtime's defaults, the job's own, the pod template.

The status keeps the runtime as it was when the job first saw it, and the job's own spec cannot be
changed in what the pods are made of. So this is the same for all attempts, whatever becomes of the
runtime.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from trainingjob_operator.api import OF_THE_JOB, TrainingJob, TrainingJobSpec, TrainingRuntimeSpec
from trainingjob_operator.core import contract, overlay

Raw = dict[str, Any]

JOB, RUNTIME, BOTH = "Job", "Runtime", "JobAndRuntime"
FIELDS = frozenset(field.alias or name for name, field in TrainingJobSpec.model_fields.items())
# Fields of a pod that have the name of a field of the spec, and may have values that it may not.
WIDER = ("activeDeadlineSeconds", "dnsPolicy", "initContainers", "securityContext")
CONTAINER_LISTS = ("initContainers", "sidecars")
HOST_NETWORK_DNS = "ClusterFirstWithHostNet"
CLAIM = ("claimName", "claimTemplate", "claimRetention")


def effective(job: TrainingJob) -> TrainingJob:
    """The job with the spec that counts: its own where it has no runtime, or none yet.

    Raises:
        pydantic.ValidationError: this release cannot read what the two amount to.
    """
    if job.status.runtime is None:
        return job
    spec = resolved(own(job), job.status.runtime.spec)
    return job.model_copy(update={"spec": spec})


def own(job: TrainingJob) -> Raw:
    """What the job itself sets, as on the wire; Kueue's label of a queue is its queueName."""
    spec = job.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    label = job.metadata.labels.get(contract.LABEL_QUEUE)
    given = {name: value for name, value in spec.items() if value not in (None, "")}
    return {"queueName": label, **given} if label else given


def resolved(wanted: Raw, runtime: TrainingRuntimeSpec) -> TrainingJobSpec:
    """The spec of a job that sets `wanted`; what the runtime does not allow has no effect.

    Raises:
        pydantic.ValidationError: the two do not go together.
    """
    return TrainingJobSpec.model_validate(_merged(wanted, runtime))


def overrides(wanted: Raw, runtime: TrainingRuntimeSpec) -> Iterator[tuple[str, str]]:
    """What a job sets and may not: the field, and what of the runtime speaks against it."""
    _, refused = _split(wanted, runtime.allow)
    allowed = f"spec.allow has {', '.join(runtime.allow or ()) or 'no field'}"
    yield from ((path, allowed) for path in refused)
    for path in overlay.contradictions(_fixed(runtime.template), wanted):
        yield path, "spec.template sets it"
    yield from _intrusions(wanted, runtime.template)


def sources(wanted: Raw, runtime: TrainingRuntimeSpec) -> dict[str, str]:
    """Where each field of the resolved spec comes from, by its path."""
    merged = {
        name: value for name, value in _merged(wanted, runtime).items() if name not in OF_THE_JOB
    }
    return dict(_sources(merged, wanted))


def under_template(job: TrainingJob, pod_spec: Raw) -> Raw:
    """The spec of a job's pods with what its runtime's template has beyond the resolved spec.

    In the network of its node a pod finds rank 0 by name only with the DNS policy made for that.
    """
    if job.status.runtime is None:
        return pod_spec
    laid: Raw = overlay.laid_over(pod_spec, _beyond_the_spec(job.status.runtime.spec.template))
    return {"dnsPolicy": HOST_NETWORK_DNS, **laid} if laid.get("hostNetwork") else laid


def _beyond_the_spec(template: Raw) -> Raw:
    pod = {name: value for name, value in _pod(template).items() if not _in_spec(name)}
    if "containers" in pod:
        pod["containers"] = [_without_fields_of_the_spec(one) for one in pod["containers"]]
    return pod


def _without_fields_of_the_spec(container: Raw) -> Raw:
    if container["name"] != contract.CONTAINER_NAME:
        return container
    return {
        name: value
        for name, value in container.items()
        if not (_in_spec(name) or name == "resources")
    }


def _merged(wanted: Raw, runtime: TrainingRuntimeSpec) -> Raw:
    allowed, _ = _split(wanted, runtime.allow)
    merged = overlay.laid_over(_with_one_place(runtime.defaults, allowed), allowed)
    result: Raw = overlay.laid_over(merged, _of_template(runtime.template))
    return result


def _with_one_place(defaults: Raw, wanted: Raw) -> Raw:
    """Checkpoints have one place: a job that names another kind of it does without the default."""
    mine, given = wanted.get("checkpoint"), defaults.get("checkpoint")
    if not mine or not given:
        return defaults
    dropped = CLAIM if "volume" in mine else ("volume",) if mine.keys() & CLAIM else ()
    left = {name: value for name, value in given.items() if name not in dropped}
    return {**defaults, "checkpoint": left}


def _split(wanted: Raw, allow: list[str] | None, path: str = "") -> tuple[Raw, list[str]]:
    """The part of `wanted` that is allowed, and the paths of what is not."""
    if allow is None:
        return wanted, []
    kept: Raw = {}
    refused: list[str] = []
    for name, value in wanted.items():
        where = f"{path}{name}"
        if where in allow or where in OF_THE_JOB:
            kept[name] = value
        elif isinstance(value, dict) and any(one.startswith(f"{where}.") for one in allow):
            kept[name], more = _split(value, allow, f"{where}.")
            refused += more
        else:
            refused.append(where)
    return kept, refused


def _of_template(template: Raw) -> Raw:
    """The part of a pod template that the spec of a job has fields for."""
    metadata, trainer = template.get("metadata") or {}, _trainer(template)
    given = {
        **{name: value for name, value in _pod(template).items() if _in_spec(name)},
        **{name: value for name, value in trainer.items() if _in_spec(name)},
        "resourcesPerNode": trainer.get("resources"),
        "podLabels": metadata.get("labels"),
        "podAnnotations": metadata.get("annotations"),
    }
    return {name: value for name, value in given.items() if value is not None}


def _fixed(template: Raw) -> Raw:
    """What a job must not contradict: that part, and what the template has beyond it."""
    wider = {name: value for name, value in _pod(template).items() if name in WIDER}
    return {**_of_template(template), **wider}


def _intrusions(wanted: Raw, template: Raw) -> Iterator[tuple[str, str]]:
    """What would get the rights of the template's containers, or see their volumes."""
    pod = _pod(template)
    containers = _names([*pod.get("containers", ()), *pod.get("initContainers", ())])
    volumes = _names(pod.get("volumes", ()))
    for field in CONTAINER_LISTS:
        for name in _names(wanted.get(field, ())) & containers:
            yield f"{field}[{name}]", "spec.template has a container of that name"
    for one in wanted.get("initializers", ()):
        if any(_holds(mount, one["path"]) for mount in _trainer(template).get("volumeMounts", ())):
            yield f"initializers[{one['name']}].path", "it is in a volume of spec.template"
    for path, container in _containers(wanted):
        for mount in container.get("volumeMounts", ()):
            if mount["name"] in volumes:
                where = f"{path}volumeMounts[{mount['mountPath']}]"
                yield where, f"the volume {mount['name']} is that of spec.template"


def _containers(wanted: Raw) -> Iterator[tuple[str, Raw]]:
    """The containers that a job describes, the trainer first, with the path of their fields."""
    yield "", wanted
    for field in CONTAINER_LISTS:
        for one in wanted.get(field, ()):
            yield f"{field}[{one['name']}].", one


def _sources(merged: Raw, mine: Raw, path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in merged.items():
        where, wanted = f"{path}{name}", mine.get(name)
        if name not in mine:
            yield where, RUNTIME
        elif value == wanted:
            yield where, JOB
        elif isinstance(value, dict) and isinstance(wanted, dict):
            yield from _sources(value, wanted, f"{where}.")
        else:
            yield where, BOTH


def _pod(template: Raw) -> Raw:
    return template.get("spec") or {}


def _trainer(template: Raw) -> Raw:
    containers = _pod(template).get("containers", ())
    return next((one for one in containers if one["name"] == contract.CONTAINER_NAME), {})


def _holds(mount: Raw, path: str) -> bool:
    return PurePosixPath(path).is_relative_to(mount["mountPath"])


def _names(entries: Any) -> set[str]:
    return {one["name"] for one in entries}


def _in_spec(name: str) -> bool:
    return name in FIELDS and name not in WIDER

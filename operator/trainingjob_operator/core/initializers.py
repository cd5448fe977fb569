"""The init containers that fetch data before the training: the agent's image does the work.

They see what the trainer sees: its variables, and its volumes at the same paths.
"""

from pathlib import PurePosixPath
from typing import Any

from trainingjob_operator.api import Initializer, TrainingJobSpec
from trainingjob_operator.api.initializer_rules import INITIALIZER_PREFIX, SOURCE_PREFIX
from trainingjob_operator.core.injection import (
    DIRECTORY,
    AgentImage,
    container_of_agent,
    with_pod_spec,
)

Manifest = dict[str, Any]

_PROGRAM = f"{DIRECTORY}/bin/initialize"
_CLAIM_SCHEME = "pvc://"
# Where the claim of such a source is mounted.
_MOUNTED = "/source"


def with_initializers(child: Manifest, spec: TrainingJobSpec, agent: AgentImage) -> Manifest:
    """The Job with an init container for each initializer; as it is without one."""
    if not spec.initializers:
        return child
    pod = _with_volumes(child["spec"]["template"]["spec"], spec)
    made = [_container(pod, one, spec, agent) for one in spec.initializers]
    present = pod.get("initContainers", [])
    # After the sidecars, which may be their way to the network, and before those of the job.
    sidecars = [one for one in present if one.get("restartPolicy") == "Always"]
    others = [one for one in present if one.get("restartPolicy") != "Always"]
    return with_pod_spec(child, {**pod, "initContainers": [*sidecars, *made, *others]})


def _with_volumes(pod: Manifest, spec: TrainingJobSpec) -> Manifest:
    """The pod with an emptyDir for each path that is in no volume, and the claims of sources."""
    trainer, *others = pod["containers"]
    mounts, volumes = [*trainer.get("volumeMounts", [])], [*pod.get("volumes", [])]
    for one in spec.initializers:
        if _mount_of(one.path, mounts) is None:
            name = f"{INITIALIZER_PREFIX}{one.name}"
            mounts.append({"name": name, "mountPath": one.path})
            volumes.append({"name": name, "emptyDir": {}})
        if one.source.startswith(_CLAIM_SCHEME):
            claim, _ = _claim(one)
            source = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
            volumes.append({"name": f"{SOURCE_PREFIX}{one.name}", **source})
    trainer = {**trainer, "volumeMounts": mounts}
    return {**pod, "containers": [trainer, *others], "volumes": volumes}


def _container(
    pod: Manifest, one: Initializer, spec: TrainingJobSpec, agent: AgentImage
) -> Manifest:
    trainer = pod["containers"][0]
    command, mounts = [_PROGRAM, one.name, one.source, one.path], [*trainer["volumeMounts"]]
    if one.sha256 is not None:
        command += ["--sha256", one.sha256]
    if one.extract:
        command.append("--extract")
    if one.source.startswith(_CLAIM_SCHEME):
        _, path = _claim(one)
        command += ["--mounted", str(PurePosixPath(_MOUNTED) / path)]
        source = {"name": f"{SOURCE_PREFIX}{one.name}", "mountPath": _MOUNTED, "readOnly": True}
        mounts.append(source)
    if spec.num_nodes > 1 and _shared(pod, one, mounts):
        command.append("--once")
    own = {variable["name"] for variable in one.env}
    inherited = [variable for variable in trainer["env"] if variable["name"] not in own]
    return {
        "name": f"{INITIALIZER_PREFIX}{one.name}",
        "command": command,
        "env": [*inherited, *one.env],
        **({"envFrom": trainer["envFrom"]} if "envFrom" in trainer else {}),
        **container_of_agent(spec, agent),
        "volumeMounts": mounts,
    }


def _mount_of(path: str, mounts: list[Manifest]) -> Manifest | None:
    """The mount in which a path is: the innermost."""
    holding = [one for one in mounts if PurePosixPath(path).is_relative_to(one["mountPath"])]
    return max(holding, key=lambda one: len(one["mountPath"]), default=None)


def _shared(pod: Manifest, one: Initializer, mounts: list[Manifest]) -> bool:
    """Whether all nodes have the same volume at the path."""
    mount = _mount_of(one.path, mounts)
    return any(
        mount is not None and volume["name"] == mount["name"] and "persistentVolumeClaim" in volume
        for volume in pod["volumes"]
    )


def _claim(one: Initializer) -> tuple[str, str]:
    """The claim of a source, and the path in it."""
    claim, _, path = one.source.removeprefix(_CLAIM_SCHEME).partition("/")
    return claim, path.lstrip("/")

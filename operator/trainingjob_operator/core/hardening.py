"""What keeps pods within the restricted Pod Security Standard, whatever a job chooses.

Only the fields that a job may choose are taken over, and what the standard asks for wins: so it is
also where the API server's validation was off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from trainingjob_operator.api import TrainingJobSpec
from trainingjob_operator.api.container_rules import (
    CONTAINER_FIELDS,
    POD_SECURITY_CONTEXT_FIELDS,
    SECURITY_CONTEXT_FIELDS,
    TEMPORARY_PATH,
    TEMPORARY_VOLUME,
)

Manifest = dict[str, Any]

# The uid that the trainer image runs as; its group lets it write to mounted volumes.
TRAINER_GROUP = 65532


@dataclass(frozen=True, slots=True)
class PodDefaults:
    """What the operator's settings give to pods whose jobs choose nothing.

    `security_context` has fields of a core/v1 PodSecurityContext.
    """

    security_context: Mapping[str, Any] = field(
        default_factory=lambda: {
            "fsGroup": TRAINER_GROUP,
            "fsGroupChangePolicy": "OnRootMismatch",
        }
    )


DEFAULTS = PodDefaults()


def pod_security_context(spec: TrainingJobSpec, defaults: PodDefaults) -> Manifest:
    """The pod's security context: the job's, else the defaults, with what nobody may choose.

    The two are not merged: what a job leaves out, such as an fsGroup, its pods do not have.
    """
    asked = defaults.security_context if spec.security_context is None else spec.security_context
    chosen = {
        name: asked[name] for name in POD_SECURITY_CONTEXT_FIELDS if asked.get(name) is not None
    }
    return {**chosen, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def security_context(chosen: Mapping[str, Any]) -> Manifest:
    """A container's security context with what it may choose."""
    return {
        **{name: chosen[name] for name in SECURITY_CONTEXT_FIELDS if name in chosen},
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def temporary_volume(spec: TrainingJobSpec) -> list[Manifest]:
    """What is mounted at /tmp where nothing else can be written to: the agent's spool is there."""
    return [{"name": TEMPORARY_VOLUME, "emptyDir": {}}] if _needs_temporary(spec) else []


def temporary_mount(spec: TrainingJobSpec) -> list[Manifest]:
    """Where the trainer's container has that volume."""
    mount = {"name": TEMPORARY_VOLUME, "mountPath": TEMPORARY_PATH}
    return [mount] if _needs_temporary(spec) else []


def _needs_temporary(spec: TrainingJobSpec) -> bool:
    there = PurePosixPath(TEMPORARY_PATH)
    mounted = any(PurePosixPath(one["mountPath"]) == there for one in spec.volume_mounts)
    return bool(spec.read_only_root_filesystem) and not mounted


def init_containers(spec: TrainingJobSpec) -> list[Manifest]:
    """The pod's init containers; native sidecars (KEP-753) first, which the others may need."""
    sidecars = [{**_container(one), "restartPolicy": "Always"} for one in spec.sidecars]
    return [*sidecars, *map(_container, spec.init_containers)]


def _container(asked: Mapping[str, Any]) -> Manifest:
    return {
        **{name: asked[name] for name in CONTAINER_FIELDS if name in asked},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": security_context(asked.get("securityContext") or {}),
    }

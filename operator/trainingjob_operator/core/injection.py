"""The agent in images that know nothing of it: how it comes into a pod, and runs the command.

The agent's image has a Python and a C library of its own, all under one path. An init container
copies that into a volume, which the trainer has at the same path.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trainingjob_operator.api import TrainingJobSpec
from trainingjob_operator.api.rules import AGENT_VOLUME

Manifest = dict[str, Any]

INJECT = "Inject"
# Where the programs of the agent's image are made for; trainer_image/agent/Dockerfile has the same.
DIRECTORY = "/opt/trainingjob"
INIT_CONTAINER = "trainingjob-agent"
_COPY_TO = "/agent"
_EXEC = "trainingjob-exec"
_OWN_PROGRAMS = (_EXEC, "trainingjob-trainer")
_RESOURCES = ("cpu", "memory", "ephemeral-storage")


@dataclass(frozen=True, slots=True)
class AgentImage:
    """The agent's image, and whether jobs get it that do not say where their agent is.

    Without a pull policy it is Kubernetes' own for the tag.
    """

    reference: str = "trainingjob/agent"
    pull_policy: str = ""
    by_default: bool = False


AGENT_IMAGE = AgentImage()


def with_agent(child: Manifest, spec: TrainingJobSpec, agent: AgentImage) -> Manifest:
    """The Job with the agent in its pods; as it is where the agent is in the image, or nowhere."""
    if not is_injected(spec, agent):
        return child
    return with_pod_spec(child, _pod(child["spec"]["template"]["spec"], spec, agent))


def with_pod_spec(child: Manifest, pod: Manifest) -> Manifest:
    """The Job with another spec of its pods."""
    template = {**child["spec"]["template"], "spec": pod}
    return {**child, "spec": {**child["spec"], "template": template}}


def is_injected(spec: TrainingJobSpec, agent: AgentImage) -> bool:
    """Whether the agent is brought into the pods.

    The installation's default is for commands without an agent. Without a command the image's
    entry point counts, which cannot be known; it may be that of our trainer.
    """
    if spec.agent is not None:
        return spec.agent == INJECT
    return agent.by_default and bool(spec.command) and not _runs_agent(spec.command)


def _runs_agent(command: Iterable[str]) -> bool:
    return any(word.rpartition("/")[2] in _OWN_PROGRAMS for word in command)


def _pod(pod: Manifest, spec: TrainingJobSpec, agent: AgentImage) -> Manifest:
    trainer, *others = pod["containers"]
    mount = {"name": AGENT_VOLUME, "mountPath": DIRECTORY}
    trainer = {
        **trainer,
        "command": [f"{DIRECTORY}/bin/{_EXEC}", "--", *spec.command],
        "volumeMounts": [*trainer.get("volumeMounts", []), mount],
    }
    return {
        **pod,
        # Before those of the job, which may want to run by it, too.
        "initContainers": [_init_container(spec, agent), *pod.get("initContainers", [])],
        "containers": [trainer, *others],
        "volumes": [*pod.get("volumes", []), {"name": AGENT_VOLUME, "emptyDir": {}}],
    }


def container_of_agent(spec: TrainingJobSpec, agent: AgentImage) -> Manifest:
    """What is the same for all init containers of the agent's image.

    They ask for what the trainer asks for, which costs the pod nothing: the larger of the two
    counts. So the pod keeps its class of service, and fits a quota that wants limits.
    """
    asked = {
        kind: {name: amount for name, amount in amounts.items() if name in _RESOURCES}
        for kind, amounts in (spec.resources_per_node or {}).items()
        if isinstance(amounts, dict)
    }
    resources = {kind: amounts for kind, amounts in asked.items() if amounts}
    return {
        "image": agent.reference,
        **({"imagePullPolicy": agent.pull_policy} if agent.pull_policy else {}),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        **({"resources": resources} if resources else {}),
    }


def _init_container(spec: TrainingJobSpec, agent: AgentImage) -> Manifest:
    """Copies the agent, within a second."""
    return {
        "name": INIT_CONTAINER,
        "command": [f"{DIRECTORY}/bin/install", _COPY_TO],
        **container_of_agent(spec, agent),
        "volumeMounts": [{"name": AGENT_VOLUME, "mountPath": _COPY_TO}],
    }

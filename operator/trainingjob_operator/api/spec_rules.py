"""The CEL rules across the fields of a TrainingJob, and those against changes."""

from pydantic.config import JsonDict

from trainingjob_operator.api.cel import rule, validations
from trainingjob_operator.api.container_rules import CONTAINER_RULES, TEMPORARY_VOLUME
from trainingjob_operator.api.initializer_rules import INITIALIZERS_RULES
from trainingjob_operator.api.rules import (
    AGENT_VOLUME,
    CHECKPOINT_VOLUME,
    SHARED_MEMORY_PATH,
    SHARED_MEMORY_VOLUME,
    TOKEN_VOLUME,
)

MAX_NAME_LENGTH = 50
# All that these change is what the operator does next; the pods stay as they were made.
MUTABLE = (
    "suspend",
    "stop",
    "activeDeadlineSeconds",
    "preRunningDeadlineSeconds",
    "ttlSecondsAfterFinished",
    "attemptHistoryLimit",
)
CHANGES = f"{', '.join(MUTABLE)}, a higher backoffLimit and, while the job is suspended, queueName"
"""What may change of a spec, in words."""


def _same(field: str) -> str:
    new, old = f"self.{field}", f"oldSelf.{field}"
    return f"(has({new}) ? has({old}) && {new} == {old} : !has({old}))"


# The multi-node Service has the job's name, and Service names start with a letter.
NAME_RULE = rule(
    f"self.metadata.name.size() <= {MAX_NAME_LENGTH}"
    # format.dns1035Label() costs more than a rule may before Kubernetes 1.37.
    " && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    f"metadata.name must have at most {MAX_NAME_LENGTH} characters, only a-z, 0-9 and '-', "
    "start with a letter and end with a letter or digit",
)

_RAISED_OR_WHILE_SUSPENDED = ("backoffLimit", "queueName")
_CHANGES = (
    rule(
        "!(has(oldSelf.stop) && oldSelf.stop) || (has(self.stop) && self.stop)",
        "spec.stop cannot be taken back: create a new TrainingJob, or use spec.suspend to pause "
        "one",
        "stop",
        "FieldValueForbidden",
    ),
    rule(
        "(has(self.backoffLimit) ? self.backoffLimit : 0)"
        " >= (has(oldSelf.backoffLimit) ? oldSelf.backoffLimit : 0)",
        "spec.backoffLimit can be raised, not lowered: to make no further attempt, set "
        "spec.suspend or spec.stop",
        "backoffLimit",
        "FieldValueForbidden",
    ),
    rule(
        f"(has(oldSelf.suspend) && oldSelf.suspend) || {_same('queueName')}",
        "spec.queueName can be changed while the job is suspended: set spec.suspend to true first",
        "queueName",
        "FieldValueForbidden",
    ),
)

# A runtime may give the backoffLimit.
_RESTART_RULE = rule(
    "!has(self.stallPolicy) || !has(self.stallPolicy.action)"
    " || self.stallPolicy.action != 'Restart'"
    " || (has(self.backoffLimit) ? self.backoffLimit > 0 : has(self.runtimeRef))",
    "spec.stallPolicy.action Restart needs a spec.backoffLimit of at least 1: raise it, or "
    "choose Fail",
    "stallPolicy",
)

# A runtime may give the command, and one that gives the agent leaves the command to its jobs.
_COMMAND_RULE = rule(
    "!has(self.agent) || self.agent != 'Inject' || has(self.command) || has(self.runtimeRef)",
    "spec.command must be there when spec.agent is Inject: the agent runs it, and cannot know "
    "what the image runs; write down the image's ENTRYPOINT and CMD",
    "agent",
)

# They hold for the defaults of a runtime, too.
DEFAULTS_RULES = (
    rule(
        "!has(self.volumeMounts) || self.volumeMounts.all(m,"
        " has(self.volumes) && self.volumes.exists(v, v.name == m.name))",
        "spec.volumeMounts must each name an entry of spec.volumes: add the volume or correct "
        "the name",
        "volumeMounts",
    ),
    rule(
        "!has(self.sharedMemory) || !has(self.volumeMounts)"
        f" || self.volumeMounts.all(m, m.mountPath != '{SHARED_MEMORY_PATH}')",
        f"spec.volumeMounts must not mount {SHARED_MEMORY_PATH} when spec.sharedMemory is set: "
        "remove one of the two",
        "volumeMounts",
    ),
    rule(
        "!has(self.sharedMemory) || !has(self.checkpoint)"
        f" || self.checkpoint.path != '{SHARED_MEMORY_PATH}'",
        f"spec.checkpoint.path must not be {SHARED_MEMORY_PATH} when spec.sharedMemory is set: "
        "choose another path",
        "checkpoint",
    ),
    rule(
        "!has(self.sharedMemory) || !has(self.volumes)"
        f" || self.volumes.all(v, v.name != '{SHARED_MEMORY_VOLUME}')",
        f"spec.volumes must not have the name {SHARED_MEMORY_VOLUME} when spec.sharedMemory is "
        "set: choose another name",
        "volumes",
    ),
    rule(
        "!has(self.checkpoint) || !has(self.checkpoint.volume)"
        " || (has(self.volumes) && self.volumes.exists(v, v.name == self.checkpoint.volume"
        " && (has(v.persistentVolumeClaim) || has(v.csi))))",
        "spec.checkpoint.volume must name an entry of spec.volumes that outlives the pods, a "
        "persistentVolumeClaim or csi: add the volume or correct the name",
        "checkpoint",
    ),
    rule(
        "!has(self.checkpoint) || !has(self.volumeMounts) || self.volumeMounts.all(m,"
        " m.mountPath != self.checkpoint.path"
        " || (has(self.checkpoint.volume) && m.name == self.checkpoint.volume))",
        "spec.volumeMounts must not mount another volume at spec.checkpoint.path: remove the mount",
        "volumeMounts",
    ),
    rule(
        f"!has(self.volumes) || self.volumes.all(v, v.name != '{TOKEN_VOLUME}')",
        f"spec.volumes must not have the name {TOKEN_VOLUME}, which is the operator's: choose "
        "another name",
        "volumes",
    ),
    rule(
        f"!has(self.volumes) || self.volumes.all(v, v.name != '{AGENT_VOLUME}')",
        f"spec.volumes must not have the name {AGENT_VOLUME}, which is the operator's: choose "
        "another name",
        "volumes",
    ),
    rule(
        "!has(self.agent) || self.agent != 'Inject' || !has(self.command)"
        " || !self.command.exists(word,"
        " word == 'trainingjob-exec' || word.endsWith('/trainingjob-exec'))",
        "spec.command must not name trainingjob-exec when spec.agent is Inject, which runs the "
        "command by it: leave it out, or choose Image",
        "command",
    ),
    rule(
        "!has(self.checkpoint) || !has(self.volumes)"
        f" || self.volumes.all(v, v.name != '{CHECKPOINT_VOLUME}')",
        f"spec.volumes must not have the name {CHECKPOINT_VOLUME} when spec.checkpoint is set: "
        "choose another name",
        "volumes",
    ),
    rule(
        "!has(self.readOnlyRootFilesystem) || !self.readOnlyRootFilesystem || !has(self.volumes)"
        f" || self.volumes.all(v, v.name != '{TEMPORARY_VOLUME}')",
        f"spec.volumes must not have the name {TEMPORARY_VOLUME} when spec.readOnlyRootFilesystem "
        "is true: choose another name",
        "volumes",
    ),
    *CONTAINER_RULES,
    *INITIALIZERS_RULES,
)


def spec_rules(schema: JsonDict) -> None:
    """Add the rules across fields to the schema of the spec, and those against changes."""
    properties = schema["properties"]
    assert isinstance(properties, dict)  # noqa: S101 - pydantic gives an object
    free = (*MUTABLE, *_RAISED_OR_WHILE_SUSPENDED)
    fixed = [name for name in properties if name not in free]
    # Nearly every write is one of the status. For each field that a rule looks up, the API server
    # copies the schema of the whole spec, so the fields are compared only where the spec differs.
    unchanged = rule(
        f"self == oldSelf || ({' && '.join(_same(name) for name in fixed)})",
        f"spec cannot be changed but for {CHANGES}: delete the TrainingJob and create it again; "
        "the claim of checkpoint.claimTemplate is deleted with it unless it has a "
        "checkpoint.claimName or claimRetention is Keep",
        reason="FieldValueForbidden",
    )
    schema.update(validations(unchanged, *_CHANGES, _RESTART_RULE, _COMMAND_RULE, *DEFAULTS_RULES))

"""The CEL rules of single fields: what the API server refuses, and what it answers then."""

from pydantic.config import JsonDict

from trainingjob_operator.api.cel import rule, validations

SHARED_MEMORY_PATH = "/dev/shm"  # noqa: S108 - a mount point in the container, not a file of ours
SHARED_MEMORY_VOLUME = "shared-memory"
CHECKPOINT_VOLUME = "trainingjob-checkpoints"
TOKEN_VOLUME = "trainingjob-mlflow-token"  # noqa: S105 - the name of a volume
AGENT_VOLUME = "trainingjob-agent"
VOLUME_SOURCES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
_RESERVED_VARIABLES = (
    "MLFLOW_RUN_ID",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_WORKSPACE",
)

CHECKPOINT_PATH_RULES = validations(
    rule(
        r"self.matches('^(/[^/:]+)+$') && !self.matches('(^|/)[.][.]?(/|$)')",
        "spec.checkpoint.path must be an absolute path such as /checkpoints",
    )
)

CHECKPOINT_RULES = validations(
    rule(
        "has(self.volume) != (has(self.claimName) || has(self.claimTemplate))",
        "spec.checkpoint must have either volume, or claimName, claimTemplate or both",
    ),
    rule(
        "!has(self.claimRetention) || has(self.claimTemplate)",
        "spec.checkpoint.claimRetention is only for a claimTemplate: remove it",
        "claimRetention",
    ),
)

CLAIM_RULES = validations(
    rule(
        "has(self.accessModes) && self.accessModes.size() > 0 && has(self.resources)"
        " && has(self.resources.requests) && 'storage' in self.resources.requests",
        "spec.checkpoint.claimTemplate must have accessModes, such as [ReadWriteOnce], and "
        "resources.requests.storage",
    )
)

IMAGE_RULES = validations(
    rule(
        r"self.matches('^\\S+$')",
        "spec.image must be an image reference without spaces, "
        "e.g. docker.io/trainingjob/trainer:dev",
    )
)

PROCESS_COUNT_RULES = validations(
    rule(
        "type(self) == int ? self >= 1 : self == 'auto'",
        "spec.numProcPerNode must be auto or a number from 1",
    )
)


def free_variable(name: str) -> str:
    """The expression that a variable is not one that the operator sets."""
    return (
        f"(!{name}.startsWith('TRAININGJOB_') || {name}.startsWith('TRAININGJOB_OPTION_')"
        f" || {name}.startsWith('TRAININGJOB_SETTING_'))"
        f" && !{name}.startsWith('PET_') && !({name} in {list(_RESERVED_VARIABLES)})"
    )


def variable_rules(field: str) -> JsonDict:
    """Rules of a variable of the trainer's environment; `field` is how messages name it."""
    return validations(
        rule(
            free_variable("self.name"),
            f"{field} must not set TRAININGJOB_* (but TRAININGJOB_OPTION_*, TRAININGJOB_SETTING_*),"
            f" PET_*, {', '.join(_RESERVED_VARIABLES)}: the operator sets them; remove the entry",
            reason="FieldValueForbidden",
        )
    )


VOLUME_RULES = validations(
    rule(
        f"[{', '.join(f'has(self.{source})' for source in VOLUME_SOURCES)}]"
        ".filter(set, set).size() == 1",
        f"spec.volumes must each have exactly one of {', '.join(VOLUME_SOURCES)}; "
        "hostPath and other kinds are not allowed",
    )
)

_QUANTITY_RULE = rule(
    "isQuantity(string(self)) && !quantity(string(self)).isLessThan(quantity('0'))",
    "must be a quantity such as 500m, 2 or 4Gi",
)
QUANTITY_RULES = validations(_QUANTITY_RULE)
# No pod starts in less, which is nearly always a mistyped Mi.
TOO_FEW_BYTES = (
    "must be at least 1Mi: m means thousandths of a byte, so that 512m is half a byte; write 512Mi"
)


def enough_bytes(amount: str) -> str:
    """The expression that holds for what is no quantity, too: another rule refuses that."""
    return f"!isQuantity({amount}) || quantity({amount}).compareTo(quantity('1Mi')) >= 0"


BYTES_RULES = validations(_QUANTITY_RULE, rule(enough_bytes("string(self)"), TOO_FEW_BYTES))

TRACKING_URI_RULES = validations(
    rule(
        "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",
        "spec.mlflow.trackingUri must be a URL that starts with http:// or https://",
    )
)

EXPERIMENT_RULES = validations(
    rule(
        "self.trim() != ''",
        "spec.mlflow.experiment must not be empty: name an experiment or remove the field",
    )
)

WORKSPACE_RULES = validations(
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "spec.mlflow.workspace must have only a-z, 0-9 and '-', and start and end with a letter "
        "or digit",
    )
)

TAG_RULES = validations(
    rule(
        "self.all(key, key != '' && !key.startsWith('trainingjob.') && (!key.startsWith('mlflow.')"
        " || key.startsWith('mlflow.source.') || key in ['mlflow.user', 'mlflow.note.content']))",
        "spec.mlflow.tags must not have keys that are empty or start with trainingjob. or mlflow., "
        "but for mlflow.user, mlflow.note.content and mlflow.source.*: choose other keys",
    )
)

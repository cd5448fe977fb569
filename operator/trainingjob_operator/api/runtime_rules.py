"""The CEL rules of the runtimes: the fields that they allow, and their pod template."""

from pydantic.config import JsonDict

from trainingjob_operator.api.cel import rule, validations
from trainingjob_operator.api.container_rules import OWN_PREFIX, TRAINER
from trainingjob_operator.api.pod_rules import metadata_rules
from trainingjob_operator.api.rules import SHARED_MEMORY_VOLUME, free_variable

# What the operator sets in a pod, or ends it by.
OPERATORS = ("activeDeadlineSeconds", "hostname", "subdomain")


def allow_rules(fields: list[str]) -> JsonDict:
    """Each entry is one of the fields, or a part of one."""
    return validations(
        rule(
            f"self.all(path, path.split('.')[0] in {fields})",
            "spec.allow must name fields of a TrainingJob's spec, such as args or mlflow.tags",
        )
    )


LABEL_RULES = metadata_rules("template.metadata.labels")
ANNOTATION_RULES = metadata_rules("template.metadata.annotations")

POD_RULES = validations(
    rule(
        "!has(self.restartPolicy) || self.restartPolicy == 'Never'",
        "spec.template.spec.restartPolicy must be Never: the operator starts attempts anew",
        "restartPolicy",
    ),
    *(
        rule(
            f"!has(self.{field})",
            f"spec.template.spec.{field} is the operator's: remove it",
            field,
            "FieldValueForbidden",
        )
        for field in OPERATORS
    ),
    rule(
        f"!has(self.containers) || self.containers.all(c, !c.name.startsWith('{OWN_PREFIX}'))",
        f"spec.template.spec.containers must not have a name that starts with {OWN_PREFIX}, which "
        "is the operator's: choose another name",
        "containers",
    ),
    rule(
        "!has(self.initContainers) || self.initContainers.all(c,"
        f" c.name != '{TRAINER}' && !c.name.startsWith('{OWN_PREFIX}'))",
        f"spec.template.spec.initContainers must not have the name {TRAINER}, or one that starts "
        f"with {OWN_PREFIX}: choose another name",
        "initContainers",
    ),
    rule(
        "!has(self.volumes) || self.volumes.all(v,"
        f" v.name != '{SHARED_MEMORY_VOLUME}' && !v.name.startsWith('{OWN_PREFIX}'))",
        f"spec.template.spec.volumes must not have the name {SHARED_MEMORY_VOLUME}, or one that "
        f"starts with {OWN_PREFIX}: choose another name",
        "volumes",
    ),
)

CONTAINER_RULES = validations(
    rule(
        f"self.name != '{TRAINER}' || !has(self.env) || self.env.all(e, {free_variable('e.name')})",
        "spec.template.spec.containers must not set variables of the operator in the container "
        f"{TRAINER}, such as PET_NNODES or MLFLOW_RUN_ID: remove the entry",
        "env",
        "FieldValueForbidden",
    ),
)

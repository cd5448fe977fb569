from pydantic import ConfigDict, Field

from trainingjob_operator.api.base import ApiModel
from trainingjob_operator.api.initializer_rules import (
    DIRECTORY_RULES,
    INITIALIZER_RULES,
    NAME_RULES,
    SOURCE_RULES,
)
from trainingjob_operator.api.kubernetes_types import InitializerEnvVars


class Initializer(ApiModel):
    """A data set or a model that is fetched into a volume before the trainer starts."""

    model_config = ConfigDict(json_schema_extra=INITIALIZER_RULES)

    name: str = Field(
        min_length=1,
        # With the prefix of the operator's containers, the name of a container.
        max_length=32,
        json_schema_extra=NAME_RULES,
        description="Name of the initializer, such as data.",
    )
    source: str = Field(
        min_length=1,
        max_length=2048,
        json_schema_extra=SOURCE_RULES,
        description="What is fetched: s3://BUCKET/KEY or s3://BUCKET/PREFIX/, a file by http:// "
        "or https://, pvc://CLAIM/PATH, or of the job's MLflow server models:/NAME/VERSION, "
        "models:/NAME@ALIAS or runs:/RUN/PATH.",
    )
    path: str = Field(
        min_length=1,
        max_length=1024,
        json_schema_extra=DIRECTORY_RULES,
        description="Directory in the trainer's container that gets the files: in an emptyDir of "
        "each pod, unless volumeMounts mount a volume there or above. A persistentVolumeClaim is "
        "filled once, by node 0, and not again by later attempts and jobs.",
    )
    sha256: str | None = Field(
        default=None,
        max_length=64,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256, in hexadecimal, of the file of an http:// or https:// source; "
        "another file is refused. Default: any.",
    )
    extract: bool = Field(
        default=False,
        description="Unpack the archives among the files (.zip, and .tar without compression or "
        "with gzip, bzip2 or xz) in their places, and keep none of them. Default: false.",
    )
    env: InitializerEnvVars = Field(
        default=[],
        description="Environment variables besides those of the trainer, such as the login of the "
        "source from a Secret.",
    )

from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

# The largest number of seconds that a field takes, 68 years: times stay within the calendar.
MAX_SECONDS = 2**31 - 1
# The largest integer that every reader of JSON holds exactly.
MAX_WHOLE = 2**53 - 1
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
GROUP = "trainingjob.dev"
VERSION = "v1alpha1"
KIND = "TrainingJob"
PLURAL = "trainingjobs"


class ApiModel(BaseModel):
    """An immutable part of a TrainingJob: snake_case here, camelCase on the wire.

    Unknown fields are ignored, so that an object written by a newer release still parses.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="ignore",
        frozen=True,
    )


def _whole_seconds(value: datetime) -> datetime:
    """Also within what a time of a cluster can be, so that seconds can be added to any."""
    return min(max(value, EARLIEST), LATEST).astimezone(UTC).replace(microsecond=0)


def _rfc3339(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


# Kubernetes keeps times in whole seconds: truncating on the way in makes a value equal to
# what is read back, so that an unchanged status causes no write.
Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(_whole_seconds),
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

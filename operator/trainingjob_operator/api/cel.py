"""How a CEL rule of the CRD is written."""

from pydantic import JsonValue
from pydantic.config import JsonDict


def rule(expression: str, message: str, field: str = "", reason: str = "") -> dict[str, JsonValue]:
    """One CEL rule; `field` is the part that the answer names, below where the rule is."""
    made: dict[str, JsonValue] = {"rule": expression, "message": message}
    if field:
        made["fieldPath"] = f".{field}"
    if reason:
        made["reason"] = reason
    return made


def validations(*rules: dict[str, JsonValue]) -> JsonDict:
    """Wrap rules for `json_schema_extra`."""
    return {"x-kubernetes-validations": list(rules)}

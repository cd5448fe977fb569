"""The CEL rules about the pods: their resources, where they run, their labels."""

from pydantic import JsonValue
from pydantic.config import JsonDict

from trainingjob_operator.api.cel import rule, validations
from trainingjob_operator.api.rules import TOO_FEW_BYTES, enough_bytes

# A rule of a map is also evaluated when one of its values is no quantity, and would fail then
# with a second, obscure message.
_REQUEST = "string(self.requests[name])"
_LIMIT = "string(self.limits[name])"
_COMPARISON = (
    f"!isQuantity({_REQUEST}) || !isQuantity({_LIMIT})"
    f" || quantity({_REQUEST}).compareTo(quantity({_LIMIT}))"
)

_KNOWN = "^(cpu|memory|ephemeral-storage|hugepages-.+|.+/.+)$"


def _bytes_rule(field: str, part: str, resource: str) -> dict[str, JsonValue]:
    amount = enough_bytes(f"string(self.{part}['{resource}'])")
    return rule(
        f"!has(self.{part}) || !('{resource}' in self.{part}) || {amount}",
        f"{field}.{part}.{resource} {TOO_FEW_BYTES}",
        part,
    )


def resource_rules(field: str) -> JsonDict:
    """Rules of the requests and limits of a container; `field` is how messages name them."""
    return validations(
        rule(
            f"!has(self.requests) || self.requests.all(name, name.matches('{_KNOWN}'))",
            f"{field}.requests must name cpu, memory, ephemeral-storage, hugepages-SIZE "
            "or a device with its domain, such as nvidia.com/gpu",
            "requests",
        ),
        rule(
            f"!has(self.limits) || self.limits.all(name, name.matches('{_KNOWN}'))",
            f"{field}.limits must name cpu, memory, ephemeral-storage, hugepages-SIZE "
            "or a device with its domain, such as nvidia.com/gpu",
            "limits",
        ),
        rule(
            "!has(self.requests) || !has(self.limits) || self.requests.all(name,"
            f" !(name in self.limits) || {_COMPARISON} <= 0)",
            f"{field}.requests must not exceed {field}.limits: lower the request or raise the "
            "limit",
            "requests",
        ),
        rule(
            "!has(self.requests) || self.requests.all(name, !name.contains('/')"
            f" || (has(self.limits) && name in self.limits && ({_COMPARISON} == 0)))",
            f"{field}.requests of devices such as nvidia.com/gpu must equal their "
            f"limits: set only {field}.limits",
            "requests",
        ),
        rule(
            "!has(self.limits) || self.limits.all(name, !name.contains('/')"
            f" || {_LIMIT}.matches('^[0-9]+$'))",
            f"{field}.limits of devices such as nvidia.com/gpu must be whole numbers, e.g. 1",
            "limits",
        ),
        *(
            _bytes_rule(field, part, resource)
            for part in ("requests", "limits")
            for resource in ("memory", "ephemeral-storage")
        ),
    )


def _keys_rule(field: str, such_as: str) -> dict[str, JsonValue]:
    return rule(
        "self.all(key, !format.qualifiedName().validate(key).hasValue())",
        f"spec.{field} must have keys such as {such_as}",
    )


def metadata_rules(field: str, *more: dict[str, JsonValue]) -> JsonDict:
    """Rules of labels or annotations that are added to the Jobs or the pods."""
    own = rule(
        "self.all(key, !key.startsWith('trainingjob.dev/'))",
        f"spec.{field} must not have keys of trainingjob.dev/: the operator sets them; "
        "choose other keys",
        reason="FieldValueForbidden",
    )
    return validations(own, _keys_rule(field, "team or example.com/team"), *more)


# Kueue would hold the Jobs back while the operator takes them for unqueued ones.
QUEUE_LABEL_RULE = rule(
    "!('kueue.x-k8s.io/queue-name' in self)",
    "spec.jobLabels must not have the key kueue.x-k8s.io/queue-name: set spec.queueName",
    reason="FieldValueForbidden",
)

NODE_SELECTOR_RULES = validations(_keys_rule("nodeSelector", "pool or nvidia.com/gpu.product"))

TOLERATION_RULES = validations(
    rule(
        "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
        "spec.tolerations with the operator Exists must have no value: remove it, or use Equal",
    ),
    rule(
        "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
        "spec.tolerations without a key must have the operator Exists",
    ),
    rule(
        "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
        "spec.tolerations with tolerationSeconds must have the effect NoExecute",
    ),
)


def object_name_rules(field: str) -> JsonDict:
    """Rules of a field that is the name of another object."""
    return validations(
        rule(
            "!format.dns1123Subdomain().validate(self).hasValue()",
            f"spec.{field} must be the name of an object: a-z, 0-9, '-' and '.', with a letter or "
            "digit first and last",
        )
    )

"""JSON merge patches (RFC 7396)."""

from typing import Any

JsonObject = dict[str, Any]


def merge_patch(old: JsonObject, new: JsonObject) -> JsonObject:
    """The smallest merge patch that turns `old` into `new`; lists are replaced whole."""
    patch: JsonObject = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if name in old and before == value:
            continue
        if isinstance(before, dict) and isinstance(value, dict):
            patch[name] = merge_patch(before, value)
        else:
            patch[name] = value
    return patch

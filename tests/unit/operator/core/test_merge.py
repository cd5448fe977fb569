"""Merge patches: the smallest one that leads from one document to another."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob_operator.core.merge import merge_patch

PATCHES = [
    ({"a": 1}, {"a": 1}, {}),
    ({"a": 1}, {"a": 2}, {"a": 2}),
    ({}, {"a": None}, {"a": None}),
    ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}),
    ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
    ({"a": {"b": 1}}, {"a": 5}, {"a": 5}),
]

values = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abc"), values)


@pytest.mark.parametrize(("old", "new", "patch"), PATCHES)
def test_patch(old: dict[str, Any], new: dict[str, Any], patch: dict[str, Any]) -> None:
    assert merge_patch(old, new) == patch


@given(documents, documents)
def test_a_patch_leads_from_the_old_document_to_the_new(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert applied(old, merge_patch(old, new)) == new


def applied(target: object, patch: object) -> object:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = applied(result.get(name), value)
    return result

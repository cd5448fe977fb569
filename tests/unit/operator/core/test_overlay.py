"""Objects laid over others."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob_operator.core.overlay import KEYS, contradictions, laid_over

GPU = {"key": "gpu", "operator": "Exists"}
SPOT = {"key": "spot", "operator": "Exists"}


@pytest.mark.parametrize(
    ("under", "over", "merged"),
    [
        pytest.param({"a": 1, "b": 1}, {"b": 2, "c": 3}, {"a": 1, "b": 2, "c": 3}, id="fields"),
        pytest.param(
            {"limits": {"cpu": 1, "gpu": 8}, "requests": {"cpu": 1}},
            {"limits": {"gpu": 4}},
            {"limits": {"cpu": 1, "gpu": 4}, "requests": {"cpu": 1}},
            id="objects-by-field",
        ),
        pytest.param({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}, id="list-replaced"),
        pytest.param({"args": ["a"]}, {"args": []}, {"args": []}, id="list-emptied"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "C", "value": "4"}, {"name": "B", "valueFrom": {"x": 1}}]},
            {
                "env": [
                    {"name": "A", "value": "1"},
                    {"name": "B", "valueFrom": {"x": 1}},
                    {"name": "C", "value": "4"},
                ]
            },
            id="an-entry-of-the-name-is-replaced-in-its-place",
        ),
        pytest.param(
            {"containers": [{"name": "t", "image": "a", "env": [{"name": "A"}]}]},
            {"containers": [{"name": "t", "env": [{"name": "B"}]}, {"name": "s"}]},
            {
                "containers": [
                    {"name": "t", "image": "a", "env": [{"name": "A"}, {"name": "B"}]},
                    {"name": "s"},
                ]
            },
            id="containers-are-merged-themselves",
        ),
        pytest.param(
            {"volumeMounts": [{"name": "a", "mountPath": "/x"}]},
            {"volumeMounts": [{"name": "b", "mountPath": "/x"}, {"name": "a", "mountPath": "/y"}]},
            {"volumeMounts": [{"name": "b", "mountPath": "/x"}, {"name": "a", "mountPath": "/y"}]},
            id="mounts-by-path",
        ),
        pytest.param(
            {"tolerations": [GPU]},
            {"tolerations": [SPOT, GPU]},
            {"tolerations": [GPU, SPOT]},
            id="tolerations-add-up",
        ),
        pytest.param({"a": {"b": 1}}, {"a": None}, {"a": None}, id="nothing-is-a-value"),
        pytest.param({"a": [1]}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="another-type"),
        pytest.param(
            {"env": [1, "x"]}, {"env": [{"no": "name"}]}, {"env": [{"no": "name"}]}, id="nameless"
        ),
    ],
)
def test_laid_over(under: Any, over: Any, merged: Any) -> None:
    assert laid_over(under, over) == merged


@pytest.mark.parametrize(
    ("fixed", "wanted", "where"),
    [
        pytest.param({"a": 1}, {"b": 2}, [], id="different-fields"),
        pytest.param({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2}}, [], id="the-same"),
        pytest.param({"image": "a"}, {"image": "b"}, ["image"], id="value"),
        pytest.param(
            {"nodeSelector": {"pool": "a", "zone": "a"}},
            {"nodeSelector": {"zone": "b", "disk": "ssd"}},
            ["nodeSelector.zone"],
            id="inside",
        ),
        pytest.param({"args": ["a"]}, {"args": ["a", "b"]}, ["args"], id="list"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]},
            {"env": [{"name": "B", "value": "2"}, {"name": "C", "value": "2"}]},
            ["env[B]"],
            id="entry-of-a-name",
        ),
        pytest.param({"tolerations": [GPU]}, {"tolerations": [SPOT]}, [], id="what-adds-up"),
        pytest.param({"a": {"b": 1}}, {"a": [1]}, ["a"], id="another-type"),
    ],
)
def test_contradictions(fixed: Any, wanted: Any, where: list[str]) -> None:
    assert list(contradictions(fixed, wanted)) == where


NAME = st.sampled_from(["a", "b", "c"])
VALUE = st.integers(0, 1) | st.sampled_from(["x", "y"])
TAINTS = st.lists(st.sampled_from([GPU, SPOT, {"operator": "Exists"}]), unique_by=str)
VARIABLES: st.SearchStrategy[list[Any]] = st.lists(
    st.fixed_dictionaries({"name": NAME, "value": VALUE}), unique_by=lambda one: str(one["name"])
)
CONTAINERS: st.SearchStrategy[list[Any]] = st.lists(
    st.fixed_dictionaries({"name": NAME}, optional={"image": VALUE, "env": VARIABLES}),
    unique_by=lambda one: str(one["name"]),
)
OBJECTS: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "image": VALUE,
        "args": st.lists(VALUE, max_size=2),
        "env": VARIABLES,
        "tolerations": TAINTS,
        "containers": CONTAINERS,
        "nodeSelector": st.dictionaries(NAME, VALUE | st.dictionaries(NAME, VALUE)),
    },
)


@given(OBJECTS, OBJECTS)
def test_the_same_laid_over_once_more_changes_nothing(under: Any, over: Any) -> None:
    once = laid_over(under, over)
    assert laid_over(once, over) == once


@given(OBJECTS)
def test_nothing_laid_over_changes_nothing(value: Any) -> None:
    assert laid_over(value, {}) == value
    assert laid_over({}, value) == value


@given(OBJECTS, OBJECTS)
def test_the_upper_one_wins(under: Any, over: Any) -> None:
    merged = laid_over(under, over)
    assert merged.keys() == under.keys() | over.keys()
    for name, value in over.items():
        if not isinstance(value, dict | list):
            assert merged[name] == value


@given(OBJECTS, OBJECTS)
def test_what_does_not_contradict_is_laid_over_in_any_order(one: Any, other: Any) -> None:
    if list(contradictions(one, other)) == []:
        assert sorted_lists(laid_over(one, other)) == sorted_lists(laid_over(other, one))


def sorted_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: sorted_lists(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return sorted((sorted_lists(inside) for inside in value), key=repr)
    return value


def test_the_keys_are_those_of_the_definition() -> None:
    """Server-side apply merges a TrainingJob's lists by the same keys."""
    from trainingjob_operator.crd.definition import custom_resource_definition

    [version] = custom_resource_definition()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    keyed = {
        name: tuple(schema["x-kubernetes-list-map-keys"])
        for name, schema in spec.items()
        if schema.get("x-kubernetes-list-type") == "map"
    }
    assert keyed
    assert {name: KEYS.get(name) for name in keyed} == keyed

"""Pruning, nulls, defaults and the type tree of structural schemas."""

import copy
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.structural import schema as structural
from pilothouse.api.structural.schema import Schema, compile, default, drop_nulls, prune
from pilothouse.api.values.fields import Object

TEXT = {"type": "string"}


def schema(**properties: Any) -> Schema:
    return compile({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}})


@pytest.mark.parametrize(
    ("declared", "value", "kept", "unknown"),
    [
        (TEXT, "x", "x", []),
        ({"type": "object"}, {"a": 1}, {}, ["spec.f.a"]),
        ({"type": "object", "properties": {"a": TEXT}}, {"a": "1", "b": 2}, {"a": "1"}, ["spec.f.b"]),
        ({"type": "object", "additionalProperties": TEXT}, {"a": "1"}, {"a": "1"}, []),
        ({"type": "object", "additionalProperties": True}, {"a": {"b": 1}}, {"a": {}}, ["spec.f.a.b"]),
        ({"type": "array", "items": {"type": "object"}}, [{"a": 1}], [{}], ["spec.f[0].a"]),
        (
            {"x-kubernetes-preserve-unknown-fields": True},
            {"a": {"b": [{"c": 1}]}},
            {"a": {"b": [{"c": 1}]}},
            [],
        ),
        (
            {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"a": {"type": "object"}},
            },
            {"a": {"b": 1}, "c": 2},
            {"a": {}, "c": 2},
            ["spec.f.a.b"],
        ),
        (
            {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "properties": {"spec": {"type": "object"}},
            },
            {"kind": "K", "apiVersion": "v1", "metadata": {"zz": 1}, "spec": {}, "data": 1},
            {"kind": "K", "apiVersion": "v1", "metadata": {"zz": 1}, "spec": {}},
            ["spec.f.data"],
        ),
    ],
)
def test_prune(declared: Object, value: Any, kept: Any, unknown: list[str]) -> None:
    obj = {"kind": "W", "metadata": {"name": "n"}, "spec": {"f": copy.deepcopy(value)}}
    assert prune(obj, schema(f=declared)) == unknown
    assert obj == {"kind": "W", "metadata": {"name": "n"}, "spec": {"f": kept}}


def test_prune_keeps_the_root_that_preserves() -> None:
    obj = {"kind": "W", "other": {"a": 1}, "spec": {"a": 1}}
    declared = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"spec": {"type": "object"}},
    }
    assert prune(obj, compile(declared)) == ["spec.a"]
    assert obj == {"kind": "W", "other": {"a": 1}, "spec": {}}


@pytest.mark.parametrize(
    ("declared", "value", "after"),
    [
        ({**TEXT, "default": "d"}, {}, {"f": "d"}),
        ({**TEXT, "default": "d"}, {"f": None}, {"f": "d"}),
        ({**TEXT, "default": "d", "nullable": True}, {"f": None}, {"f": None}),
        ({**TEXT, "nullable": True}, {"f": None}, {"f": None}),
        (TEXT, {"f": None}, {}),
        (
            {"type": "object", "default": {}, "properties": {"a": {**TEXT, "default": "d"}}},
            {},
            {"f": {"a": "d"}},
        ),
        ({"type": "object", "properties": {"a": {**TEXT, "default": "d"}}}, {}, {}),
        ({"type": "array", "items": {**TEXT, "default": "d"}}, {"f": [None, "x"]}, {"f": ["d", "x"]}),
        (
            {"type": "object", "additionalProperties": {**TEXT, "default": "d"}},
            {"f": {"k": None}},
            {"f": {"k": "d"}},
        ),
        ({"type": "object", "additionalProperties": TEXT}, {"f": {"k": None}}, {"f": {}}),
    ],
)
def test_nulls_and_defaults(declared: Object, value: Object, after: Object) -> None:
    obj, compiled = {"spec": copy.deepcopy(value)}, schema(f=declared)
    drop_nulls(obj, compiled)
    default(obj, compiled)
    assert obj == {"spec": after}


def test_nulls_of_a_type_may_be_kept() -> None:
    declared = {
        "a": TEXT,
        "b": {"x-kubernetes-int-or-string": True},
        "c": {"x-kubernetes-preserve-unknown-fields": True},
    }
    obj: Object = {"spec": dict.fromkeys("abc")}
    drop_nulls(obj, schema(**declared), typed=False)
    assert obj == {"spec": {"a": None, "b": None}}


def test_a_default_is_copied() -> None:
    compiled = schema(
        f={"type": "object", "default": {"a": []}, "properties": {"a": {"type": "array", "items": TEXT}}}
    )
    one: Object = {"spec": {}}
    other: Object = {"spec": {}}
    default(one, compiled)
    default(other, compiled)
    one["spec"]["f"]["a"].append("x")
    assert other == {"spec": {"f": {"a": []}}}


def test_defaults_are_pruned() -> None:
    compiled = schema(f={"type": "object", "default": {"a": "1", "b": 2}, "properties": {"a": TEXT}})
    assert compiled.properties["spec"].properties["f"].default == {"a": "1"}


def test_the_type_tree() -> None:
    keyed = {"type": "object", "properties": {"name": TEXT, "port": {"type": "integer", "default": 80}}}
    declared = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "map": {
                        "type": "object",
                        "additionalProperties": {"type": "boolean"},
                        "x-kubernetes-map-type": "atomic",
                    },
                    "either": {"x-kubernetes-int-or-string": True},
                    "list": {
                        "type": "array",
                        "items": keyed,
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name", "port"],
                    },
                    "any": {"x-kubernetes-preserve-unknown-fields": True},
                    "thing": {
                        "type": "object",
                        "x-kubernetes-embedded-resource": True,
                        "properties": {"spec": {"type": "object"}},
                    },
                },
            }
        },
    }
    root = structural.type_of(compile(declared))
    assert {"kind", "apiVersion", "metadata", "spec"} == set(root.fields)
    members = {name: field.type for name, field in root.fields["spec"].type.fields.items()}
    assert {name: found.kind for name, found in members.items()} == {
        "map": "map", "either": "any", "list": "list", "any": "any", "thing": "struct",
    }  # fmt: skip
    assert members["map"].map_type == "atomic" and members["list"].list_keys == ("name", "port")
    assert members["list"].items is not None and members["list"].items.fields["port"].default == 80
    assert "metadata" in members["thing"].fields


def test_all_below_a_schema_that_preserves_unknown_fields_does() -> None:
    inner: Object = {"type": "object", "properties": {"a": {"type": "string"}}}
    properties = {
        "spec": {"type": "object", "properties": {"list": {"type": "array", "items": inner}}},
        "map": {"type": "object", "additionalProperties": inner},
    }
    declared: Object = {"type": "object", "properties": properties}
    for preserve in (False, True):
        if preserve:
            declared["x-kubernetes-preserve-unknown-fields"] = True
        fields = structural.type_of(compile(declared)).fields
        spec, items = fields["spec"].type, fields["spec"].type.fields["list"].type.items
        assert items is not None and fields["map"].type.items is not None
        below = (spec, items, fields["map"].type.items)
        assert [one.preserve_unknown for one in below] == [preserve] * 3
        assert not fields["metadata"].type.preserve_unknown


NAMES = st.sampled_from("abc")
SCALARS = st.sampled_from(["string", "integer", "boolean"])


def declarations() -> st.SearchStrategy[Object]:
    leaves = st.fixed_dictionaries({"type": SCALARS}, optional={"nullable": st.booleans()}) | st.just(
        {"x-kubernetes-preserve-unknown-fields": True}
    )
    texts = st.just({"type": "string", "default": "d"})

    def more(below: st.SearchStrategy[Object]) -> st.SearchStrategy[Object]:
        return (
            st.builds(
                lambda p: {"type": "object", "properties": p},
                st.dictionaries(NAMES, below | texts, max_size=3),
            )
            | st.builds(lambda i: {"type": "array", "items": i}, below)
            | st.builds(lambda i: {"type": "object", "additionalProperties": i}, below)
        )

    return st.recursive(leaves, more, max_leaves=8)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3),
    max_leaves=12,
)


@given(declarations(), VALUES)
@settings(max_examples=30 * SCALE)
def test_pruning_and_defaulting_are_idempotent(declared: Object, value: Any) -> None:
    compiled = compile({"type": "object", "properties": {"spec": declared}})
    obj: Object = {"spec": value}
    prune(obj, compiled)
    assert prune(obj, compiled) == []
    drop_nulls(obj, compiled)
    default(obj, compiled)
    again = copy.deepcopy(obj)
    prune(again, compiled)
    drop_nulls(again, compiled)
    default(again, compiled)
    assert again == obj

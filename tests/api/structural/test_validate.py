"""Values against schemas: messages, order, ratcheting, and an independent validator."""

import re
from typing import Any

import jsonschema
import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.structural.schema import Schema
from pilothouse.api.structural.validate import (
    Correlation,
    Validator,
    compile_pattern,
    is_whole,
    validate,
)
from pilothouse.api.values.fields import Errors, Object

IN = "f in body"


def causes(declared: Object, value: Any) -> list[tuple[str, str]]:
    errs = Errors()
    validate(Validator({"type": "object", "properties": {"f": declared}}), {"f": value}, errs)
    return [(cause["field"], cause["message"]) for cause in errs.causes]


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        ({"type": "integer"}, "x", f'Invalid value: "string": {IN} must be of type integer: "string"'),
        ({"type": "string"}, None, f'Invalid value: "null": {IN} must be of type string: "null"'),
        ({"type": "string"}, [], f'Invalid value: "array": {IN} must be of type string: "array"'),
        ({"type": "string", "format": "date"}, 5,
         f'Invalid value: "int64": {IN} must be of type date: "int64"'),
        ({"type": "string", "format": "date"}, "x", f'Invalid value: "x": {IN} must be of type date: "x"'),
        ({"x-kubernetes-int-or-string": True}, True,
         f'Invalid value: "boolean": {IN} must be of type integer,string: "boolean"'),
        ({"type": "string", "maxLength": 1}, "éé",
         "Too long: may not be more than 1 bytes".replace("bytes", "byte")),
        ({"type": "string", "minLength": 3}, "éé",
         f'Invalid value: "éé": {IN} should be at least 3 chars long'),
        ({"type": "string", "pattern": "^a$"}, "b", f"Invalid value: \"b\": {IN} should match '^a$'"),
        ({"type": "string", "enum": ["a", "b"]}, "c", 'Unsupported value: "c": supported values: "a", "b"'),
        ({"type": "integer", "enum": [1, 2]}, 3, 'Unsupported value: 3: supported values: "1", "2"'),
        ({"type": "integer", "maximum": 5}, 6, f"Invalid value: 6: {IN} should be less than or equal to 5"),
        ({"type": "integer", "maximum": 5, "exclusiveMaximum": True}, 5,
         f"Invalid value: 5: {IN} should be less than 5"),
        ({"type": "number", "minimum": 1.5}, 1.25,
         f"Invalid value: 1.25: {IN} should be greater than or equal to 1.5"),
        ({"type": "integer", "multipleOf": 3}, 4, f"Invalid value: 4: {IN} should be a multiple of 3"),
        ({"type": "array", "items": {}, "minItems": 1}, [],
         f"Invalid value: 0: {IN} should have at least 1 items"),
        ({"type": "array", "items": {}, "maxItems": 1}, [1, 2], "Too many: 2: must have at most 1 item"),
        ({"type": "object", "minProperties": 1}, {},
         f"Invalid value: 0: {IN} should have at least 1 properties"),
        ({"type": "object", "maxProperties": 0}, {"a": 1}, "Too many: 1: must have at most 0 items"),
        ({"not": {"type": "string"}}, "x", 'Invalid value: "": "f" must not validate the schema (not)'),
    ],
)  # fmt: skip
def test_messages(declared: Object, value: Any, message: str) -> None:
    field = "<nil>" if '""' in message and "must not validate" in message else "f"
    assert causes(declared, value) == [(field, message)]


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ({"type": "integer"}, 3.0),
        ({"type": "number"}, 3),
        ({"type": "string", "nullable": True}, None),
        ({"type": "number", "multipleOf": 0.1}, 0.3),
        ({"x-kubernetes-int-or-string": True}, "x"),
        ({"type": "string", "format": "no-such"}, "x"),
        ({"type": "integer", "enum": [1.0]}, 1),
    ],
)
def test_fits(declared: Object, value: Any) -> None:
    assert causes(declared, value) == []


def test_numbers_beyond_their_type() -> None:
    assert causes({"type": "integer", "format": "int32"}, 2**31) == [
        ("<nil>", 'Invalid value: "": Checked value must be of type integer with format int32 in f')
    ]
    assert [message for _, message in causes({"type": "integer"}, 3.5)] == [
        f'Invalid value: "number": {IN} must be of type integer: "number"',
        'Invalid value: "": Checked value must be of type integer (default format) in f',
    ]


def test_the_best_alternative_is_reported() -> None:
    declared = {"anyOf": [{"type": "string"}, {"type": "integer", "maximum": 3}]}
    assert causes(declared, 5) == [
        ("<nil>", 'Invalid value: "": "f" must validate at least one schema (anyOf)'),
        ("f", f"Invalid value: 5: {IN} should be less than or equal to 3"),
    ]
    both = {"oneOf": [{"minimum": 1}, {"minimum": 2}]}
    assert [m for _, m in causes(both, 3)] == [
        'Invalid value: "": "f" must validate one and only one schema (oneOf). Found 2 valid alternatives'
    ]
    assert [m for _, m in causes({"allOf": [{"minimum": 4}, {"minimum": 1}]}, 3)] == [
        f"Invalid value: 3: {IN} should be greater than or equal to 4",
        'Invalid value: "": "f" must validate all the schemas (allOf)',
    ]


def test_paths() -> None:
    declared = {
        "type": "object",
        "required": ["r"],
        "properties": {
            "l": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}}
        },
        "additionalProperties": False,
    }
    assert [field for field, _ in causes(declared, {"l": [{"k.x": 1}], "z": 1})] == ["f", "f.l[0].k.x", "f.r"]
    errs = Errors()
    validate(Validator({"required": ["a"]}), {}, errs, "spec.default")
    assert errs.causes[0]["field"] == "spec.default.a"


SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "maxLength": 1},
        "b": {"type": "integer"},
        "l": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["n"],
            "items": {
                "type": "object",
                "properties": {"n": {"type": "string"}, "v": {"type": "integer", "maximum": 1}},
            },
        },
        "atoms": {"type": "array", "items": {"type": "integer", "maximum": 1}},
    },
}


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        ({"a": "long"}, {"a": "long", "b": 1}, []),
        ({"a": "long"}, {"a": "longer"}, ["a"]),
        ({}, {"a": "long"}, ["a"]),
        ({"l": [{"n": "x", "v": 9}]}, {"l": [{"n": "y", "v": 1}, {"n": "x", "v": 9}]}, []),
        ({"l": [{"n": "x", "v": 9}]}, {"l": [{"n": "y", "v": 9}]}, ["l[0].v"]),
        ({"atoms": [9]}, {"atoms": [9], "b": 1}, []),
        ({"atoms": [9]}, {"atoms": [9, 1]}, ["atoms[0]"]),
    ],
)
def test_what_is_unchanged_need_not_be_mended(old: Object, new: Object, fields: list[str]) -> None:
    errs = Errors()
    validate(Validator(SCHEMA), new, errs, "", Correlation(new, old, Schema(SCHEMA)))
    assert [cause["field"] for cause in errs.causes] == fields


def test_maps_that_changed_places_are_equal() -> None:
    old = {"l": [{"n": "x"}, {"n": "y"}]}
    assert Correlation({"l": old["l"][::-1]}, old, Schema(SCHEMA)).equal()
    assert not Correlation({"atoms": [1, 2]}, {"atoms": [2, 1]}, Schema(SCHEMA)).equal()
    assert not Correlation({"zz": 1}, {"zz": 1}, Schema(SCHEMA)).equal(), "what has no schema is not followed"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("[a-", "missing closing ]: `[a-`"),
        ("(?=x)", "invalid or unsupported Perl syntax: `(?=`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("(", "missing closing ): `(`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
    ],
)
def test_patterns_that_are_none(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^error parsing regexp: {re.escape(message)}$"):
        compile_pattern(pattern)


def test_whole_numbers() -> None:
    assert is_whole(3.0) and is_whole(3.0000000001) and not is_whole(2.5) and not is_whole(2.0**53)


COMMON = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "integer", "boolean", "array", "object"]),
        "enum": st.just(["x", "y"]),
        "maxLength": st.integers(0, 2),
        "minLength": st.integers(0, 2),
        "pattern": st.sampled_from(["^a", "b$"]),
        "maximum": st.integers(-2, 2),
        "minimum": st.integers(-2, 2),
        "maxItems": st.integers(0, 2),
        "minItems": st.integers(0, 2),
        "maxProperties": st.integers(0, 2),
        "required": st.just(["a"]),
        "additionalProperties": st.just(False),
    },
)


def schemas() -> st.SearchStrategy[Object]:
    def more(below: st.SearchStrategy[Object]) -> st.SearchStrategy[Object]:
        nested = st.fixed_dictionaries(
            {},
            optional={
                "properties": st.dictionaries(st.sampled_from("ab"), below, min_size=1, max_size=2),
                "items": below,
                "anyOf": st.lists(below, min_size=1, max_size=2),
                "oneOf": st.lists(below, min_size=1, max_size=2),
                "allOf": st.lists(below, min_size=1, max_size=2),
                "not": below,
            },
        )
        return st.builds(lambda plain, inner: plain | inner, COMMON, nested)

    return st.recursive(COMMON, more, max_leaves=4)


VALUES = st.recursive(
    st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "ab", "b"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=8,
)


@given(schemas(), VALUES)
@settings(max_examples=30 * SCALE)
def test_agrees_with_another_validator(declared: Object, value: Any) -> None:
    expected = jsonschema.Draft4Validator(declared).is_valid(value)
    assert (not Validator(declared).check(value, None).problems) == expected

"""Lists that are sets or maps, and embedded resources."""

from typing import Any

import pytest

from pilothouse.api.structural.rules import coerce, read_metadata, validate_embedded, validate_lists
from pilothouse.api.structural.schema import Schema
from pilothouse.api.values.fields import Errors, Object

SET = {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}
MAP = {
    "type": "array",
    "items": {"type": "object", "properties": {"inner": SET}},
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["n", "p"],
}
THING = {
    "type": "object",
    "x-kubernetes-embedded-resource": True,
    "x-kubernetes-preserve-unknown-fields": True,
}


def found(check: Any, declared: Object, value: Any) -> list[tuple[str, str]]:
    errs = Errors()
    check({"f": value}, Schema({"type": "object", "properties": {"f": declared}}), errs)
    return [(cause["field"], cause["message"]) for cause in errs.causes]


@pytest.mark.parametrize(
    ("declared", "value", "causes"),
    [
        (SET, ["a", "b"], []),
        (SET, ["a", "b", "a", "a"], [("f[2]", 'Duplicate value: "a"')]),
        (MAP, [{"n": 1, "p": 2}, {"n": 1, "p": 3}], []),
        (MAP, [{"n": 1, "p": 2, "x": 1}, {"n": 1, "p": 2}], [("f[1]", 'Duplicate value: {"n":1,"p":2}')]),
        (MAP, [{}, {}], [("f[1]", "Duplicate value: {}")]),
        (MAP, ["a"], [("f[0]", 'Invalid value: "a": must be an object for an array of list-type map')]),
        (MAP, [{"inner": ["a", "a"]}], [("f[0].inner[1]", 'Duplicate value: "a"')]),
        (
            {"type": "object", "additionalProperties": SET},
            {"k": ["a", "a"]},
            [("f[k][1]", 'Duplicate value: "a"')],
        ),
    ],
)
def test_lists(declared: Object, value: Any, causes: list[tuple[str, str]]) -> None:
    assert found(validate_lists, declared, value) == causes


@pytest.mark.parametrize(
    ("value", "causes"),
    [
        ({"apiVersion": "v1", "kind": "A"}, []),
        ({}, [("f.apiVersion", "Required value"), ("f.kind", "Required value")]),
        ({"apiVersion": "", "kind": ""}, [("f.apiVersion", 'Invalid value: "": must not be empty'),
                                          ("f.kind", 'Invalid value: "": must not be empty')]),
        ({"apiVersion": "a/b/c", "kind": "A"},
         [("f.apiVersion", 'Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c')]),
        ({"apiVersion": 1, "kind": "A"}, [("f.apiVersion", "Invalid value: 1: must be a string")]),
    ],
)  # fmt: skip
def test_embedded_resources(value: Object, causes: list[tuple[str, str]]) -> None:
    assert found(validate_embedded, THING, value) == causes


def test_metadata_of_embedded_resources() -> None:
    value = {"apiVersion": "v1", "kind": "A", "metadata": {"name": "..", "labels": {"a b": "c"}}}
    assert [field for field, _ in found(validate_embedded, THING, value)] == [
        "f.metadata.name",
        "f.metadata.labels",
    ]


def test_coercion() -> None:
    schema = Schema({"type": "object", "properties": {"f": {"type": "array", "items": THING}}})
    obj: Object = {"f": [{"metadata": {"name": "n", "zz": 1, "creationTimestamp": None}}]}
    assert coerce(obj, schema) == ["f[0].metadata.zz"]
    assert obj == {"f": [{"metadata": {"name": "n"}}]}
    wrong: Object = {"f": [{"kind": 5}]}
    with pytest.raises(ValueError, match=r"f\[0\].kind: Invalid value: 5: must be a string"):
        coerce(wrong, schema)
    coerce(wrong, schema, drop=True)
    assert wrong == {"f": [{}]}
    wrong = {"f": [{"metadata": {"name": "n", "labels": {"a": 1}}}]}
    with pytest.raises(
        ValueError, match=r'f\[0\].metadata: Invalid value: {"labels":{"a":1},"name":"n"}: json: '
    ):
        coerce(wrong, schema)


def test_metadata_that_fits_no_type() -> None:
    assert read_metadata({"name": "n", "zz": 1}) == ({"name": "n"}, ['unknown field "metadata.zz"'])
    with pytest.raises(
        ValueError, match=r"cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
    ):
        read_metadata({"labels": {"k": 5}})

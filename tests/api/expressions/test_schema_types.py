"""The declarations of schemas for expressions: types, sizes, and how values are seen."""

from typing import Any

import pytest

from pilothouse.api.cel import Environment, EvaluationError
from pilothouse.api.expressions.limits import MAX_REQUEST_BYTES
from pilothouse.api.expressions.schema_types import DeclaredType, declare, sizes

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "n"],
    "properties": {
        "name": {"type": "string", "maxLength": 10},
        "n": {"type": "integer"},
        "f": {"type": "number"},
        "flag": {"type": "boolean"},
        "when": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "span": {"type": "string", "format": "duration"},
        "data": {"type": "string", "format": "byte"},
        "port": {"x-kubernetes-int-or-string": True},
        "kind": {"type": "string", "enum": ["a", "bbb"]},
        "x-y": {"type": "string"},
        "$bad": {"type": "string"},
        "any": {"x-kubernetes-preserve-unknown-fields": True},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "list": {"type": "array", "maxItems": 5, "items": {"type": "string", "format": "date-time"}},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}},
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
ROOT = declare(SCHEMA, "self")
assert ROOT is not None


def evaluate(text: str, obj: dict[str, Any], old: dict[str, Any] | None = None) -> Any:
    assert ROOT is not None
    known = Environment({"self": ROOT.type, "old": ROOT.type}, shapes={"self": ROOT.shape, "old": ROOT.shape})
    return known.compile(text).evaluate({"self": obj, "old": old})


def at(*path: str) -> DeclaredType:
    found = ROOT
    for step in path:
        assert found is not None
        found = found.items if step == "@" else found.fields.get(step)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("path", "type", "most", "size"),
    [
        ("name", "string", 40, 2),
        ("n", "int", 0, 1),
        ("f", "double", 0, 1),
        ("flag", "bool", 0, 4),
        ("when", "timestamp", 32, 21),
        ("day", "timestamp", 12, 12),
        ("span", "duration", 32, 3),
        ("data", "bytes", MAX_REQUEST_BYTES - 2, 2),
        ("port", "dyn", MAX_REQUEST_BYTES - 2, 1),
        ("kind", "string", 3, 2),
        ("x__dash__y", "string", MAX_REQUEST_BYTES - 2, 2),
        ("set", "list(string)", (MAX_REQUEST_BYTES - 2) // 3, 2),
        ("list", "list(timestamp)", 5, 2),
        ("labels", "map(string, string)", (MAX_REQUEST_BYTES - 2) // 8, 2),
    ],
)
def test_declared(path: str, type: str, most: int, size: int) -> None:
    found = at(path)
    assert (str(found.type), found.most, found.min_size) == (type, most, size)


def test_what_cannot_be_seen() -> None:
    assert ROOT is not None
    assert "any" not in ROOT.fields and not any("bad" in name for name in ROOT.fields)
    assert declare({"x-kubernetes-preserve-unknown-fields": True}, "self") is None
    assert declare({"type": "array", "items": {}}, "self") is None
    assert ROOT.min_size == 2 + (4 + 2 + 4) + (1 + 1 + 4)
    assert ROOT.cardinality() == MAX_REQUEST_BYTES // (ROOT.min_size + 1)


def test_the_root_of_a_resource_has_its_meta() -> None:
    root = declare(SCHEMA, "self", root=True)
    assert root is not None and {"name", "generateName"} == set(root.fields["metadata"].fields)
    assert str(root.fields["kind"].type) == "string" and root.fields["kind"].most > 3


def test_sizes_follow_paths() -> None:
    assert ROOT is not None
    size = sizes(ROOT)
    assert size(()) is None and size(("self", "nope")) is None
    assert size(("self", "name")) == (0, 40)
    assert size(("self", "list")) == (0, 5) and size(("oldSelf", "list", "@items")) == (0, 32)
    assert size(("self", "labels", "@values")) == (0, MAX_REQUEST_BYTES - 2)
    assert size(("self", "labels", "@keys")) == (0, 0)


@pytest.mark.parametrize(
    ("text", "obj"),
    [
        ("self.when > timestamp('2020-01-01T00:00:00Z')", {"when": "2020-01-01T00:00:01+00:00"}),
        ("self.when == old.when", {"when": "2020-01-01T00:00:00Z"}),
        ("self.day.getFullYear() == 2021", {"day": "2021-05-05"}),
        ("self.span == duration('90s')", {"span": "1m30s"}),
        ("self.data == b'abc'", {"data": "YWJj"}),
        ("self.f == 1.0 && type(self.f) == double && self.f + 0.5 == 1.5", {"f": 1}),
        ("self.list.all(t, t.getMinutes() == 0)", {"list": ["2020-01-01T00:00:00Z"]}),
        ("timestamp('2020-01-01T00:00:00Z') in self.list", {"list": ["2020-01-01T01:00:00+01:00"]}),
        ("self.list[0] == self.list.max()", {"list": ["2020-01-01T00:00:00Z"]}),
        ("self.list.size() == 1 && self.list == [timestamp('2020-01-01T00:00:00Z')]",
         {"list": ["2020-01-01T00:00:00Z"]}),
        ("self.x__dash__y == 'a'", {"x-y": "a"}),
        ("type(self.port) == int ? self.port < 5 : self.port == 'http'", {"port": "http"}),
        ("self.port == 3", {"port": 3}),
        ("!has(self.name)", {"name": None}),
        ("self.labels.a == 'b' && self.labels.all(k, k != 'z')", {"labels": {"a": "b"}}),
        ("self.set == ['b', 'a']", {"set": ["a", "b"]}),
        ("self.set + ['b', 'c'] == ['c', 'b', 'a']", {"set": ["a", "b"]}),
        ("self.parts.map(p, p.v) == [1, 2]", {"parts": [{"k": "a", "v": 1}, {"k": "b", "v": 2}]}),
    ],
)  # fmt: skip
def test_values_are_seen_as_declared(text: str, obj: dict[str, Any]) -> None:
    old = {"when": "2020-01-01T01:00:00+01:00"}
    assert evaluate(text, obj, old) is True


def test_sets_and_maps_have_no_order() -> None:
    obj = {"set": ["a", "b"], "parts": [{"k": "a", "v": 1}, {"k": "b", "v": 2}]}
    other = {"set": ["b", "a"], "parts": [{"k": "b", "v": 2}, {"k": "a", "v": 1}]}
    assert evaluate("self.set == old.set && self.parts == old.parts && self == old", obj, other) is True
    changed = {"set": ["b", "c"], "parts": [{"k": "b", "v": 3}, {"k": "a", "v": 1}]}
    assert evaluate("self.set != old.set && self.parts != old.parts", obj, changed) is True
    assert evaluate("(self.parts + old.parts).map(p, p.v)", obj, changed) == [1, 3]


@pytest.mark.parametrize(
    ("text", "obj", "wanted"),
    [
        ("self.n > 1", {"n": 1.0}, "invalid data, expected int, got float64"),
        ("self.when == self.when", {"when": 5}, "invalid data, expected string, got int64"),
        ("self.when == self.when", {"when": [1]}, "invalid data, expected string, got []interface {}"),
        (
            "self.when == self.when",
            {"when": "2020-01-01t00:00:00Z"},
            (
                'Invalid date-time formatted string 2020-01-01t00:00:00Z: parsing time "2020-01-01t00:00:00Z"'
                ' as "2006-01-02T15:04:05": cannot parse "t00:00:00Z" as "T"'
            ),
        ),
        (
            "self.when == self.when",
            {"when": "2020-01-01T00:00:00z"},
            (
                "Invalid date-time formatted string 2020-01-01T00:00:00z: parsing time"
                ' "2020-01-01T00:00:00z": extra text: "z"'
            ),
        ),
        ("self.port + 1 == 2", {"port": "a"}, "no such overload"),
        ("self.labels.nope == ''", {"labels": {}}, "no such key: nope"),
        ("self.x__dash__y == ''", {}, "no such key: x__dash__y"),
    ],
)
def test_what_is_not_as_declared(text: str, obj: dict[str, Any], wanted: str) -> None:
    with pytest.raises(EvaluationError) as found:
        evaluate(text, obj)
    assert str(found.value) == wanted

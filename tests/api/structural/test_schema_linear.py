"""The work on custom resources grows linearly with their size, for every keyword of a schema."""

import functools
import gc
import json
import resource
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from complexity import assert_linear

from pilothouse.api.structural import schema as structural
from pilothouse.api.structural.codec import StructuralCodec
from pilothouse.api.structural.correlation import Correlation
from pilothouse.api.structural.formats import FORMATS
from pilothouse.api.structural.patterns import TooLong, compile_pattern, matches
from pilothouse.api.structural.rules import validate_embedded, validate_lists
from pilothouse.api.structural.validate import Validator, validate
from pilothouse.api.values import jsonpath
from pilothouse.api.values.equality import identity
from pilothouse.api.values.fields import Errors

pytestmark = pytest.mark.slow

Object = dict[str, Any]
N = 300

STRINGS = {"type": "array", "items": {"type": "string"}}
INTEGERS = {"type": "array", "items": {"type": "integer"}}
PAIR = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
    "required": ["a"],
}
EMBEDDED = {
    "type": "object",
    "x-kubernetes-embedded-resource": True,
    "x-kubernetes-preserve-unknown-fields": True,
}


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """The collector's own work depends on all that the tests before have left."""
    gc.disable()
    yield
    gc.enable()


def items(**more: Any) -> Object:
    return {"type": "array", "items": more}


def keys(*names: str, **more: Any) -> Object:
    return {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(names),
        **more,
    }


FLAT = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in "abcdefghij"},
}
CASES = {
    "right types": (INTEGERS, lambda n: list(range(n))),
    "wrong types": (STRINGS, lambda n: [0] * n),
    "wrong objects": (STRINGS, lambda n: [{"a": i} for i in range(n)]),
    "nulls": (INTEGERS, lambda n: [None] * n),
    "enum": (items(type="string", enum=["a", "b"]), lambda n: [f"{i}" for i in range(n)]),
    "enum of numbers": (items(type="number", enum=[1, 2.5]), lambda n: [i / 2 for i in range(n)]),
    "enum of objects": (
        items(type="object", enum=[{"a": 1}], **{"x-kubernetes-preserve-unknown-fields": True}),
        lambda n: [{"a": i} for i in range(n)],
    ),
    "long enum": (
        lambda n: items(type="string", enum=[f"e{i}" for i in range(n)]),
        lambda n: [f"e{i}" for i in range(n)],
    ),
    "long enum, none": (
        lambda n: items(type="integer", enum=[f"e{i}" for i in range(n)]),
        lambda n: list(range(n)),
    ),
    "multipleOf": (items(type="integer", multipleOf=3), lambda n: list(range(n))),
    "multipleOf of numbers": (items(type="number", multipleOf=0.3), lambda n: [i / 7 for i in range(n)]),
    "bounds": (items(type="integer", minimum=10**6, exclusiveMaximum=True), lambda n: list(range(n))),
    "lengths": (items(type="string", minLength=9, maxLength=9), lambda n: [f"{i}" for i in range(n)]),
    "pattern": (items(type="string", pattern="^(a|b)*c$"), lambda n: ["ab" * 5] * n),
    "pattern of a long text": ({"type": "string", "pattern": "^(a+)+$"}, lambda n: "a" * 100 * n + "!"),
    "formats": (items(type="string", format="date-time"), lambda n: [f"{i}" for i in range(n)]),
    "maxItems": ({**INTEGERS, "maxItems": 3, "minItems": 2}, lambda n: list(range(n))),
    "uniqueItems": ({**INTEGERS, "uniqueItems": True}, lambda n: list(range(n))),
    "uniqueItems of objects": (
        {**items(**PAIR), "uniqueItems": True},
        lambda n: [{"a": f"{i}"} for i in range(n)],
    ),
    "allOf": (items(type="integer", allOf=[{"minimum": 10**6}] * 5), lambda n: list(range(n))),
    "anyOf": (items(type="integer", anyOf=[{"minimum": 10**6}, {"enum": [1]}]), lambda n: list(range(n))),
    "oneOf": (items(type="integer", oneOf=[{"minimum": 0}, {"minimum": 1}]), lambda n: list(range(n))),
    "not": (items(type="integer", **{"not": {"minimum": 0}}), lambda n: list(range(n))),
    "required": (items(**PAIR), lambda n: [{} for _ in range(n)]),
    "required, many": (
        lambda n: {"type": "object", "required": [f"k{i}" for i in range(n)], "additionalProperties": True},
        lambda n: {f"k{i}": 1 for i in range(0, n, 2)},
    ),
    "unknown members": (FLAT, lambda n: {f"u{i}": {"x": 1} for i in range(n)}),
    "unknown members of items": (items(**PAIR), lambda n: [{"a": "", f"u{i}": 1} for i in range(n)]),
    "unknown members are kept": (
        {**FLAT, "x-kubernetes-preserve-unknown-fields": True},
        lambda n: {f"u{i}": {"x": [1]} for i in range(n)},
    ),
    "additionalProperties": (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        lambda n: {f"k{i}": f"{i}" for i in range(n)},
    ),
    "maxProperties": (
        {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1},
        lambda n: {f"k{i}": f"{i}" for i in range(n)},
    ),
    "many properties, few of them set": (
        lambda n: items(type="object", properties={f"p{i}": {"type": "string"} for i in range(n)}),
        lambda n: [{f"p{i}": "x"} for i in range(n)],
    ),
    "a long key above many items": (
        {"type": "object", "additionalProperties": items(**PAIR)},
        lambda n: {"k" * 200 * n: [{"a": 1, "u": []} for _ in range(n)]},
    ),
    "defaults": (
        items(
            type="object",
            properties={
                "a": {
                    "type": "object",
                    "default": {},
                    **{"properties": {"b": {"type": "string", "default": "x"}}},
                }
            },
        ),
        lambda n: [{} for _ in range(n)],
    ),
    "int-or-string": (items(**{"x-kubernetes-int-or-string": True}), lambda n: [1, "a", 1.5, True] * n),
    "set of texts": ({**STRINGS, "x-kubernetes-list-type": "set"}, lambda n: [f"{i}" for i in range(n)]),
    "set of the same": ({**STRINGS, "x-kubernetes-list-type": "set"}, lambda n: ["a"] * n),
    "set of pairs": (
        {**STRINGS, "x-kubernetes-list-type": "set"},
        lambda n: [f"{i // 2}" for i in range(n)],
    ),
    "set of objects": (
        {**items(**PAIR, **{"x-kubernetes-map-type": "atomic"}), "x-kubernetes-list-type": "set"},
        lambda n: [{"a": f"{i // 2}", "b": i % 2} for i in range(n)],
    ),
    "list map": (keys("a", items=PAIR), lambda n: [{"a": f"{i}"} for i in range(n)]),
    "list map of the same": (keys("a", "b", items=PAIR), lambda n: [{"a": "x", "b": 1}] * n),
    "list map of many keys": (
        lambda n: keys(
            *(f"k{i}" for i in range(n)),
            items={"type": "object", "properties": {f"k{i}": {"type": "integer"} for i in range(n)}},
        ),
        lambda n: [{f"k{i}": 1} for i in range(n)],
    ),
    "list map of wrong items": (keys("a", items=PAIR), lambda n: [f"{i}" for i in range(n)]),
    "embedded resources": (
        items(**EMBEDDED),
        lambda n: [{"kind": "A", "apiVersion": "v1"} for _ in range(n)],
    ),
    "wrong embedded resources": (items(**EMBEDDED), lambda n: [{"kind": "a b", "u": i} for i in range(n)]),
    "metadata of embedded resources": (
        items(**EMBEDDED),
        lambda n: [{"kind": "A", "apiVersion": "v1", "metadata": {"name": "a", "u": i}} for i in range(n)],
    ),
}


def build(case: str, n: int) -> tuple[Object, Any]:
    """The schema of `spec` and a value for it."""
    declared: Any
    value: Any
    declared, value = CASES[case]
    return (declared(n) if callable(declared) else declared), value(n)


def everything(given: tuple[StructuralCodec, structural.Schema, Validator, bytes, Any]) -> Errors:
    """Read a body, default and prune it, and check it as a new object and as a changed one."""
    codec, schema, validator, body, old = given
    errs = Errors()
    try:
        obj, _ = codec.decode(body, "application/json", "Warn")
    except Exception:
        return errs
    for before in (None, old):
        found = Errors()
        validate(validator, obj, found, "", Correlation(obj, before, schema) if before else None)
        validate_embedded(obj, schema, found)
        validate_lists(obj, schema, found)
        errs = found
    return errs


@pytest.mark.parametrize("case", CASES)
def test_ten_times_as_much_takes_ten_times_as_long(case: str) -> None:
    @functools.cache
    def make(n: int) -> Any:
        declared, value = build(case, n)
        whole = {"type": "object", "properties": {"spec": declared}}
        schema, validator = structural.compile(whole), Validator(whole)
        codec = StructuralCodec("example.com", "v1", "Widget", lambda: schema)
        obj = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": value}
        body = json.dumps(obj).encode()
        old, _ = codec.decode(body, "application/json", "Ignore")
        if isinstance(old["spec"], list) and old["spec"]:
            old["spec"] = [*old["spec"][1:], old["spec"][0]]
        return codec, schema, validator, body, old

    try:
        assert_linear(everything, make, N)
    except AssertionError:  # others may have emptied the processor's cache
        assert_linear(everything, make, N)


TEXTS = ("1", " ", "a", "a.", "1sec", "a <", '\\"', "AAAA", "%41", ":", "é", "-1", "a@[", "\t\n", "1 ")


@pytest.mark.parametrize("name", FORMATS)
def test_formats_read_long_texts_in_linear_time(name: str) -> None:
    for text in TEXTS:
        for before, after in (("", ""), ("", "!"), ("rgb( ", ""), ("http://", "")):
            assert_quick(FORMATS[name], lambda n: before + text * n + after)  # noqa: B023 -- called within the turn


def assert_quick(call: Any, make: Any) -> None:
    """Linear, or too quick for a difference."""
    given = make(10_000)
    started = time.thread_time()
    call(given)
    if time.thread_time() - started > 0.02:
        assert_linear(call, make, 2000)


def test_a_number_of_thousands_of_digits_is_no_duration() -> None:
    assert not FORMATS["duration"]("9" * 10_000 + " days")


@pytest.mark.parametrize(
    "path",
    [
        ".a" + "[0,0]" * 16,
        "..a" * 8,
        ".a[*]" + "[0,0,0,0]" * 8,
        ".a[?(@.b==1)]" * 3,
        ".a" + "[:]" * 30,
        ".a[*][*][*][*]",
    ],
)
def test_a_path_looks_at_so_many_values(path: str) -> None:
    def make(n: int) -> Object:
        return {"a": [[[{"a": 1, "b": 1}] * 20] * 20] * n}

    def find(obj: Object) -> None:
        try:
            jsonpath.compile(path)(obj)
        except jsonpath.JSONPathError:
            pass

    started = time.thread_time()
    find(make(300))
    assert time.thread_time() - started < 0.2


def test_sets_are_checked_in_little_memory() -> None:
    declared = {"type": "array", "x-kubernetes-list-type": "set"}
    cases = {
        "numbers": ({**declared, "items": {"type": "integer"}}, list(range(30_000))),
        "texts": ({**declared, "items": {"type": "string"}}, [f"item-{i}" for i in range(30_000)]),
        "objects": ({**declared, "items": PAIR}, [{"a": f"item-{i}", "b": i} for i in range(12_000)]),
        "list map": (keys("a", items=PAIR), [{"a": f"item-{i}", "b": i} for i in range(12_000)]),
        "wrong types": ({**declared, "items": {"type": "string"}}, list(range(30_000))),
    }
    for name, (schema, value) in cases.items():
        compiled, validator = structural.compile(schema), Validator(schema)
        size, before = len(json.dumps(value)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        tracemalloc.start()
        errs = Errors()
        validate(validator, value, errs)
        validate_lists(value, compiled, errs)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 17 * size, (name, peak, size)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        assert grown < 30 << 20, (name, grown)  # what tracemalloc does not see, with its own records


def test_defaults_do_not_make_a_small_object_huge() -> None:
    schema = structural.compile(
        items(type="object", properties={"a": {"type": "string", "default": "x" * 100_000}})
    )
    with pytest.raises(ValueError, match="larger than"):
        structural.default([{} for _ in range(1000)], schema)


def test_identity_tells_what_go_tells() -> None:
    values = [1, 1.0, True, "1", None, [1], [1.0], [True], {"a": 1}, {"a": 1.0}, [], {}, "", 0, False]
    assert len({identity(value) for value in values}) == len(values)
    assert identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})


def test_patterns_are_kept_within_bounds() -> None:
    for size in range(1, 400):
        compile_pattern(f"^a{{{size}}}$")
    with pytest.raises(ValueError, match="pattern too large"):
        compile_pattern(r"\pL{1000}")
    with pytest.raises(TooLong):
        matches(r"(a|b)*a(a|b){900}(x|a(a|b)*x)", "ab" * 500_000)
    assert matches("^.{1,1000}$", "a" * 1000) and not matches("^.{1,1000}$", "a" * 1001)

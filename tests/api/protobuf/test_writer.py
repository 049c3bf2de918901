"""Encoding and decoding give the same object for every kind; and the exact bytes for some."""

import json
import random
from typing import Any

import pytest
from api.protobuf import reader_model, writer_model
from api.protobuf.compared import any_object, any_type, outcome, turns
from example_scale import SCALE
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pilothouse.api import codec
from pilothouse.api.protobuf import _reader as protobuf
from pilothouse.api.protobuf.writer import dump, encode, frame, list_message, write
from pilothouse.api.types import schema
from pilothouse.api.types.schema import Type

KINDS = sorted(
    (version, kind)
    for version, kinds in schema.index()["kinds"].items()
    for kind in kinds
    if not kind.endswith("List")
)
VALUES: dict[str, Any] = {
    "string": "text",
    "duration": "1m0s",
    "int32": -7,
    "int64": 1 << 40,
    "number": 1.5,
    "bool": True,
    "bytes": "eA==",
    "time": "2020-01-02T03:04:05Z",
    "microtime": "2020-01-02T03:04:05.000006Z",
    "quantity": "500m",
    "intorstring": "web",
    "any": {"a": [1]},
    "schemaor": True,
}


def filled(type: Type, depth: int = 0) -> Any:
    """A value with every member set, to a depth."""
    if type.kind == "struct":
        if depth > 5:
            return {}
        return {name: filled(field.type, depth + 1) for name, field in type.fields.items()}
    if type.kind == "schemaor" and "OrBool" not in type.go:
        return []
    if type.items is not None and type.kind in ("list", "map"):
        item = filled(type.items, depth + 1)
        return {"k": item} if type.kind == "map" else [item]
    return VALUES[type.kind]


def without_kinds(value: Any) -> Any:
    """Nested objects' kind and apiVersion are not in their messages."""
    if isinstance(value, dict):
        return {k: without_kinds(v) for k, v in value.items() if k not in ("kind", "apiVersion")}
    return [without_kinds(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("version", "kind"), KINDS, ids=lambda v: v)
def test_every_kind_comes_back(version: str, kind: str) -> None:
    group, _, short = version.rpartition("/")
    type_ = schema.for_kind(group, short, kind)
    obj = codec.prune(filled(type_), type_)
    obj |= {"kind": kind, "apiVersion": version}
    back = codec.prune(protobuf.decode(encode(obj, type_), type_), type_)
    assert without_kinds(dropped(back)) == without_kinds(dropped(obj, type_))


def dropped(value: Any, type: Type | None = None) -> Any:
    """The value without the members that JSON has and protobuf has not
    (selfLink and the like are in both)."""
    if value is None:
        return None
    if type is None or type.kind != "struct":
        if type is not None and type.items is not None and isinstance(value, list):
            return [dropped(v, type.items) for v in value]
        if type is not None and type.kind == "map" and type.items is not None:
            return {k: dropped(v, type.items) for k, v in value.items()}
        return value
    numbers = reader_model.numbers().get(type.name)
    if numbers is None:
        return value
    return {
        name: dropped(item, type.fields[name].type)
        for name, item in value.items()
        if name in numbers and name in type.fields
    }


def test_known_bodies() -> None:
    """The bodies are those that kube-apiserver writes."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "m",
        "reason": "NotAcceptable",
        "code": 406,
    }
    assert dump(status) == (
        b"k8s\x00\x0a\x0c\x0a\x02v1\x12\x06Status\x12\x26\x0a\x06\x0a\x00\x12\x00\x1a\x00\x12\x07Failure\x1a\x01m"
        b"\x22\x0dNotAcceptable\x30\x96\x03\x1a\x00\x22\x00"
    )
    lease = {"spec": {"leaseDurationSeconds": 0, "renewTime": "2020-01-02T03:04:05.000006Z"}}
    raw = encode(lease, schema.for_kind("coordination.k8s.io", "v1", "Lease"))
    assert raw.endswith(b"\x12\x0d\x10\x00\x22\x09\x08\xa5\xbb\xb5\xf0\x05\x10\xf0\x2e")


def test_lists_are_their_items() -> None:
    type_ = schema.for_kind("", "v1", "ConfigMap")
    maps = [{"metadata": {"name": name}, "data": {"k": name}} for name in ("a", "b")]
    whole = write({"metadata": {"resourceVersion": "7"}, "items": maps}, "v1", "ConfigMapList")
    raw = list_message({"resourceVersion": "7"}, (encode(one, type_) for one in maps))
    assert frame(raw, "v1", "ConfigMapList") == whole


@settings(max_examples=400 * SCALE, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_object_is_written_as_the_model_writes_it(chance: random.Random) -> None:
    type_ = any_type(chance)
    obj = any_object(chance, type_)
    assert outcome(encode, obj, type_) == outcome(writer_model.encode, obj, type_)


@settings(max_examples=25 * SCALE)
@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_come_back(value: int) -> None:
    type_ = schema.for_kind("apps", "v1", "ControllerRevision")
    data = encode({"revision": value}, type_)
    assert data == writer_model.encode({"revision": value}, type_)
    assert protobuf.decode(data, type_)["revision"] == value


DATES = r"[0-9]{4}-[01][0-9]-[0-3][0-9]"
TIMES = rf"{DATES}T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{{6}}|,[0-9]{{6}}|\.[0-9]{{3}})?(Z|\+01:00)?"


@settings(max_examples=300 * SCALE)
@given(st.from_regex(TIMES, fullmatch=True) | st.datetimes().map(lambda time: f"{time.isoformat()}Z"))
@example("2000-02-29T00:00:00Z")
@example("1900-02-29T00:00:00Z")
@example("0000-01-01T00:00:00Z")
@example("0001-01-01T00:00:00Z")
@example("9999-12-31T23:59:59.999999Z")
@example("-292277022399-01-01T00:00:00Z")
def test_any_time_is_written_as_the_model_writes_it(time: str) -> None:
    event = {"eventTime": time, "firstTimestamp": time}
    for obj in (event, {"firstTimestamp": time}):
        of = schema.for_kind("", "v1", "Event")
        assert outcome(encode, obj, of) == outcome(writer_model.encode, obj, of)


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 129, 16383, 16384, 2097151, 2097152])
def test_lengths_of_any_size(size: int) -> None:
    """A message moves when its length takes more than a byte, and what is around it as well."""
    type_ = schema.for_kind("", "v1", "Pod")
    for text in ("x" * size, "é" * (size // 2)):
        pod = {"spec": {"containers": [{"name": "c", "command": ["a", text]}], "nodeName": "n"}}
        assert encode(pod, type_) == writer_model.encode(pod, type_)


def test_what_is_nested_too_deeply_is_refused() -> None:
    type_ = schema.builtin("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    obj: dict[str, Any] = {}
    for _ in range(200):
        obj = {"not": obj}
    assert encode(obj, type_) == writer_model.encode(obj, type_)
    for _ in range(100_000):
        obj = {"not": obj}
    with pytest.raises(RecursionError):
        encode(obj, type_)


def test_a_long_walk_lets_other_threads_run() -> None:
    type_ = schema.for_kind("", "v1", "ConfigMap")
    data = {str(number): "" for number in range(10_000)}
    assert turns(lambda: encode({"data": data}, type_)) >= 5


def test_what_json_holds_is_kept_as_json() -> None:
    type_ = schema.for_kind("apps", "v1", "ControllerRevision")
    data = {"b": [1.5, None], "a": "ü"}
    back = protobuf.decode(encode({"data": data, "revision": 1}, type_), type_)
    assert json.dumps(back["data"]) == json.dumps(data)


def test_json_in_an_object_has_the_bytes_that_go_writes() -> None:
    """Controller managers compare them with their own."""
    revision: Any = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "a"}}
    body = dump({**revision, "data": {"b": "x && y <z>", "a": 1}})
    assert rb'{"b":"x \u0026\u0026 y \u003cz\u003e","a":1}' in body


def test_a_list_in_a_map_may_be_null() -> None:
    """Go writes a nil slice as a message without items (authorization/v1 ExtraValue)."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    values: list[Any] = [None, []]
    null, empty = (dump({**review, "spec": {"extra": {"a": value, "b": ["c"]}}}) for value in values)
    assert null == empty

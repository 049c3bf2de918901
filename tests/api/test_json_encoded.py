"""The splicer and the framers of _json compared with orjson."""

import contextlib
import json
from typing import Any

import orjson
import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api._json import (
    JsonEncoder,
    encoded,
    event,
    head_of,
    labels,
    metadata_of,
    splice,
    strip,
    with_metadata,
)

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["name", "uid", "annotations", "managedFields", "ownerReferences", 'a"b', "é", ""])
METADATA = st.dictionaries(NAMES, TREES, min_size=1, max_size=4)
LABELS = st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=3)
RESTS = st.dictionaries(st.sampled_from(["spec", "status", "data", "resourceVersion", "metadatas"]), TREES)


def value_of(metadata: dict[str, Any], rest: dict[str, Any], kind: str = "Pod") -> bytes:
    return orjson.dumps({"kind": kind, "apiVersion": "v1", "metadata": metadata, **rest})


@settings(max_examples=75 * SCALE)
@given(METADATA, RESTS, st.text(max_size=5), st.integers(1, 2**63 - 1))
def test_splice_of_our_own(metadata: dict[str, Any], rest: dict[str, Any], kind: str, revision: int) -> None:
    value = value_of(metadata, rest, kind)
    served = splice(value, revision)
    assert served == value_of({"resourceVersion": str(revision), **metadata}, rest, kind)
    assert strip(served) == value
    assert served[head_of(served) :].startswith(b'"metadata":{"resourceVersion":"')


@settings(max_examples=50 * SCALE)
@given(
    METADATA,
    RESTS,
    st.permutations(["kind", "apiVersion", "metadata", "rest"]),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_splice_of_others(
    metadata: dict[str, Any], rest: dict[str, Any], order: list[str], stale: bool, indent: int | None
) -> None:
    if stale:
        metadata = {**metadata, "resourceVersion": "5"}
    parts: dict[str, dict[str, Any]] = {
        "kind": {"kind": "Pod"},
        "apiVersion": {"apiVersion": "v1"},
        "metadata": {"metadata": metadata},
        "rest": rest,
    }
    obj = {name: member for part in order for name, member in parts[part].items()}
    served = splice(json.dumps(obj, indent=indent, ensure_ascii=False).encode(), 77)
    assert orjson.loads(served) == {**obj, "metadata": {**metadata, "resourceVersion": "77"}}
    assert served.startswith(b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"77"')


@pytest.mark.parametrize(
    "rest", [{"spec": {"resourceVersion": "1"}}, {"involvedObject": {"resourceVersion": "9"}}]
)
def test_other_members_named_resource_version(rest: dict[str, Any]) -> None:
    metadata = {"name": "a", "annotations": {"resourceVersion": "3"}}
    assert splice(value_of(metadata, rest), 7) == value_of({"resourceVersion": "7", **metadata}, rest)


def test_metadata_that_is_empty_or_missing() -> None:
    served = b'{"kind":"A","apiVersion":"v1","metadata":{"resourceVersion":"5"}}'
    assert splice(b'{"kind":"A","apiVersion":"v1","metadata":{}}', 5) == served
    assert splice(b'{"kind":"A","apiVersion":"v1"}', 5) == served
    assert strip(served) == b'{"kind":"A","apiVersion":"v1","metadata":{}}'


@settings(max_examples=50 * SCALE)
@given(st.binary(max_size=60) | st.sampled_from([b"[]", b"1", b'{"metadata":1}', b'{"kind":1}', b"k8s\0abc"]))
def test_what_is_no_object(value: bytes) -> None:
    try:
        served = splice(value, 1)
    except ValueError:
        return
    assert orjson.loads(served)["metadata"]["resourceVersion"] == "1"


@settings(max_examples=50 * SCALE)
@given(st.integers(0, 200), st.binary(max_size=3))
def test_damaged_values_do_not_crash(cut: int, junk: bytes) -> None:
    value = value_of({"name": "a", "labels": {"x": 'y"z', "p": "q"}}, {"spec": {"a": [1, 2, {"b": "c"}]}})
    damaged = value[:cut] + junk + value[cut + 1 :]
    try:
        out = encoded(damaged, 3)
    except ValueError:
        return
    assert isinstance(labels(out.value, out.head), dict)


@settings(max_examples=75 * SCALE)
@given(METADATA, LABELS, RESTS, st.booleans())
def test_labels(metadata: dict[str, Any], wanted: dict[str, str], rest: dict[str, Any], last: bool) -> None:
    metadata = {**metadata, "labels": wanted} if last else {"labels": wanted, **metadata}
    out = encoded(value_of(metadata, rest), 12)
    assert labels(out.value, out.head) == wanted


def test_no_labels() -> None:
    out = encoded(value_of({"name": "a", "annotations": {"labels": "x"}}, {"labels": {"a": "b"}}), 1)
    assert labels(out.value, out.head) == {}
    out = encoded(value_of({"name": "a", "labels": None}, {}), 1)
    assert labels(out.value, out.head) == {}


def test_events() -> None:
    assert event("ADDED", b"{}") == b'{"type":"ADDED","object":{}}\n'
    encoder = JsonEncoder("Pod", "v1", b',"spec":{"containers":null}')
    assert encoder.encode("DELETED", b"{}", None) == event("DELETED", b"{}")
    assert json.loads(encoder.bookmark(5)) == {
        "type": "BOOKMARK",
        "object": {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": "5"},
            "spec": {"containers": None},
        },
    }


@settings(max_examples=75 * SCALE)
@given(METADATA | st.just({}), METADATA, RESTS)
def test_metadata_is_taken_out_and_put_back(metadata: Any, other: Any, more: Any) -> None:
    served = value_of(metadata, more)
    head = head_of(served)
    text, fields, end = metadata_of(served, head)
    found = orjson.loads(text)
    if fields:
        assert found["managedFields"] is None and list(found) == list(metadata)
        found["managedFields"] = orjson.loads(fields)
    assert found == metadata
    assert orjson.loads(with_metadata(served, head, end, orjson.dumps(other))) == {
        **orjson.loads(served),
        "metadata": other,
    }
    found.update({"managedFields": orjson.Fragment(fields)} if fields else {})
    assert with_metadata(served, head, end, orjson.dumps(found)) == served


@pytest.mark.parametrize("at", range(-1, 60))
def test_metadata_of_what_is_cut_off(at: int) -> None:
    served = value_of({"name": "a", "managedFields": [{"b": {}}]}, {})
    for head in (head_of(served), -1, at):
        with contextlib.suppress(ValueError):
            text, _, end = metadata_of(served[:at] if at >= 0 else b"", head)
            assert 0 <= end <= len(served) and isinstance(text, bytes)

"""Stored objects are read and written as orjson does it; the field sets of managed fields are shared."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api import _stored
from pilothouse.api.codec import encode

LABELS: dict[str, Any] = {f"f:label-{number}": {} for number in range(120)}
FIELDS = {"f:metadata": {"f:labels": {".": {}, **LABELS}}}
"""A set that is long enough to be remembered."""


def entry(fields: Any, manager: str = "kubectl") -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-01-02T03:04:05Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def stored(*entries: Any, **members: Any) -> bytes:
    metadata = {"name": "a", "managedFields": [*entries]}
    return orjson.dumps({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, **members})


def test_objects_with_the_same_set_share_it() -> None:
    one, other = _stored.loads(stored(entry(FIELDS))), _stored.loads(stored(entry(FIELDS, "helm")))
    assert one["metadata"]["managedFields"][0]["fieldsV1"] == FIELDS
    assert (
        one["metadata"]["managedFields"][0]["fieldsV1"] is other["metadata"]["managedFields"][0]["fieldsV1"]
    )
    assert one["metadata"]["managedFields"] == [entry(FIELDS)]
    assert other["metadata"]["managedFields"] == [entry(FIELDS, "helm")]


def test_a_short_set_is_read_where_it_stands() -> None:
    short: dict[str, Any] = {"f:data": {"f:a": {}}}
    one, other = _stored.loads(stored(entry(short))), _stored.loads(stored(entry(short)))
    assert one == other == orjson.loads(stored(entry(short)))
    assert (
        one["metadata"]["managedFields"][0]["fieldsV1"]
        is not other["metadata"]["managedFields"][0]["fieldsV1"]
    )


def test_many_sets_make_others_be_forgotten() -> None:
    first = _stored.loads(stored(entry(FIELDS)))["metadata"]["managedFields"][0]["fieldsV1"]
    size = len(orjson.dumps(FIELDS))
    for number in range(2 * 262144 // size + 2):
        other = {"f:metadata": {"f:labels": {".": {}, **LABELS, f"f:n-{number}": {}}}}
        assert _stored.loads(stored(entry(other))) == orjson.loads(stored(entry(other)))
    again = _stored.loads(stored(entry(FIELDS)))["metadata"]["managedFields"][0]["fieldsV1"]
    assert again == first
    assert again is not first
    assert _stored.dumps({"metadata": {"managedFields": [entry(first)]}}) == orjson.dumps(
        {"metadata": {"managedFields": [entry(FIELDS)]}}
    )


@pytest.mark.parametrize(
    "value",
    [
        b'{"metadata":{"name":"a"},"spec":{"managedFields":[{"fieldsV1":%s}]}}' % orjson.dumps(FIELDS),
        b'{"metadata":{"managedFields":[{"fieldsV1":0},{"fieldsV1":%s}]}}' % orjson.dumps(FIELDS),
        b'{"metadata":{"managedFields":[{"manager":"a"},{"fieldsV1":%s}]}}' % orjson.dumps(FIELDS),
        b'{"metadata":{"managedFields":[{"x":{"fieldsV1":%s}}]}}' % orjson.dumps(FIELDS),
        b'{"metadata":{"managedFields":[{"fieldsV1":{}}]},"spec":[{"fieldsV1":%s}]}' % orjson.dumps(FIELDS),
        b'{"metadata":{"annotations":{"a":"\\"managedFields\\":[{\\"fieldsV1\\":{"},"managedFields":[]}}',
        b'{"metadata":{"managedFields":[{"fieldsV1":0}],"x":{"fieldsV1":%s}}}' % orjson.dumps(FIELDS),
        b'{"metadata":{"managedFields":[{"fieldsV1":0}]},"spec":{"fieldsV1":%s}}' % orjson.dumps(FIELDS),
        b'[{"managedFields":[{"fieldsV1":%s}]}]' % orjson.dumps(FIELDS),
    ],
)
def test_a_set_elsewhere_is_read_as_anything_else(value: bytes) -> None:
    assert _stored.loads(value) == orjson.loads(value)


def test_bytes_that_are_no_json_are_an_error() -> None:
    for value in (b"", b"{", stored(entry(FIELDS))[:-3], b'{"managedFields":[{"fieldsV1":{'):
        with pytest.raises(orjson.JSONDecodeError):
            _stored.loads(value)


def test_a_set_that_somebody_changes_is_found() -> None:
    fields = _stored.loads(stored(entry(FIELDS)))["metadata"]["managedFields"][0]["fieldsV1"]
    assert _stored.changed() == []
    fields["f:spec"] = {}
    assert _stored.changed() == [orjson.dumps(FIELDS)]
    del fields["f:spec"]
    assert _stored.changed() == []


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SETS: Any = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(
        st.sampled_from([f"f:member-{number}-{'x' * 200}" for number in range(20)] + ["."]),
        inner,
        max_size=12,
    ),
    max_leaves=40,
)
ENTRIES: Any = st.lists(st.builds(entry, SETS | JSON, st.text(max_size=8)) | JSON, max_size=18)
MEMBERS: Any = st.dictionaries(
    st.sampled_from(["spec", "managedFields", "fieldsV1"]),
    JSON | ENTRIES | st.builds(entry, SETS),
    max_size=2,
)


@given(entries=ENTRIES | JSON, members=MEMBERS)
def test_any_object_is_read_and_written_as_orjson_does_it(entries: Any, members: dict[str, Any]) -> None:
    obj = {"kind": "K", "apiVersion": "v1", "metadata": {"managedFields": entries, "name": "a"}, **members}
    value = orjson.dumps(obj)
    for _ in range(2):  # the second time sets are remembered
        read = _stored.loads(value)
        assert read == obj
        assert _stored.dumps(read) == value
        assert encode(read, "K", "v1") == value

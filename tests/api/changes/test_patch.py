import copy
from collections.abc import Callable
from typing import Any

import jsonpatch
import orjson
import pytest
from complexity import assert_linear, seconds
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.api.changes import patch

LIVE = {"data": {"a": "1", "b": None}, "list": ["x", "y"], "deep": {"m": {"n": 1}}}


def apply(operations: Any, live: Any = LIVE, strict: bool = True) -> Any:
    return patch.apply_json_patch(live, orjson.dumps(operations), strict)[0]


def test_every_operation() -> None:
    out = apply(
        [
            {"op": "test", "path": "/data/a", "value": "1"},
            {"op": "add", "path": "/data/c", "value": {"d": []}},
            {"op": "add", "path": "/data/c/d/-", "value": 1},
            {"op": "add", "path": "/list/0", "value": "w"},
            {"op": "replace", "path": "/list/1", "value": "X"},
            {"op": "copy", "from": "/deep/m", "path": "/deep/o"},
            {"op": "replace", "path": "/deep/o/n", "value": 2},
            {"op": "move", "from": "/data/a", "path": "/data/e~1f~0"},
            {"op": "remove", "path": "/data/b"},
        ]
    )
    assert out == {
        "data": {"c": {"d": [1]}, "e/f~": "1"},
        "list": ["w", "X", "y"],
        "deep": {"m": {"n": 1}, "o": {"n": 2}},
    }
    assert LIVE["list"] == ["x", "y"]


def test_what_upstream_lets_pass() -> None:
    assert apply([{"op": "replace", "path": "/data/new", "value": 1}])["data"]["new"] == 1
    assert apply([{"op": "copy", "from": "/data/none", "path": "/data/a"}])["data"]["a"] is None
    assert apply([{"op": "add", "path": "/data/a"}])["data"]["a"] is None
    assert apply([{"op": "add", "path": "ignored/k", "value": 1}])["k"] == 1
    assert apply([{"op": "remove", "path": "/list/-1"}])["list"] == ["x"]
    assert apply([{"op": "remove", "path": "/list/01"}])["list"] == ["x"]
    assert apply([{"op": "add", "path": "/list/-1", "value": "z"}])["list"] == ["x", "y", "z"]
    assert apply([{"op": "test", "path": "/data/none", "value": None}]) == LIVE
    assert apply([{"op": "replace", "path": "", "value": {"k": 1}}]) == {"k": 1}
    assert patch.apply_json_patch(LIVE, b"null")[0] == LIVE


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "frobnicate", "path": "/data"},
        {"path": "/data"},
        {"op": "add", "value": 1},
        {"op": "remove", "path": "/data/none"},
        {"op": "remove", "path": ""},
        {"op": "add", "path": "", "value": {}},
        {"op": "add", "path": "/none/x", "value": 1},
        {"op": "add", "path": "/data/b/x", "value": 1},
        {"op": "add", "path": "/data/a/x", "value": 1},
        {"op": "add", "path": "/list/3", "value": 1},
        {"op": "remove", "path": "/list/x"},
        {"op": "replace", "path": "/list/2", "value": 1},
        {"op": "replace", "path": "", "value": 1},
        {"op": "move", "from": "/data/none", "path": "/x"},
        {"op": "move", "from": "/deep", "path": "/deep/m"},
        {"op": "copy", "path": "/x"},
        {"op": "test", "path": "/data/a", "value": 1},
        {"op": "test", "path": "/data/a"},
        {"op": "test", "path": "/deep/m/n", "value": 1.0},
        None,
    ],
)
def test_what_does_not_apply(operation: dict[str, Any] | None) -> None:
    with pytest.raises(errors.Unprocessable) as caught:
        apply([operation])
    assert caught.value.message == "the server rejected our request due to an error in our request"
    assert caught.value.details == {}


GO = "json: cannot unmarshal"


@pytest.mark.parametrize(
    ("body", "strict", "message"),
    [
        (
            b"{}",
            True,
            f"error decoding patch: {GO} object into Go value of type []handlers.jsonPatchOp",
        ),
        (b"{}", False, f"{GO} object into Go value of type jsonpatch.Patch"),
        (
            b"[1]",
            True,
            f"error decoding patch: {GO} number into Go value of type handlers.jsonPatchOp",
        ),
        (
            b'[{"op":true}]',
            True,
            f"error decoding patch: {GO} bool into Go struct field jsonPatchOp.op of type string",
        ),
        (b"[", True, "error decoding patch: unexpected end of JSON input"),
        (b"[", False, "unexpected end of JSON input"),
    ],
)
def test_json_patches_that_do_not_decode(body: bytes, strict: bool, message: str) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        patch.apply_json_patch(LIVE, body, strict)
    assert caught.value.message == message


def test_complaints_about_a_json_patch() -> None:
    body = b'[{"op":"add","path":"/x","value":{"a":1,"a":2},"note":1},{"op":"test","op":"add","path":"/y"}]'
    assert patch.apply_json_patch({}, body)[1] == [
        'json patch duplicate field "[0].value.a"',
        'json patch unknown field "[0].note"',
        'json patch duplicate field "[1].op"',
    ]
    assert patch.apply_json_patch({}, body, strict=False)[1] == []


def test_limits() -> None:
    with pytest.raises(errors.RequestEntityTooLarge, match="is 10000, got 10001"):
        apply([{"op": "test", "path": "/x"}] * 10001)
    big = {"a": "x" * 1_000_000}
    copies = [{"op": "copy", "from": "/a", "path": f"/b{i}"} for i in range(4)]
    assert len(apply(copies[:3], big)) == 4
    with pytest.raises(errors.Unprocessable):
        apply(copies, big)


@pytest.mark.parametrize(
    ("live", "change", "out"),
    [
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": {"b": 1}}, {"a": {"b": None, "x": None}}, {"a": {}}),
        ({"a": [1]}, {"a": [{"b": None}, None]}, {"a": [{}, None]}),
        ({"a": {"b": 1}}, {"a": [{"b": None}]}, {"a": [{"b": None}]}),
        ({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": 1}, {}, {"a": 1}),
    ],
)
def test_merge_patches(live: dict[str, Any], change: dict[str, Any], out: dict[str, Any]) -> None:
    before = copy.deepcopy(live)
    assert patch.apply_merge_patch(live, orjson.dumps(change))[0] == out
    assert live == before


@pytest.mark.parametrize(
    ("body", "strict", "message"),
    [
        (
            b"[]",
            True,
            f"error decoding patch: {GO} array into Go value of type map[string]interface {{}}",
        ),
        (b"null", True, "Invalid JSON Patch"),
        (b'"x"', False, "Invalid JSON Patch"),
        (b"", True, "error decoding patch: unexpected end of JSON input"),
        (b"{", False, "Invalid JSON Patch"),
    ],
)
def test_merge_patches_that_do_not_decode(body: bytes, strict: bool, message: str) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        patch.apply_merge_patch({}, body, strict)
    assert caught.value.message == message


def test_repeated_members_of_a_merge_patch() -> None:
    body = b'{"a":{"b":1,"b":2},"c":[{"d":1,"d":1}],"a":{"b":1,"b":3}}'
    out, notes = patch.apply_merge_patch({}, body)
    assert out == {"a": {"b": 3}, "c": [{"d": 1}]}
    assert notes == ['duplicate field "a.b"', 'duplicate field "c[0].d"', 'duplicate field "a"']


def test_members_come_out_in_order() -> None:
    live = {"b": {"y": 1}, "a": 1}
    assert list(patch.apply_merge_patch(live, b'{"aa":{"d":1,"c":2}}')[0]) == ["a", "aa", "b"]
    out = apply([{"op": "add", "path": "/b/x", "value": {"d": 1, "c": 2}}], live)
    assert orjson.dumps(out) == b'{"a":1,"b":{"x":{"d":1,"c":2},"y":1}}'


JSON = st.recursive(
    st.one_of(st.booleans(), st.integers(-3, 3), st.text("ab~/", max_size=3)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab~/", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text("ab", min_size=1, max_size=2), JSON, max_size=3)


@settings(max_examples=50 * SCALE)
@given(DOCUMENTS, DOCUMENTS)
def test_patches_made_by_the_jsonpatch_library(a: Any, b: Any) -> None:
    operations = jsonpatch.make_patch(a, b).patch
    assert apply(operations, a, strict=False) == jsonpatch.apply_patch(a, operations)
    assert patch.equal(apply(operations, a), b) or a == b


def merge_patch(a: Any, b: Any) -> Any:
    out = {name: None for name in a if name not in b}
    for name, value in b.items():
        if isinstance(value, dict) and isinstance(a.get(name), dict):
            out[name] = merge_patch(a[name], value)
        elif a.get(name) != value or name not in a:
            out[name] = value
    return out


@settings(max_examples=50 * SCALE)
@given(DOCUMENTS, DOCUMENTS)
def test_merge_patches_lead_from_one_document_to_the_other(a: Any, b: Any) -> None:
    assert patch.apply_merge_patch(a, orjson.dumps(merge_patch(a, b)))[0] == b


def rejected(operations: Any, live: Any = LIVE) -> None:
    with pytest.raises(errors.Unprocessable):
        apply(operations, live)


def test_items_of_lists_are_moved_by_so_many_places() -> None:
    times = 200
    long = [0] * (2 * patch.MAX_MOVED // times)
    for operation in (
        {"op": "add", "path": "/list/0", "value": 1},
        {"op": "remove", "path": "/list/0"},
        {"op": "move", "from": "/list/0", "path": f"/list/{len(long) - 1}"},
    ):
        assert len(apply([operation] * 5, {"list": list(range(len(long)))})["list"]) - len(long) in (5, -5, 0)
        with pytest.raises(errors.RequestEntityTooLarge, match=f"by no more than {patch.MAX_MOVED} places"):
            apply([operation] * times, {"list": long})
    at_the_end = {"op": "add", "path": "/list/-", "value": 1}
    assert len(apply([at_the_end] * times, {"list": long})["list"]) == len(long) + times


def test_what_becomes_too_deep_is_rejected() -> None:
    """One object is moved into the next: short operations that nest without end."""
    live: dict[Any, Any] = {f"k{i}": {} for i in range(3000)}
    rejected([{"op": "move", "from": f"/k{i}", "path": f"/k{i + 1}/x"} for i in range(2999)], live)
    rejected(
        [{"op": "move", "from": f"/k{i}", "path": f"/k{i + 1}/x"} for i in range(2000)]
        + [{"op": "copy", "from": "/k2000", "path": "/y"}],
        live,
    )
    deep = apply([{"op": "move", "from": f"/k{i}", "path": f"/k{i + 1}/x"} for i in range(100)], live)
    assert "x" in deep["k100"]


def test_complaints_end() -> None:
    repeated = (
        b'{"' + b"k" * 2000 + b'": {' + b",".join(b'"a": 1, "a": 2, "b%d": 1' % i for i in range(500)) + b"}}"
    )
    notes = patch.decode_object(repeated)[1]
    assert notes == [f'duplicate field "{"k" * 2000}.a"']
    repeated = b"[" + b",".join(b'{"op": "test", "x%d": 1}' % i for i in range(500)) + b"]"
    with pytest.raises(errors.Unprocessable):
        patch.apply_json_patch({}, repeated)
    notes = patch.decode_object(
        b'{"' + b"k" * 2000 + b'": {' + b",".join(b'"a%d": 1, "a%d": 2' % (i, i) for i in range(500)) + b"}}"
    )[1]
    assert 20 < len(notes) < 40


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b'{"' + b"k" * n + b'": {' + b",".join(b'"a": 1' for i in range(n)) + b"}}",
        lambda n: b'{"data": {' + b",".join(b'"a%d": 1, "a%d": 2' % (i, i) for i in range(n)) + b"}}",
        lambda n: b'{"list": [' + b",".join(b"null" for i in range(n)) + b'], "a": 1, "a": 2}',
    ],
    ids=["long path", "repeated", "list"],
)
def test_merge_patches_take_linear_time(make: Callable[..., Any]) -> None:
    assert_linear(lambda body: patch.apply_merge_patch(LIVE, body), make, 500)


def test_operations_take_linear_time() -> None:
    def make(n: Any) -> list[Any]:
        return [
            operation
            for i in range(n)
            for operation in (
                {"op": "add", "path": f"/data/k{i}", "value": 1},
                {"op": "test", "path": f"/data/k{i}", "value": 1},
                {"op": "move", "from": f"/data/k{i}", "path": f"/deep/m/k{i}"},
            )
        ]

    assert seconds(apply, make, 3000) < 30 * seconds(apply, make, 300)

import contextlib
import copy
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from complexity import assert_linear
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.api.changes import patch, strategic
from pilothouse.api.types import schema
from pilothouse.api.types.schema import Field, Type

TEXT = Type("string")
INT = Type("int32")
TEXTS = Type("list", items=TEXT)
ENV = Type("struct", "Env", {"name": Field("name", TEXT), "value": Field("value", TEXT)})
CONTAINER = Type("struct", "Container")
CONTAINER.fields.update(
    name=Field("name", TEXT),
    image=Field("image", TEXT),
    args=Field("args", TEXTS),
    env=Field("env", Type("list", items=ENV), patch_strategy="merge", patch_merge_key="name"),
)
STRATEGY = Type("struct", "Strategy", {"type": Field("type", TEXT), "max": Field("max", INT)})
ROOT = Type(
    "struct",
    "Root",
    {
        "containers": Field(
            "containers", Type("list", items=CONTAINER), patch_strategy="merge", patch_merge_key="name"
        ),
        "finalizers": Field("finalizers", TEXTS, patch_strategy="merge"),
        "tolerations": Field("tolerations", Type("list", items=ENV)),
        "strategy": Field("strategy", STRATEGY, patch_strategy="retainKeys"),
        "whole": Field("whole", STRATEGY, patch_strategy="replace"),
        "labels": Field("labels", Type("map", items=TEXT)),
        "maps": Field("maps", Type("map", items=Type("map", items=TEXT))),
        "count": Field("count", INT),
    },
)


def apply(live: Any, change: Any) -> Any:
    before = copy.deepcopy(live)
    out = strategic.apply_patch(live, orjson.dumps(change), ROOT)[0]
    assert live == before
    return out


def named(*names: Any) -> list[Any]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize(
    ("live", "change", "out"),
    [
        ({"count": 1}, {"count": 2}, {"count": 2}),
        ({"labels": {"a": "1"}}, {"labels": {"a": None, "b": "2", "c": None}}, {"labels": {"b": "2"}}),
        ({}, {"labels": {"a": None, "b": "2"}}, {"labels": {"b": "2"}}),
        ({"labels": {"a": "1"}}, {"labels": {"$patch": "replace", "b": "2"}}, {"labels": {"b": "2"}}),
        ({"labels": {"a": "1"}}, {"labels": {"$patch": "delete"}}, {"labels": {}}),
        ({}, {"labels": {"$patch": "delete"}}, {}),
        ({"whole": {"type": "a", "max": 1}}, {"whole": {"type": "b"}}, {"whole": {"type": "b"}}),
        ({"finalizers": ["a", "b"]}, {"finalizers": ["c", "a"]}, {"finalizers": ["c", "a", "b"]}),
        (
            {"finalizers": ["a", "b"]},
            {"$deleteFromPrimitiveList/finalizers": ["b", "x"]},
            {"finalizers": ["a"]},
        ),
        (
            {"finalizers": ["c", "a"]},
            {
                "$setElementOrder/finalizers": ["d", "c"],
                "$deleteFromPrimitiveList/finalizers": ["a"],
                "finalizers": ["d"],
            },
            {"finalizers": ["d", "c"]},
        ),
        ({"tolerations": named("a")}, {"tolerations": named("b")}, {"tolerations": named("b")}),
        ({"containers": named("a", "b")}, {"containers": named("c")}, {"containers": named("c", "a", "b")}),
        (
            {"containers": [{"name": "a", "image": "1", "args": ["x"]}]},
            {"containers": [{"name": "a", "image": "2", "args": None}]},
            {"containers": [{"name": "a", "image": "2"}]},
        ),
        (
            {"containers": named("a", "b")},
            {"containers": [{"name": "a", "$patch": "delete"}]},
            {"containers": named("b")},
        ),
        (
            {"containers": named("a", "b")},
            {"containers": [{"$patch": "replace"}, {"name": "c"}]},
            {"containers": named("c")},
        ),
        (
            {"containers": named("a", "b", "c")},
            {"$setElementOrder/containers": named("c", "b", "a")},
            {"containers": named("c", "b", "a")},
        ),
        (
            {"containers": named("a", "server", "b")},
            {"$setElementOrder/containers": named("b", "a", "new"), "containers": named("new")},
            {"containers": named("server", "b", "a", "new")},
        ),
        ({}, {"containers": [{"name": "a", "$patch": "delete"}, {"name": "b"}]}, {"containers": named("b")}),
        (
            {"strategy": {"type": "a", "max": 1}},
            {"strategy": {"$retainKeys": ["type"], "type": "b"}},
            {"strategy": {"type": "b"}},
        ),
        ({"count": 1}, {"count": 2.0}, {"count": 2.0}),
    ],
)
def test_patches(live: dict[str, Any], change: dict[str, Any], out: dict[str, Any]) -> None:
    assert apply(live, change) == out


@pytest.mark.parametrize(
    ("live", "change", "kind", "message"),
    [
        (
            {"labels": {}},
            {"labels": {"$patch": "x"}},
            errors.Unknown,
            "unknown patch type: x in map: map[$patch:x]",
        ),
        (
            {"labels": {}},
            {"labels": {"$patch": 1}},
            errors.Unknown,
            "unknown patch type: %!s(int64=1) in map: map[$patch:1]",
        ),
        (
            {"containers": named("a")},
            {"containers": [{"image": "x"}]},
            errors.Unknown,
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (
            {"containers": named("a")},
            {"containers": ["x"]},
            errors.Unknown,
            "list element types are not identical: [[map[name:a]] [x]]",
        ),
        ({"containers": named("a")}, {"$setElementOrder/x": []}, errors.Unknown, None),
        (
            {"labels": {}},
            {"labels": {"$retainKeys": "x"}},
            errors.BadRequest,
            "invalid patch format of retainKeys",
        ),
        (
            {"strategy": {}},
            {"strategy": {"$retainKeys": ["type"], "max": 1}},
            errors.BadRequest,
            "invalid patch format of retainKeys",
        ),
        (
            {"containers": named("a")},
            {"$setElementOrder/containers": named("a"), "containers": named("b")},
            errors.Unknown,
            "The order in patch list:\n[map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n",
        ),
        (
            {"maps": {"a": {"b": "c"}}},
            {"maps": {"a": {"b": "d"}}},
            errors.Unknown,
            "merging an object in json but data type is not struct, instead is: map",
        ),
        ({"containers": []}, {"containers": [None]}, errors.InternalError, patch.PANIC),
        ({"containers": []}, {"containers": [[]]}, errors.Unprocessable, "lists of lists are not supported"),
        ({}, {"$deleteFromPrimitiveListx": []}, errors.BadRequest, "invalid patch format of primitive list"),
    ],
)
def test_bad_patches(live: dict[str, Any], change: dict[str, Any], kind: Any, message: Any) -> None:
    with pytest.raises(kind) as caught:
        apply(live, change)
    assert message is None or caught.value.message == message


def test_patches_that_do_not_decode() -> None:
    with pytest.raises(errors.BadRequest, match=r"^unexpected end of JSON input$"):
        strategic.apply_patch({}, b"{", ROOT)
    out, notes = strategic.apply_patch({}, b'{"count":1,"count":2}', ROOT)
    assert (out, notes) == ({"count": 2}, ['duplicate field "count"'])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"strategy": "text"}, "cannot restore struct from: string"),
        ({"strategy": []}, "cannot restore struct from: slice"),
        ({"containers": {"name": "a"}}, "cannot restore slice from map"),
        ({"labels": "x"}, "cannot restore map from string"),
        ({"labels": {"a": 1}}, "cannot convert int64 to string"),
        ({"count": "1"}, "unrecognized type: int32"),
        ({"count": 1.5}, "cannot convert float64 to int32"),
    ],
)
def test_outcomes_of_no_type(change: dict[str, Any], why: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        apply({"count": 1}, change)
    assert caught.value.message.endswith(f'": {why}')
    assert caught.value.message.startswith(' "" is invalid: patch: Invalid value: "map[')


def diff(a: Any, b: Any, type: Any) -> Any:
    """A patch that makes `b` of `a`, as kubectl would write it."""
    out: dict[str, Any] = {}
    for name in a.keys() - b.keys():
        out[name] = None
    for name, value in b.items():
        field = type.fields.get(name)
        before = a.get(name)
        if before == value and name in a:
            continue
        if isinstance(value, list) and field and field.patch_strategy == "merge" and before and value:
            out.update(diff_lists(name, before, value, field))
        elif (
            isinstance(value, dict)
            and isinstance(before, dict)
            and field
            and field.patch_strategy != "replace"
        ):
            inner = field.type
            out[name] = diff(before, value, inner)
        else:
            out[name] = (
                value if not isinstance(value, dict) or name not in a else {"$patch": "replace", **value}
            )
            if field and field.patch_strategy == "replace":
                out[name] = value
            if isinstance(value, list) and field and field.patch_strategy == "merge" and before and not value:
                out[name] = None
    return out


def diff_lists(name: str, before: Any, after: Any, field: Any) -> Any:
    key = field.patch_merge_key
    out = {}
    if not key:
        out[f"$setElementOrder/{name}"] = after
        if gone := [item for item in before if item not in after]:
            out[f"$deleteFromPrimitiveList/{name}"] = gone
        if new := [item for item in after if item not in before]:
            out[name] = new
        return out
    old = {item[key]: item for item in before}
    changes = []
    for item in after:
        if item[key] not in old:
            changes.append(item)
        elif item != old[item[key]]:
            changes.append({**diff(old[item[key]], item, field.type.items), key: item[key]})
    kept = {item[key] for item in after}
    changes += [{key: item[key], "$patch": "delete"} for item in before if item[key] not in kept]
    out[f"$setElementOrder/{name}"] = [{key: item[key]} for item in after]
    if changes:
        out[name] = changes
    return out


NAMES = st.sampled_from(["a", "b", "c"])


def keyed(element: Any) -> Any:
    return st.lists(element, min_size=1, max_size=3, unique_by=lambda item: item["name"])


ENVS = keyed(st.fixed_dictionaries({"name": NAMES}, optional={"value": NAMES}))
CONTAINERS = keyed(
    st.fixed_dictionaries(
        {"name": NAMES},
        optional={"image": NAMES, "args": st.lists(NAMES, min_size=1, max_size=2), "env": ENVS},
    )
)
ROOTS = st.fixed_dictionaries(
    {},
    optional={
        "containers": CONTAINERS,
        "finalizers": st.lists(NAMES, min_size=1, max_size=3, unique=True),
        "tolerations": ENVS,
        "whole": st.fixed_dictionaries({"type": NAMES}),
        "labels": st.dictionaries(NAMES, NAMES, min_size=1, max_size=2),
        "count": st.integers(0, 3),
    },
)


@settings(max_examples=75 * SCALE)
@given(ROOTS, ROOTS)
def test_a_diff_leads_from_one_object_to_the_other(a: Any, b: Any) -> None:
    change = diff(a, b, ROOT)
    assert apply(a, change) == b
    assert strategic.apply(b, {}, ROOT) == b


def merged_one_by_one(live: Any, change: Any) -> Any:
    """The result of a patch of env, item by item, with a search of the whole list for each."""
    kept = list(live)
    for item in change:
        if item.get("$patch") == "delete":
            kept = [one for one in kept if one["name"] != item["name"]]
    for item in (one for one in change if "$patch" not in one):
        at = next((i for i, one in enumerate(kept) if one.get("name") == item["name"]), -1)
        if at < 0:
            kept.append(item)
        else:
            kept[at] = {**kept[at], **item}
    return kept


ITEMS = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abcd"), "value": st.sampled_from("xyz")}), max_size=8
)
CHANGES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"name": st.sampled_from("abcde")}, optional={"value": st.sampled_from("uvw")}),
        st.fixed_dictionaries({"name": st.sampled_from("abcde"), "$patch": st.just("delete")}),
    ),
    max_size=8,
)


@given(live=ITEMS, change=CHANGES)
@settings(max_examples=100 * SCALE)
def test_items_are_found_as_a_search_would_find_them(live: Any, change: Any) -> None:
    """Repeated names too: the first one counts."""
    if not live and not change:
        return
    out = apply({"containers": [{"name": "c", "env": live}]}, {"containers": [{"name": "c", "env": change}]})
    wanted = merged_one_by_one(live, change)
    assert sorted(map(str, out["containers"][0].get("env", []))) == sorted(map(str, wanted))


@given(names=st.lists(st.sampled_from("abcdef"), min_size=1, unique=True), at=st.integers(0, 5))
def test_one_item_of_a_patch_stays_where_it_is(names: list[str], at: int) -> None:
    """The result equals that of a $setElementOrder with the old order."""
    live = {"containers": [{"name": "c", "env": [{"name": name, "value": "old"} for name in names]}]}
    change = {"name": names[at % len(names)], "value": "new"}
    order = {"$setElementOrder/env": named(*names)}
    short, long = (
        apply(live, {"containers": [{"name": "c", "env": [change], **more}]}) for more in ({}, order)
    )
    assert short == long
    assert [one["name"] for one in short["containers"][0]["env"]] == names


def big(n: Any) -> list[Any]:
    return [{"name": f"e{i}", "value": "x"} for i in range(n)]


@pytest.mark.parametrize(
    "change",
    [
        lambda items: items,
        lambda items: [{"name": item["name"], "$patch": "delete"} for item in items],
        lambda items: items[::-1],
        lambda items: [items[0] for _ in items],
    ],
    ids=["merged", "deleted", "turned", "repeated"],
)
def test_lists_are_merged_in_linear_time(change: Callable[..., Any]) -> None:
    def make(n: Any) -> tuple[dict[str, Any], Any]:
        items = big(n)
        patch = {"containers": [{"name": "c", "env": change(items)}]}
        return {"containers": [{"name": "c", "env": items}]}, orjson.dumps(patch)

    assert_linear(merged, make, 1000)


def merged(given: tuple[dict[str, Any], Any]) -> object:
    return strategic.apply_patch(*given, ROOT)


def test_orders_and_lists_of_texts_are_merged_in_linear_time() -> None:
    def make(n: Any) -> tuple[dict[str, Any], Any]:
        texts = [f"t{i}" for i in range(n)]
        patch = {
            "$setElementOrder/finalizers": texts[::-1] + texts[:1],
            "finalizers": texts[:1],
            "containers": [{"name": "c", "$setElementOrder/env": [{"name": one} for one in texts]}],
        }
        return {"finalizers": texts, "containers": [{"name": "c", "env": big(n)}]}, orjson.dumps(patch)

    assert_linear(merged, make, 1000)

    def remove(n: Any) -> tuple[dict[str, Any], Any]:
        texts = [f"t{i}" for i in range(n)]
        return {"finalizers": texts}, orjson.dumps({"$deleteFromPrimitiveList/finalizers": texts})

    assert_linear(merged, remove, 1000)


def test_an_order_of_other_things_than_the_items_is_refused() -> None:
    patch = {"finalizers": ["a", "b"], "$setElementOrder/finalizers": [{"name": "a"}]}
    with pytest.raises(errors.Unknown, match="doesn't match"):
        strategic.apply_patch({}, orjson.dumps(patch), ROOT)


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"data": [], "binaryData": "x"}, "cannot restore map from slice"),
        ({"binaryData": {"a": 1}}, "cannot restore slice from int64"),
        ({"binaryData": {"a": [1, {}]}}, "unrecognized type: uint8"),
        ({"binaryData": {"a": [1, True]}}, "unrecognized type: uint8"),
        ({"binaryData": {"a": [2.0, None, 1.5]}}, "cannot convert float64 to uint8"),
        ({"binaryData": {"a": "?"}}, "error decoding from json: illegal base64 data at input byte 0"),
        (
            {"metadata": {"deletionTimestamp": "x", "labels": "x"}},
            'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"',
        ),
        (
            {"metadata": {"deletionTimestamp": 1, "labels": "x"}},
            "json: cannot unmarshal number into Go value of type string",
        ),
    ],
)
def test_the_first_fault_in_gos_order_is_told(patch: Any, why: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        strategic.apply_patch({}, orjson.dumps(patch), schema.for_kind("", "v1", "ConfigMap"))
    assert refused.value.details is not None
    assert refused.value.details["causes"][0]["message"].endswith(f": {why}")


@pytest.mark.parametrize("given", [1.5, 2**70, "1"])
def test_quantities_may_be_numbers(given: Any) -> None:
    patch = (
        orjson.dumps({"spec": {"hard": {"pods": given}}})
        if given != 2**70
        else b'{"spec":{"hard":{"pods":%d}}}' % given
    )
    made, _ = strategic.apply_patch({}, patch, schema.for_kind("", "v1", "ResourceQuota"))
    assert made["spec"]["hard"]["pods"] == given


MANY = 300_000
TURNED = 100_000
"""Members of lists in which none has its place: they take ten times as long as others."""

LARGE: dict[str, Callable[[], tuple[Any, Any]]] = {
    "map": lambda: (
        {"labels": {f"l{i}": "x" for i in range(MANY)}},
        {"labels": {f"l{i}": "y" for i in range(MANY)}},
    ),
    "texts": lambda: (
        {"finalizers": [f"f{i}" for i in range(TURNED)]},
        {"finalizers": [f"f{i}" for i in range(TURNED, 0, -1)]},
    ),
    "items": lambda: ({"containers": named(*range(TURNED))}, {"containers": named(*range(TURNED, 0, -1))}),
    "replaced": lambda: ({"tolerations": named(*range(MANY))}, {"tolerations": named(*range(MANY))}),
}


@pytest.mark.slow
@pytest.mark.parametrize("made", LARGE)
def test_a_large_merge_lets_other_threads_run(made: str) -> None:
    """A thread that becomes ready when the merge begins has run long before it ends."""
    live, change = LARGE[made]()
    merging, ran_at = threading.Event(), []

    def run() -> None:
        merging.wait()
        ran_at.append(time.perf_counter())

    thread = threading.Thread(target=run)
    thread.start()
    begun = time.perf_counter()
    merging.set()
    merged = strategic.apply(live, change, ROOT)
    with contextlib.suppress(ValueError):
        strategic.check_shape(merged, ROOT, live)
    took = time.perf_counter() - begun
    thread.join()
    assert ran_at[0] - begun < took / 2

import itertools
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from complexity import assert_linear
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.changes import _fieldset as fieldset
from pilothouse.api.types.schema import Field, Type

CACHED = 40.0
"""See assert_linear: the large value does not fit into the processor's cache."""
TEXT = Type("string")
ITEM = Type("struct", "Item", {"name": Field("name", TEXT), "value": Field("value", TEXT)})
PORT = Type(
    "struct",
    "Port",
    {
        "port": Field("port", Type("int32")),
        "protocol": Field("protocol", TEXT, default="TCP"),
        "name": Field("name", TEXT),
    },
)
ROOT = Type(
    "struct",
    "Root",
    {
        "text": Field("text", TEXT),
        "number": Field("number", Type("int32")),
        "flag": Field("flag", Type("bool")),
        "labels": Field("labels", Type("map", items=TEXT)),
        "items": Field("items", Type("list", items=ITEM, list_type="map", list_keys=("name",))),
        "ports": Field("ports", Type("list", items=PORT, list_type="map", list_keys=("port", "protocol"))),
        "names": Field("names", Type("list", items=TEXT, list_type="set")),
        "whole": Field("whole", Type("list", items=TEXT)),
        "selector": Field("selector", Type("map", items=TEXT, map_type="atomic")),
        "inner": Field("inner", ITEM, pointer=True),
        "free": Field("free", Type("any")),
        "merged": Field(
            "merged", Type("list", items=ITEM), patch_strategy="merge,retainKeys", patch_merge_key="name"
        ),
    },
)


def test_set_of_an_object() -> None:
    value = {
        "text": "x",
        "labels": {"a": "1"},
        "items": [{"name": "n", "value": "v"}],
        "ports": [{"port": 80}, {"port": 81, "protocol": "UDP"}],
        "names": ["b", "<a>"],
        "whole": ["y"],
        "selector": {"a": "b"},
        "inner": {},
        "free": {"a": [1], "b": {"c": 1}},
        "merged": [{"name": "m"}],
    }
    assert fieldset.from_object(ROOT, value) == {
        "f:text": {},
        "f:labels": {"f:a": {}},
        "f:items": {'k:{"name":"n"}': {".": {}, "f:name": {}, "f:value": {}}},
        "f:ports": {
            'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}},
            'k:{"port":81,"protocol":"UDP"}': {".": {}, "f:port": {}, "f:protocol": {}},
        },
        "f:names": {'v:"b"': {}, 'v:"\\u003ca\\u003e"': {}},
        "f:whole": {},
        "f:selector": {},
        "f:inner": {},
        "f:free": {"f:a": {}, "f:b": {".": {}, "f:c": {}}},
        "f:merged": {'k:{"name":"m"}': {".": {}, "f:name": {}}},
    }


@pytest.mark.parametrize(
    ("old", "new", "added", "modified", "removed"),
    [
        ({"text": "a"}, {"text": "b"}, {}, {"f:text": {}}, {}),
        ({}, {"labels": {"a": "1"}}, {"f:labels": {".": {}, "f:a": {}}}, {}, {}),
        ({"labels": None}, {"labels": {"a": "1"}}, {"f:labels": {"f:a": {}}}, {}, {}),
        ({"labels": {"a": "1"}}, {}, {}, {}, {"f:labels": {".": {}, "f:a": {}}}),
        (
            {"items": [{"name": "a"}, {"name": "b"}]},
            {"items": [{"name": "b", "value": "x"}]},
            {"f:items": {'k:{"name":"b"}': {"f:value": {}}}},
            {},
            {"f:items": {'k:{"name":"a"}': {".": {}, "f:name": {}}}},
        ),
        ({"whole": ["a"]}, {"whole": ["b"]}, {}, {"f:whole": {}}, {}),
        ({"names": ["a"]}, {"names": ["b"]}, {"f:names": {'v:"b"': {}}}, {}, {"f:names": {'v:"a"': {}}}),
        ({"labels": {}}, {"labels": None}, {}, {"f:labels": {}}, {}),
        ({"free": 1}, {"free": {"a": 1}}, {"f:free": {"f:a": {}}}, {"f:free": {}}, {}),
        (
            {"items": [{"name": "a"}]},
            {"items": [{"name": "a"}, {"name": "a", "value": "x"}]},
            {"f:items": {'k:{"name":"a"}': {}}},
            {},
            {"f:items": {'k:{"name":"a"}': {".": {}, "f:name": {}}}},
        ),
    ],
)
def test_compare(
    old: dict[str, Any],
    new: dict[str, Any],
    added: dict[str, Any],
    modified: dict[str, Any],
    removed: dict[str, Any],
) -> None:
    got = fieldset.compare(ROOT, old, new)
    if "free" in old:
        assert got[0]["f:free"].keys() >= {"f:a"}
        return
    assert got == (added, modified, removed)


def test_a_number_is_no_truth_value() -> None:
    for old, new, element in [
        ({"free": {"a": 1}}, {"free": {"a": True}}, {"f:free": {"f:a": {}}}),
        ({"whole": [0]}, {"whole": [False]}, {"f:whole": {}}),
        ({"number": 1}, {"number": True}, {"f:number": {}}),
    ]:
        assert fieldset.compare(ROOT, old, new) == ({}, element, {})


def test_parts_are_written_in_one_form() -> None:
    assert fieldset.parse({'k:{"b": 1, "a": 2.0}': {}, "f:x": {".": {}}, "z:later": {}}) == {
        'k:{"a":2,"b":1}': {},
        "f:x": {},
    }
    assert fieldset.parse({"f:a": {"f:b": {}, ".": {"f:x": {}}}, "f:c": {".": 1}}) == {
        "f:a": {"f:b": {}, ".": {}},
        "f:c": {},
    }
    lone = fieldset.parse({'v:"\\udbffé"': {}, 'k:{"\\udc00":"\\ud83d\\ude00"}': {}})
    assert lone == {'v:"\ufffdé"': {}, 'k:{"\ufffd":"\U0001f600"}': {}}
    wrong: list[Any] = [{"x": {}}, {"fx": {}}, {"v:{": {}}, {"i:x": {}}, {"f:a": 1}, []]
    for bad in wrong:
        with pytest.raises(fieldset.FieldError):
            fieldset.parse(bad)


def test_order_is_upstreams() -> None:
    mixed: dict[str, Any] = {
        "i:10": {},
        "v:2": {},
        'v:"a"': {},
        "v:10": {},
        'k:{"n":2}': {},
        'k:{"n":10}': {},
        "f:b": {},
        "f:a": {},
    }
    assert list(fieldset.parse(mixed)) == [
        "f:a", "f:b", 'k:{"n":2}', 'k:{"n":10}', "v:2", "v:10", 'v:"a"', "i:10",
    ]  # fmt: skip


KEYS = st.sampled_from(["name", "names", "x"])
KEY_VALUES = st.text('a"!\\ ~é', max_size=3) | st.integers(0, 12)


@settings(deadline=None)
@given(st.lists(st.dictionaries(KEYS, KEY_VALUES, min_size=1, max_size=2), max_size=6))
def test_items_are_ordered_by_their_keys(keys: Any) -> None:
    elements = [fieldset.canonical_element(f"k:{json.dumps(key)}") for key in keys]
    for some in (elements, sorted(elements, key=fieldset.sort_key)):
        listed: dict[str, Any] = {key: {} for key in some}
        assert list(fieldset.parse(listed)) == sorted(listed, key=fieldset.sort_key)
    for one in elements:
        for other in elements:
            sorted_already = fieldset.parse({one: {}, other: {}})
            assert list(sorted_already) == sorted({one: {}, other: {}}, key=fieldset.sort_key)


@given(st.permutations(["inner", "text", "labels", "items"]))
def test_what_was_added_is_in_upstreams_order(names: list[str]) -> None:
    values: dict[str, Any] = {
        "inner": {"value": "", "name": "b"},
        "text": "",
        "labels": {"b": "", "a": ""},
        "items": [{"value": "", "name": "b"}, {"name": "c", "value": ""}],
    }
    within = Type("struct", "Within", {"root": Field("root", ROOT)})
    added = fieldset.compare(within, {}, {"root": {name: values[name] for name in names}})[0]
    assert fieldset.parse(added) is added
    item: dict[str, Any] = {".": {}, "f:name": {}, "f:value": {}}
    assert added["f:root"] == {
        ".": {},
        "f:inner": item,
        "f:items": {".": {}, 'k:{"name":"b"}': item, 'k:{"name":"c"}': item},
        "f:labels": {".": {}, "f:a": {}, "f:b": {}},
        "f:text": {},
    }
    assert list(added["f:root"]["f:inner"]) == [".", "f:name", "f:value"]


def test_paths_as_text() -> None:
    path = ("f:items", 'k:{"name":"a","port":80}', "f:names", 'v:"x"')
    assert fieldset.path_text(path) == '.items[name="a",port=80].names[="x"]'


def test_keys_that_are_no_scalars_as_text() -> None:
    path = ('k:{"name":{"a":[1,"x"]}}', "v:[true,null]", 'v:"a\\u0001"')
    assert fieldset.path_text(path) == '[name=a=[1,"x"]][=[true,null]][="a\\x01"]'


def test_parents_and_children_are_apart() -> None:
    parent: dict[str, Any] = {"f:a": {}}
    child: dict[str, Any] = {"f:a": {"f:b": {}}}
    both: dict[str, Any] = {"f:a": {".": {}, "f:b": {}}}
    assert fieldset.union(parent, child) == both
    assert fieldset.difference(parent, child) == parent
    assert fieldset.difference(child, parent) == child
    assert fieldset.difference(both, parent) == child
    assert fieldset.recursive_difference(both, parent) == {}
    assert fieldset.intersection(both, child) == child
    assert fieldset.has(both, ("f:a",))
    assert not fieldset.has(child, ("f:a",))
    assert fieldset.leaves(both) == child


def test_removal() -> None:
    value = {"items": [{"name": "a", "value": "x"}, {"name": "b"}], "labels": {"l": "1"}, "text": "t"}
    gone = {"f:items": {'k:{"name":"a"}': {"f:value": {}}, 'k:{"name":"b"}': {}}, "f:labels": {"f:l": {}}}
    assert fieldset.remove(ROOT, value, gone) == {"items": [{"name": "a"}], "labels": {}, "text": "t"}


def test_what_became_atomic_is_owned_as_a_whole() -> None:
    before: dict[str, Any] = {
        "f:selector": {".": {}, "f:a": {}},
        "f:whole": {"i:0": {}},
        "f:labels": {"f:a": {}},
    }
    assert fieldset.reconcile(ROOT, before) == {"f:selector": {}, "f:whole": {}, "f:labels": {"f:a": {}}}
    same: dict[str, Any] = {"f:labels": {"f:a": {}}}
    assert fieldset.reconcile(ROOT, same) is same


def test_what_became_atomic_is_found_in_a_type_that_contains_itself() -> None:
    tree = Type("struct", "Tree", {"one": Field("one", TEXT)})
    tree.fields["below"] = Field("below", tree)
    tree.fields["branches"] = Field("branches", Type("map", items=tree))
    tree.fields["selector"] = Field("selector", Type("map", items=TEXT, map_type="atomic"))
    before = nest("f:below", 2, {"f:branches": nest("f:a", 1, {"f:selector": {"f:x": {}}, "f:one": {}})})
    after = nest("f:below", 2, {"f:branches": nest("f:a", 1, {"f:selector": {}, "f:one": {}})})
    assert fieldset.reconcile(tree, before) == after
    assert fieldset.reconcile(tree, after) is after


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ({"number": "x"}, [".number: expected numeric (int or float), got string"]),
        ({"text": 1}, [".text: expected string, got &value.valueUnstructured{Value:1}"]),
        ({"flag": "yes"}, [".flag: expected boolean, got &{yes}"]),
        ({"labels": "x"}, [".labels: expected map, got &{x}"]),
        ({"labels": {"a": 1}}, [".labels.a: expected string, got &value.valueUnstructured{Value:1}"]),
        ({"whole": {"a": "b"}}, [".whole: expected list, got &{map[a:b]}"]),
        ({"nope": 1}, [".nope: field not declared in schema"]),
        ({"items": ["x"]}, [".items: element 0: associative list with keys may not have non-map elements"]),
        ({"items": [{"name": "a"}, {"name": "a"}]}, ['.items: duplicate entries for key [name="a"]']),
        ({"items": [{"name": "a", "x": 1}]}, ['.items[name="a"].x: field not declared in schema']),
        (
            {"names": [None]},
            [".names: element 0: associative list without keys has an element that's an explicit null"],
        ),
        ({"text": None, "free": {"a": [1, {"b": 2}]}}, []),
    ],
)
def test_validation(value: dict[str, Any], wrong: list[str]) -> None:
    assert fieldset.validate(ROOT, value) == wrong


def named(*names: Any) -> list[Any]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize(
    ("live", "config", "merged"),
    [
        (named("a", "b"), named("c"), named("a", "b", "c")),
        (named("a", "b", "c"), named("c", "a"), named("b", "c", "a")),
        (named("a", "x", "b"), named("b", "a"), named("x", "b", "a")),
        (named("a", "b"), named("n", "a", "b"), named("n", "a", "b")),
        (named("a", "b", "c"), named("a", "n", "c"), named("a", "b", "n", "c")),
    ],
)
def test_order_of_merged_items(live: Any, config: Any, merged: Any) -> None:
    got = fieldset.merge(ROOT, {"items": live}, {"items": config})["items"]
    assert sorted(got, key=str) == sorted(merged, key=str)
    wanted = [item for item in got if item in config]
    assert wanted == config


NAMES = st.sampled_from(["a", "b", "c"])
ITEMS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"value": NAMES}),
    max_size=3,
    unique_by=lambda i: i["name"],
)
ROOTS = st.fixed_dictionaries(
    {},
    optional={
        "text": NAMES,
        "labels": st.dictionaries(NAMES, NAMES, max_size=2),
        "items": ITEMS,
        "names": st.lists(NAMES, max_size=3, unique=True),
        "whole": st.lists(NAMES, max_size=2),
        "selector": st.dictionaries(NAMES, NAMES, max_size=2),
        "free": st.dictionaries(NAMES, NAMES, max_size=2),
    },
)
SETS = ROOTS.map(lambda value: fieldset.from_object(ROOT, value))


@settings(max_examples=50 * SCALE)
@given(SETS, SETS)
def test_sets_are_sets_of_paths(a: Any, b: Any) -> None:
    def members(fields: Any) -> Any:
        return set(fieldset.paths(fields))

    assert members(fieldset.union(a, b)) == members(a) | members(b)
    assert members(fieldset.difference(a, b)) == members(a) - members(b)
    assert members(fieldset.intersection(a, b)) == members(a) & members(b)
    assert fieldset.of(fieldset.paths(a)) == a
    assert fieldset.parse(fieldset.parse(a)) == a


@settings(max_examples=50 * SCALE)
@given(ROOTS, ROOTS)
def test_changes_are_the_changed_paths(a: Any, b: Any) -> None:
    added, modified, removed = fieldset.compare(ROOT, a, b)
    back = fieldset.compare(ROOT, b, a)
    assert (back[0], back[2]) == (removed, added)
    assert set(fieldset.paths(modified)) == set(fieldset.paths(back[1]))
    assert not fieldset.intersection(added, removed)
    if a == b:
        assert (added, modified, removed) == ({}, {}, {})


@settings(max_examples=50 * SCALE)
@given(ROOTS, ROOTS)
def test_merging_keeps_what_is_applied(live: Any, config: Any) -> None:
    merged = fieldset.merge(ROOT, live, config)
    added, modified, _ = fieldset.compare(ROOT, config, merged)
    changed = fieldset.intersection(fieldset.from_object(ROOT, config), fieldset.union(added, modified))
    empty = {f"f:{name}" for name, value in config.items() if not value}
    assert set(changed) <= empty
    assert fieldset.merge(ROOT, merged, config) == merged


SAMPLES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, "", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=25 * SCALE)
@given(SAMPLES, SAMPLES)
def test_same_tells_numbers_and_truths_apart(a: Any, b: Any) -> None:
    assert fieldset.same(a, b) == (json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True))
    assert fieldset.same({"a": [a]}, {"a": [json.loads(json.dumps(a))]})


ELEMENTS = st.sampled_from(
    ["f:a", "f:b", 'k:{"name":"x"}', 'k:{ "name": "y" }', 'v:"1"', "v:1.0", "i:3", "?:1"]
)
WRITTEN: Any = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(st.one_of(ELEMENTS, st.just(".")), inner, max_size=4).map(
        lambda one: {name: {} if name == "." else child for name, child in one.items()}
    ),
    max_leaves=12,
)


def read_again(written: Any) -> Any:
    """The form of a set, built anew from its JSON."""
    out = {}
    for name, inner in written.items():
        element = "." if name == "." else fieldset.canonical_element(name)
        if element:
            child = read_again(inner)
            out[element] = {} if set(child) == {"."} else child
    return out


@given(WRITTEN)
@settings(max_examples=150 * SCALE)
def test_sets_are_read_and_put_in_order_whatever_way_they_are_written(written: Any) -> None:
    wanted = {name: child for name, child in read_again(written).items() if name != "."}
    found = fieldset.parse(written)
    assert found == wanted
    in_order = fieldset.parse(found)
    assert in_order == wanted
    assert list(in_order) == sorted(wanted, key=fieldset.sort_key)
    for child in in_order.values():
        assert list(child)[:1] == ["."] or "." not in child
    assert fieldset.parse(in_order) is in_order


@given(st.lists(WRITTEN, max_size=5))
@settings(max_examples=100 * SCALE)
def test_a_union_of_many_is_that_of_one_after_the_other(sets: Any) -> None:
    sets = [fieldset.parse(one) for one in sets]
    wanted: dict[str, Any] = {}
    for one in sets:
        wanted = fieldset.union(wanted, one)
    assert fieldset.parse(fieldset.union_all(sets)) == fieldset.parse(wanted)


def nest(element: Any, depth: Any, inner: Any) -> Any:
    for _ in range(depth):
        inner = {element: inner}
    return inner


def test_depth_does_not_multiply() -> None:
    """Sets and values that are deep are gone through once, not once or twice for each level."""
    assert fieldset.parse(nest("f:a", 200, {'v: "x"': {}})) == nest("f:a", 200, {'v:"x"': {}})
    assert fieldset.parse(nest("f:a", 200, {"f:b": {}, "f:a": {}})) == nest(
        "f:a", 200, {"f:a": {}, "f:b": {}}
    )

    def make(depth: Any) -> tuple[Any, Any]:
        wide = {f"k{i}": {"n": i} for i in range(2000)}
        return nest("free", 1, nest("a", depth, {**wide, "z": 1})), nest(
            "free", 1, nest("a", depth, {**wide, "z": 2})
        )

    def compare(pair: Any) -> None:
        assert fieldset.compare(ROOT, *pair)[1] == nest(
            "f:free", 1, nest("f:a", len_of(pair[0]), {"f:z": {}})
        )

    def len_of(value: Any) -> Any:
        depth, value = 0, value["free"]
        while "a" in value:
            depth, value = depth + 1, value["a"]
        return depth

    compare(make(3))
    compare(make(20))
    compare(make(200))


SALT = itertools.count()
"""The next number that no value has had: its path elements are not remembered yet."""

MANY = [
    lambda n, new: {"items": [{"name": f"n{new}-{i}", "value": "v"} for i in range(n)]},
    lambda n, new: {"names": [f"n{new}-{i}" for i in range(n)]},
    lambda n, new: {"names": [f"same{new}"] * n},
    lambda n, new: {"ports": [{"port": new * 1_000_000 + i} for i in range(n)]},
    lambda n, new: {"labels": {f"l{new}-{i}": "v" for i in range(n)}},
    lambda n, new: {"free": {f"{new}".ljust(n, "x"): {f"l{new}-{i}": 1 for i in range(n)}}},
    lambda n, new: {"whole": [new] * n},
]


@pytest.mark.slow
@pytest.mark.parametrize("many", MANY, ids=range(len(MANY)))
def test_walks_take_linear_time(many: Any) -> None:
    def check(call: Callable[[Any], Any]) -> None:
        assert_linear(call, lambda n: many(n, next(SALT)), 500, CACHED, worth=0.001)

    check(lambda value: fieldset.validate(ROOT, value))
    if fieldset.validate(ROOT, many(3, next(SALT)), True):
        return
    check(lambda value: fieldset.from_object(ROOT, value))
    check(lambda value: fieldset.compare(ROOT, {}, value))
    check(lambda value: fieldset.merge(ROOT, value, value))
    check(lambda value: fieldset.remove(ROOT, value, fieldset.from_object(ROOT, value)))


def test_complaints_about_a_value_end() -> None:
    """Each complaint repeats the path, which may be long."""
    wrong = fieldset.validate(ROOT, {"items": [{"name": "x" * 1000, "value": i} for i in range(10_000)]})
    assert 60 <= len(wrong) <= 70
    assert wrong[1] == wrong[0].replace("Value:0}", "Value:1}") or "duplicate" in wrong[1]


@pytest.mark.parametrize(
    "element",
    ["v:1e999", "v:NaN", "v:" + "9" * 5000, "i:" + "9" * 5000, "v:" + "[" * 100_000, 'k:{"a":1e999}'],
)
def test_elements_that_python_cannot_hold_are_refused(element: str) -> None:
    with pytest.raises(fieldset.FieldError):
        fieldset.parse({element: {}})


def test_a_raw_extension_is_owned_as_a_whole() -> None:
    type = Type("struct", "Revision", {"data": Field("data", Type("any", "pkg.runtime.RawExtension"))})
    value = {"data": {"a": {"b": 1}}}
    assert fieldset.from_object(type, value) == {"f:data": {}}


def test_few_combinations_of_members_are_kept() -> None:
    """Any user chooses which members a struct has; all 2,000 would take 2.6 MB."""
    members = [f"member{i}" for i in range(16)]
    spec = Type("struct", "Spec", {name: Field(name, TEXT) for name in members})
    pod = Type("struct", "Pod", {"spec": Field("spec", spec)})

    def compare(first: int, end: int) -> None:
        for names in itertools.islice(itertools.combinations(members, 12), first, end):
            fieldset.compare(pod, {}, {"spec": dict.fromkeys(names, "x")})

    compare(0, 5)
    tracemalloc.start()
    try:
        compare(5, 1800)
        assert tracemalloc.get_traced_memory()[0] < 40_000
    finally:
        tracemalloc.stop()

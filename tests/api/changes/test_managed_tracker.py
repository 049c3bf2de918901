"""Ownership as the compiled code computes it, against the plain way: sets of paths."""

import copy
import json
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.api.changes import apply, managed
from pilothouse.api.changes._fieldset import canonical_element, sort_key
from pilothouse.api.types.schema import Field, Type

TEXT = Type("string")
MAP = Type("map", items=TEXT)
ATOMIC = Type("map", items=TEXT, map_type="atomic")
ITEM = Type(
    "struct",
    "Item",
    {"name": Field("name", TEXT), "value": Field("value", TEXT), "source": Field("source", ATOMIC)},
)
SPEC = Type(
    "struct",
    "Spec",
    {
        "text": Field("text", TEXT),
        "items": Field("items", Type("list", items=ITEM, list_type="map", list_keys=("name",))),
        "names": Field("names", Type("list", items=TEXT, list_type="set")),
        "whole": Field("whole", Type("list", items=TEXT)),
        "selector": Field("selector", ATOMIC),
        "labels": Field("labels", MAP),
    },
)
META = Type(
    "struct",
    "Meta",
    {"name": Field("name", TEXT), "uid": Field("uid", TEXT), "labels": Field("labels", MAP)}
    | {"managedFields": Field("managedFields", Type("any"))},
)
TYPE = Type(
    "struct",
    "Thing",
    {"apiVersion": Field("apiVersion", TEXT), "kind": Field("kind", TEXT)}
    | {"metadata": Field("metadata", META), "spec": Field("spec", SPEC), "status": Field("status", SPEC)},
)

# The plain way


def members(fields: Any, path: Any = ()) -> set[Any]:
    """The paths of a set."""
    out = set()
    for name, child in fields.items():
        if name != ".":
            if not child or "." in child:
                out.add((*path, name))
            out |= members(child, (*path, name))
    return out


def written(paths: Any) -> dict[str, Any]:
    """A set of paths as upstream writes it."""
    out: dict[str, Any] = {}
    for name in sorted({path[0] for path in paths}, key=sort_key):
        child = written({path[1:] for path in paths if path[0] == name and len(path) > 1})
        out[name] = {".": {}, **child} if child and (name,) in paths else child
    return out


def atomic(type: Any) -> bool:
    return type.map_type == "atomic" or (type.kind == "list" and not type.list_type)


def steps(type: Any, value: Any) -> list[tuple[str, Any, Any]]:
    """The path elements below a value, with their types and values."""
    if atomic(type) or type.kind == "string":
        return []
    if type.kind == "list" and type.list_type == "set":
        return [(canonical_element(f"v:{json.dumps(one)}"), TEXT, one) for one in value]
    if type.kind == "list":
        keys = [json.dumps({"name": one["name"]}) for one in value]
        return [
            (canonical_element(f"k:{key}"), type.items, one) for key, one in zip(keys, value, strict=True)
        ]
    if type.kind == "map":
        return [(f"f:{name}", type.items, one) for name, one in value.items()]
    return [(f"f:{name}", type.fields[name].type, one) for name, one in value.items()]


def flat(type: Any, value: Any, path: Any = ()) -> dict[Any, Any]:
    """The value at each path, None where there are paths below it."""
    out = {}
    for element, inner, one in steps(type, value):
        out[*path, element] = one if atomic(inner) or inner is TEXT else None
        out |= flat(inner, one, (*path, element))
    return out


def whole(path: Any, type: Any = TYPE) -> Any:
    """A path, cut at the first atomic value on its way."""
    for i, element in enumerate(path):
        if atomic(type):
            return path[:i]
        type = type.items if type.kind != "struct" else type.fields[element[2:]].type
    return path


def plain(live: Any, new: Any, sent: Any, subresource: str, reset: Any, manager: str, now: str) -> Any:
    """The managedFields after a write."""
    entries = {}
    for one in sent:
        if one["apiVersion"] != "v0":
            version = "" if one["operation"] == "Apply" else one["apiVersion"]
            key = (one.get("manager", ""), one["operation"], version, one.get("subresource", ""))
            entries[key] = {**one, "fieldsV1": {whole(path) for path in members(one["fieldsV1"])}}
    before, after = flat(TYPE, live), flat(TYPE, new)
    paths = {path for path in before.keys() | after.keys() if path[0] not in reset}
    changed = {path for path in paths if path in after and after[path] != before.get(path, 0)}
    removed = {path for path in paths if path not in after}
    for key, entry in list(entries.items()):
        entry["fieldsV1"] = entry["fieldsV1"] - changed - removed
        if not entry["fieldsV1"]:
            del entries[key]
    system = {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        ("f:metadata", "f:name"),
        ("f:metadata", "f:uid"),
    }
    if own := changed - system:
        key = (manager, "Update", "v1", subresource)
        kept = entries[key]["fieldsV1"] if key in entries else set()
        entries[key] = entry_of(*key, now, own | kept)
    listed = sorted(
        entries.values(),
        key=lambda one: [
            one.get(name, "") for name in ("operation", "time", "manager", "apiVersion", "subresource")
        ],
    )
    return [{**one, "fieldsV1": written(one["fieldsV1"])} for one in listed]


def entry_of(manager: str, operation: str, version: str, subresource: str, time: str, fields: Any) -> Any:
    out = {"manager": manager, "operation": operation, "apiVersion": version, "time": time}
    out |= {"fieldsType": "FieldsV1", "fieldsV1": fields}
    return out | {"subresource": subresource} if subresource else out


# Random writes

NAMES = st.sampled_from(["a", "b", "é", 'c"<'])
MAPS = st.dictionaries(NAMES, NAMES, max_size=3)
ITEMS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"value": NAMES, "source": MAPS}),
    max_size=3,
    unique_by=lambda one: str(one["name"]),
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "text": NAMES,
        "items": ITEMS,
        "names": st.lists(NAMES, max_size=3, unique=True),
        "whole": st.lists(NAMES, max_size=2),
        "selector": MAPS,
        "labels": MAPS,
    },
)
THINGS = st.builds(
    lambda spec, status, labels: {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {"name": "n", "uid": "u", "labels": labels},
        "spec": spec,
        "status": status,
    },
    SPECS,
    SPECS,
    MAPS,
)
BELOW_ATOMIC = [
    ("f:spec", "f:selector", "f:a"),
    ("f:spec", "f:whole", "i:0"),
    ("f:spec", "f:items", 'k:{"name":"a"}', "f:source", "f:b"),
]
MANAGERS = st.sampled_from(["m", "o"])
TIMES = st.sampled_from([f"2026-01-0{day}T00:00:00Z" for day in range(1, 5)])
SUBRESOURCES = st.sampled_from(["", "status"])


@st.composite
def entries(draw: Any) -> list[Any]:
    """Managed fields as a store has them: of each key one entry."""
    out = {}
    for _ in range(draw(st.integers(1, 4))):
        key = (
            draw(MANAGERS),
            draw(st.sampled_from(["Apply", "Update"])),
            draw(st.sampled_from(["v1", "v1", "v2", "v0"])),
            draw(SUBRESOURCES),
        )
        known = [*flat(TYPE, draw(THINGS)), *BELOW_ATOMIC]
        paths = draw(st.sets(st.sampled_from(known), min_size=1, max_size=12))
        out[key[0], key[1], "" if key[1] == "Apply" else key[2], key[3]] = entry_of(
            *key, draw(TIMES), written(paths)
        )
    return list(out.values())


def scrambled(value: Any) -> Any:
    """The same set in another form."""
    if not isinstance(value, dict):
        return value
    return {name.replace("k:{", "k:{ "): scrambled(one) for name, one in reversed(value.items())}


def as_sent(how: str, listed: Any) -> Any:
    if how == "scrambled":
        return [{**one, "fieldsV1": scrambled(one["fieldsV1"])} for one in listed]
    return None if how == "none" else [dict(one) for one in listed]


@settings(max_examples=50 * SCALE)
@given(
    THINGS,
    THINGS,
    entries(),
    st.sampled_from(["none", "shared", "scrambled"]),
    MANAGERS,
    SUBRESOURCES,
    st.sampled_from([(), ("status",)]),
)
def test_an_update_is_what_the_plain_way_makes_of_it(
    live: Any, new: Any, owned: Any, how: str, manager: str, subresource: str, reset: Any
) -> None:
    now = "2026-01-09T00:00:00Z"
    wanted = plain(live, new, owned, subresource, {f"f:{one}" for one in reset}, manager, now)
    live["metadata"]["managedFields"] = owned
    sent = as_sent(how, owned)
    if sent is not None:
        new["metadata"]["managedFields"] = sent
    before = copy.deepcopy(owned)
    managed.update(
        live,
        new,
        type=TYPE,
        manager=manager,
        api_version="v1",
        subresource=subresource,
        now=now,
        reset=tuple((one,) for one in reset),
        versions=lambda version: (TYPE, list) if version == "v2" else None,
    )
    found = new["metadata"].get("managedFields", [])
    assert json.dumps([{**one, "subresource": one.get("subresource")} for one in found]) == json.dumps(
        [{**one, "subresource": one.get("subresource")} for one in wanted]
    )
    assert owned == before


def changed(live: Any, manager: str, **spec: Any) -> Any:
    new = {**live, "metadata": dict(live["metadata"]), "spec": {**live["spec"], **spec}}
    managed.update(live, new, type=TYPE, manager=manager, api_version="v1", now="2026-01-02T00:00:00Z")
    return new


def test_sets_that_stay_the_same_are_not_made_anew() -> None:
    """Sets that a write does not touch, or that its manager owns already, are shared with the live object."""
    live = {"metadata": {"uid": ""}, "spec": {"labels": {"a": "1", "b": "1"}, "text": "x"}}
    managed.update(None, live, type=TYPE, manager="m", api_version="v1", now="2026-01-01T00:00:00Z")
    renewed = changed(live, "m", text="y")
    other = changed(renewed, "o", names=["a"])
    sets = [
        one["metadata"]["managedFields"][0]["fieldsV1"]  # type: ignore[index]
        for one in (live, renewed, other)
    ]
    assert sets[0] is sets[1] is sets[2]
    assert renewed["metadata"]["managedFields"][0]["time"] == "2026-01-02T00:00:00Z"


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(0, 1) | st.just("x"),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    ".",
                    "f:spec",
                    "f:items",
                    "f:labels",
                    "f:a",
                    'k:{"name":"a"}',
                    "k:{",
                    "k:1",
                    "v:",
                    "i:x",
                    "",
                    "f",
                    "z:",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=14,
)
SPOILT = st.dictionaries(
    st.sampled_from(["manager", "operation", "apiVersion", "time", "fieldsType", "subresource"]),
    ANY,
    max_size=1,
)


@settings(max_examples=50 * SCALE)
@given(THINGS, THINGS, st.lists(st.tuples(st.dictionaries(st.just("f:spec"), ANY), SPOILT), max_size=3), ANY)
def test_a_store_may_hold_what_is_no_set(live: Any, new: Any, spoilt: Any, instead: Any) -> None:
    """A write goes on: without managed fields, or with those parts as they were that it did not meet."""
    listed = [
        {**entry_of(f"m{i}", "Update", "v1", "", "", fields), **wrong}
        for i, (fields, wrong) in enumerate(spoilt)
    ]
    for stored in (listed, instead):
        live["metadata"]["managedFields"] = stored
        obj = copy.deepcopy(new)
        managed.update(live, obj, type=TYPE, manager="m", api_version="v1", now="2026-01-09T00:00:00Z")
        json.dumps(obj)
        config = {
            "apiVersion": "v1",
            "kind": "Thing",
            "metadata": {"name": "n"},
            "spec": {"labels": {"a": "c"}},
        }
        try:
            apply.apply(
                live,
                config,
                type=TYPE,
                manager="m0",
                force=False,
                api_version="v1",
                now="2026-01-09T00:00:00Z",
            )
        except errors.StatusError:
            pass


@pytest.mark.parametrize("bad", [1, {"f:b": {}, "f:a": {"k:{": {}}}])
def test_a_part_that_is_no_set_stays_where_no_write_meets_it(bad: Any) -> None:
    fields = {"f:metadata": {"f:labels": bad}, "f:spec": {"f:text": {}, "f:whole": {}}}
    live: Any = {"metadata": {"uid": "u", "labels": {"a": "1"}}, "spec": {"text": "x", "whole": ["a"]}}
    live["metadata"]["managedFields"] = [entry_of("m", "Update", "v1", "", "", fields)]
    found = changed(live, "o", text="y")["metadata"]["managedFields"]
    assert [one["fieldsV1"] for one in found] == [
        {**fields, "f:spec": {"f:whole": {}}},
        {"f:spec": {"f:text": {}}},
    ]


@pytest.mark.parametrize("bad", ["k:{", "k:1", "v:", "", "i:x"])
def test_a_member_that_is_none_leaves_the_object_untracked_where_another_joins_it(bad: str) -> None:
    live: Any = {"metadata": {"uid": "u"}, "spec": {"items": [{"name": "a"}]}}
    fields: Any = {"f:spec": {"f:items": {bad: {}}}}
    live["metadata"]["managedFields"] = [entry_of("m", "Update", "v1", "", "", fields)]
    assert "managedFields" not in changed(live, "m", items=[{"name": "a"}, {"name": "b"}])["metadata"]

import copy
from typing import Any

import pytest
from complexity import assert_linear

from pilothouse.api.changes import managed
from pilothouse.api.changes._fieldset import ManagedFieldsEntry, decode, encode
from pilothouse.api.types.schema import Field, Type

CACHED = 40.0
"""See assert_linear: path elements are remembered, some thousands of them."""
TEXT = Type("string")
META = Type(
    "struct",
    "Meta",
    {name: Field(name, TEXT) for name in ("name", "namespace", "uid", "resourceVersion")}
    | {
        "labels": Field("labels", Type("map", items=TEXT)),
        "managedFields": Field("managedFields", Type("any")),
    },
)
SPEC = Type(
    "struct",
    "Spec",
    {
        "a": Field("a", TEXT),
        "b": Field("b", TEXT),
        "list": Field("list", Type("list", items=TEXT), omit=False),
    },
)
TYPE = Type(
    "struct",
    "Thing",
    {
        "apiVersion": Field("apiVersion", TEXT),
        "kind": Field("kind", TEXT),
        "metadata": Field("metadata", META, omit=False),
        "spec": Field("spec", SPEC, omit=False),
        "status": Field("status", SPEC, omit=False),
    },
)


def thing(spec: Any = None, managed_fields: Any = None, uid: str = "u", **metadata: Any) -> dict[str, Any]:
    metadata = {"name": "n", "uid": uid, **metadata}
    if managed_fields is not None:
        metadata["managedFields"] = managed_fields
    return {"apiVersion": "v1", "kind": "Thing", "metadata": metadata, "spec": spec or {}, "status": {}}


def write(live: Any, new: Any, manager: str = "m", now: str = "2026-01-01T00:00:00Z", **more: Any) -> Any:
    new = copy.deepcopy(new)
    managed.update(live, new, type=TYPE, manager=manager, api_version="v1", now=now, **more)
    return new


def owners(obj: Any) -> dict[Any, Any]:
    return {
        (e.get("manager"), e["operation"]): e["fieldsV1"] for e in obj["metadata"].get("managedFields", [])
    }


def test_what_is_not_of_its_type_is_not_tracked() -> None:
    wrong = {**thing(uid=""), "status": "x"}
    assert owners(write(None, wrong, fits=False)) == {}
    assert owners(write(None, thing({"a": "1"}, uid=""), fits=False)) != {}
    tracked = write(None, thing({"a": "1"}, uid=""))
    assert owners(write({**tracked, "status": "x"}, thing({"a": "2"}), fits=False)) == {}
    assert owners(write(tracked, {**tracked, "status": "x"}, fits=False)) == {}


def test_a_new_object_belongs_to_its_writer() -> None:
    obj = write(None, thing({"a": "1", "list": ["x"]}, labels={"l": "1"}))
    assert obj["metadata"]["managedFields"] == [
        {
            "manager": "m",
            "operation": "Update",
            "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:l": {}}},
                "f:spec": {"f:a": {}, "f:list": {}},
            },
        }
    ]


def test_a_change_takes_fields_over() -> None:
    first = write(None, thing({"a": "1", "b": "1"}))
    second = write(first, thing({"a": "2", "b": "1"}), manager="o", now="2026-01-02T00:00:00Z")
    assert owners(second) == {
        ("m", "Update"): {"f:spec": {"f:b": {}}},
        ("o", "Update"): {"f:spec": {"f:a": {}}},
    }
    third = write(second, thing({"a": "2"}), manager="o", now="2026-01-03T00:00:00Z")
    assert owners(third) == {("o", "Update"): {"f:spec": {"f:a": {}}}}
    assert third["metadata"]["managedFields"][0]["time"] == "2026-01-02T00:00:00Z"


def test_no_change_keeps_entries() -> None:
    first = write(None, thing({"a": "1"}))
    again = write(first, thing({"a": "1"}), manager="o", now="2026-01-02T00:00:00Z")
    assert again["metadata"]["managedFields"] == first["metadata"]["managedFields"]


def test_an_untracked_object_stays_so() -> None:
    assert "managedFields" not in write(thing({"a": "1"}), thing({"a": "2"}))["metadata"]


@pytest.mark.parametrize("void", [[], [{}]])
def test_managed_fields_can_be_cleared(void: list[dict[str, Any]]) -> None:
    first = write(None, thing({"a": "1"}))
    assert "managedFields" not in write(first, thing({"a": "1"}, void))["metadata"]


def test_sent_entries_are_the_state_before_unless_they_are_bad() -> None:
    first = write(None, thing({"a": "1"}))
    entry = {**first["metadata"]["managedFields"][0], "manager": "renamed"}
    assert ("renamed", "Update") in owners(write(first, thing({"a": "1"}, [entry])))
    assert ("m", "Update") in owners(write(first, thing({"a": "1"}, [{**entry, "operation": "x"}])))
    kept = write(first, thing({"a": "1"}, [entry]), subresource="status")
    assert set(owners(kept)) == {("m", "Update")}


def test_reset_fields_are_never_owned() -> None:
    obj = thing({"a": "1"})
    obj["status"] = {"a": "2"}
    assert owners(write(None, obj, reset=(("status",),))) == {("m", "Update"): {"f:spec": {"f:a": {}}}}


def test_subresources_are_owners_of_their_own() -> None:
    first = write(None, thing({"a": "1"}))
    obj = thing({"a": "1"})
    obj["status"] = {"b": "2"}
    entries = write(first, obj, subresource="status")["metadata"]["managedFields"]
    assert [entry.get("subresource", "") for entry in entries] == ["", "status"]


def test_many_updaters_are_joined() -> None:
    live = write(None, thing({"a": "0"}, labels={}))
    for i in range(14):
        labels = {**live["metadata"].get("labels", {}), f"l{i}": "x"}
        live = write(
            live, thing({"a": "0"}, labels=labels), manager=f"m{i:02}", now=f"2026-01-01T00:00:{i:02}Z"
        )
    entries = live["metadata"]["managedFields"]
    assert len(entries) == managed.MAX_UPDATERS
    ancient = entries[0]
    assert ancient["manager"] == "ancient-changes"
    assert ancient["time"] == "2026-01-01T00:00:04Z"
    assert set(ancient["fieldsV1"]["f:metadata"]["f:labels"]) == {".", "f:l0", "f:l1", "f:l2", "f:l3", "f:l4"}


def test_versions_that_are_gone_lose_their_entries() -> None:
    first = write(None, thing({"a": "1", "b": "1"}))
    for entry in first["metadata"]["managedFields"]:
        entry["apiVersion"] = "v0"
    second = write(first, thing({"a": "2", "b": "1"}), manager="o", versions=lambda version: None)
    assert owners(second) == {("o", "Update"): {"f:spec": {"f:a": {}}}}


def test_appliers_come_first_then_older_entries() -> None:
    entries = [
        ManagedFieldsEntry("b", "Update", "v1", time="2026-01-01T00:00:00Z", fields={"f:x": {}}),
        ManagedFieldsEntry("a", "Update", "v1", time="2026-01-02T00:00:00Z", fields={"f:y": {}}),
        ManagedFieldsEntry("z", "Apply", "v1", time="2026-01-03T00:00:00Z", fields={"f:z": {}}),
    ]
    encoded = encode({entry.key: entry for entry in entries})
    assert [entry["manager"] for entry in encoded] == ["z", "b", "a"]
    assert encode(decode(encoded)) == encoded


def test_zero_objects_hold_what_is_always_written() -> None:
    assert managed.zero(TYPE) == {"metadata": {}, "spec": {"list": None}, "status": {"list": None}}


def entry(manager: Any, operation: Any, fields: Any, time: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "v1",
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def test_the_empty_object_of_a_type_stays_as_it_is() -> None:
    first = write(None, thing({"a": "1"}, uid=""))
    assert write(None, thing({"a": "1"}, uid="")) == first
    assert managed.blank(TYPE) is managed.blank(TYPE)
    assert managed.blank(TYPE) == managed.zero(TYPE)


@pytest.mark.parametrize("operation", ["Update", "Apply"])
def test_many_managers_take_linear_time(operation: str) -> None:
    """Many entries are sent, and much of the object is gone at the same time."""

    def make(n: Any) -> tuple[Any, Any]:
        sent = [
            entry(f"m{i}", operation, {"f:metadata": {"f:labels": {f"f:l{i}": {}, f"f:k{i}": {}}}})
            for i in range(n)
        ]
        live = thing(labels={f"l{i}": "1" for i in range(n)} | {f"k{i}": "1" for i in range(n)})
        new = thing(labels={f"k{i}": "1" for i in range(n)}, managed_fields=sent)
        return live, new

    def run(given: Any) -> None:
        managed.update(
            given[0], given[1], type=TYPE, manager="m", api_version="v1", now="2026-01-02T00:00:00Z"
        )

    assert_linear(run, make, 300, CACHED)
    live, new = make(20)
    run((live, new))
    kept = {name for one in owners(new).values() for name in one["f:metadata"]["f:labels"]}
    assert kept >= {f"f:k{i}" for i in range(20)}
    assert not kept & {f"f:l{i}" for i in range(20)}


def test_a_set_that_is_no_set_leaves_the_entries_as_they_were() -> None:
    live = write(None, thing({"a": "1"}))
    for bad in ("v:1e999", "v:" + "[" * 100_000, "i:" + "9" * 5000):
        sent = [entry("x", "Update", {bad: {}})]
        assert owners(write(live, thing({"a": "1"}, managed_fields=sent))) == owners(live)

"""Kept changes as objects of the API."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.history.author import Author
from pilothouse.history.changes import MOST_SUMMARY, Changes, id_of, name_of
from pilothouse.history.file import ChangeKind
from pilothouse.history.kept import KeptChange
from pilothouse.history.places import places
from pilothouse.registry.catalog import Catalog, built_in

JANE = Author("jane", ("dev",), "kubectl", "patch", "scale", "10.0.0.1,10.0.0.2")
CATALOG = Catalog(built_in())
CHANGES = Changes(CATALOG, places(CATALOG))


def kept(
    delta: Any = (),
    kind: ChangeKind = ChangeKind.CHANGED,
    *,
    id: int = 205 << 12,
    key: str = "/registry/deployments/ns/web",
    author: Author | None = JANE,
    value: bytes | None = None,
) -> KeptChange:
    return KeptChange(id, key, kind, 1_800_000_000_007, author, "audit", value or orjson.dumps(delta))


def test_a_change_as_an_object() -> None:
    change = kept([["=", ["spec", "replicas"], 1, 3], ["+", ["metadata", "labels", "a.b/c"], "d"]])
    assert CHANGES.shown(change, None) == {
        "apiVersion": "history.pilothouse.dev/v1",
        "kind": "Change",
        "metadata": {
            "name": "r205",
            "namespace": "ns",
            "resourceVersion": "205",
            "creationTimestamp": "2027-01-15T08:00:00Z",
        },
        "object": {
            "resource": "deployments.apps",
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "namespace": "ns",
            "name": "web",
        },
        "operation": "Changed",
        "time": "2027-01-15T08:00:00.007Z",
        "revision": "205",
        "auditID": "audit",
        "user": {"username": "jane", "groups": ["dev"]},
        "verb": "patch",
        "manager": "kubectl",
        "subresource": "scale",
        "sourceIPs": ["10.0.0.1", "10.0.0.2"],
        "summary": ".spec.replicas: 1 -> 3 (+1)",
        "fields": [
            {"path": ".spec.replicas", "old": 1, "new": 3},
            {"path": ".metadata.labels['a.b/c']", "new": "d"},
        ],
    }


def test_a_change_of_an_object_without_a_namespace() -> None:
    shown = CHANGES.shown(kept(kind=ChangeKind.CREATED, key="/registry/namespaces/ns", value=b""), None)
    assert (shown["kind"], shown["operation"], shown["summary"]) == ("ClusterChange", "Created", "created")
    assert shown["object"] == {
        "resource": "namespaces",
        "apiVersion": "v1",
        "kind": "Namespace",
        "name": "ns",
    }
    assert "namespace" not in shown["metadata"] and shown["fields"] == []


def test_a_change_of_a_resource_that_is_not_served() -> None:
    shown = CHANGES.shown(kept(key="/registry/example.com/widgets/ns/a"), None)
    assert shown["object"] == {"resource": "widgets.example.com", "namespace": "ns", "name": "a"}


def test_an_author_that_is_not_known_is_not_told() -> None:
    shown = CHANGES.shown(kept(author=None)._replace(audit=""), None)
    assert not {"user", "verb", "manager", "subresource", "sourceIPs", "auditID"} & shown.keys()
    assert shown["time"] and shown["revision"] == "205"


def test_what_the_server_sets_is_no_field() -> None:
    shown = CHANGES.shown(
        kept(
            [["=", ["metadata", "generation"], 1, 2], ["=", ["metadata", "managedFields", 0, "time"], 1, 2]]
        ),
        None,
    )
    assert shown["fields"] == [] and shown["summary"] == "nothing but managed fields"


def test_the_fields_of_a_change_of_which_the_whole_object_is_kept() -> None:
    change = kept(kind=ChangeKind.REPLACED, value=b'{"a":1,"b":2}')
    shown = CHANGES.shown(change, b'{"a":1,"b":3}')
    assert shown["fields"] == [{"path": ".b", "old": 2, "new": 3}] and shown["operation"] == "Changed"


def test_a_delete_tells_no_fields() -> None:
    shown = CHANGES.shown(kept(kind=ChangeKind.DELETED, value=b'{"data":{"p":"secret"}}'), None)
    assert (shown["operation"], shown["summary"], shown["fields"]) == ("Deleted", "deleted", [])


@pytest.mark.parametrize(
    ("delta", "summary"),
    [
        ([["-", ["data", "a"], ""]], '.data.a: "" -> none'),
        ([["=", ["data", "a"], None, [1, {"b": 2}]]], '.data.a: null -> [1,{"b":2}]'),
        ([["=", ["a"], "x", "y"]] * 3, ".a: x -> y (+2)"),
    ],
)
def test_summaries(delta: Any, summary: str) -> None:
    assert CHANGES.shown(kept(delta), None)["summary"] == summary


def test_a_summary_is_one_short_line() -> None:
    for text in ("x" * 500, "line\nline"):
        change = kept([["=", ["data", "a"], text, f"{text}y"], ["+", ["b"], 1]])
        summary = CHANGES.shown(change, None)["summary"]
        assert len(summary) <= MOST_SUMMARY and summary.endswith(" (+1)") and "\n" not in summary


@given(st.integers(1, 1 << 48), st.integers(0, (1 << 12) - 1))
def test_names_lead_to_changes(revision: int, place: int) -> None:
    change = kept(id=revision << 12 | place)
    name = name_of(change)
    assert id_of(name) == change.id
    assert name == (f"r{revision}.{place}" if place else f"r{revision}")


@pytest.mark.parametrize(
    "name",
    [
        *("", "r", "205", "r-1", "r1.", "r1.-1", "rr1", "r1.2.3", "r1 ", "r²", "r1.x", "r" + "9" * 30),
        *("r01", "r1.0", "r1.00", "r1.01", "r1.4096"),
    ],
)
def test_other_names_lead_to_none(name: str) -> None:
    assert id_of(name) == 0

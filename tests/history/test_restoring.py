"""Plans of what has to be written so that objects are again as they were, and changes that are taken back."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.history._delta import difference
from pilothouse.history.restoring import (
    LAST,
    RANKS,
    PlannedWrite,
    RestoreAction,
    in_order,
    owned_anew,
    plan,
    rank,
    taken_back,
    wanted,
)

NAMES = st.sampled_from(["a", "b", "c", "d"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(2, 9) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)


def delta_of(old: Any, new: Any) -> Any:
    found = difference(orjson.dumps(old), orjson.dumps(new), 1 << 20)
    assert found is not None
    return orjson.loads(found)


def back(old: Any, new: Any, now: Any, *, force: bool = False) -> tuple[Any, list[str]]:
    return taken_back(copy.deepcopy(now), delta_of(old, new), force=force)


@given(OBJECTS, OBJECTS)
def test_the_last_change_is_taken_back_whole(old: Any, new: Any) -> None:
    assert back(old, new, new) == (old, [])


@given(OBJECTS, OBJECTS, OBJECTS, OBJECTS)
def test_what_others_did_elsewhere_stays(old: Any, new: Any, before: Any, since: Any) -> None:
    old, new, now = {"mine": old, "z": before}, {"mine": new, "z": before}, {"mine": new, "z": since}
    assert back(old, new, now) == ({"mine": old["mine"], "z": since}, [])


@given(OBJECTS, OBJECTS)
def test_what_was_taken_back_already_is_no_conflict(old: Any, new: Any) -> None:
    def plain(value: Any) -> Any:  # a list may begin as the one after the change does
        if isinstance(value, dict):
            return {name: plain(each) for name, each in value.items()}
        return len(value) if isinstance(value, list) else value

    old, new = plain(old), plain(new)
    assert back(old, new, old) == (old, [])


@pytest.mark.parametrize(
    ("old", "new", "now", "forced", "conflicts"),
    [
        ({"a": 1}, {"a": 2}, {"a": 3}, {"a": 1}, [".a"]),
        ({}, {"a": 2}, {"a": 3}, {}, [".a"]),
        ({"a": 1}, {}, {"a": 3}, {"a": 1}, [".a"]),
        ({"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 2, "b": 5}, {"a": 1, "b": 1}, [".b"]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, {"a": 7}, {"a": 7}, [".a.b"]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, {}, {"a": {"b": 1}}, [".a.b"]),
        ({"l": [1]}, {"l": [1, 2]}, {"l": [9, 1, 2]}, {"l": [9, 1, 2]}, [".l"]),
        ({"l": [1]}, {"l": [1, 2]}, {"l": {"x": 1}}, {"l": {"x": 1}}, [".l"]),
        ({"l": [1]}, {"l": [1, 2]}, {}, {}, [".l"]),
    ],
)
def test_what_others_have_changed_since_is_a_conflict(
    old: Any, new: Any, now: Any, forced: Any, conflicts: list[str]
) -> None:
    left, found = back(old, new, now)
    assert found == conflicts
    for name, value in now.items():
        if f".{name}" in conflicts:
            assert left[name] == value
    assert back(old, new, now, force=True) == (forced, conflicts)


def test_elements_that_are_gone_again_are_taken_back() -> None:
    assert back({"l": [1]}, {"l": [1, 2]}, {"l": [1]}) == ({"l": [1]}, [])
    assert back({"l": [1]}, {"l": [1, 2]}, {"l": [1, 2, 3]}) == ({"l": [1, 3]}, [])
    assert back({"l": [1, 2, 3]}, {"l": [1, 3]}, {"l": [3]}) == ({"l": [3, 2]}, [])


def test_a_status_and_what_the_server_sets_is_not_taken_back() -> None:
    old = {"metadata": {"generation": 1, "resourceVersion": "1"}, "status": {"a": 1}, "spec": 1}
    new = {"metadata": {"generation": 2, "resourceVersion": "2"}, "status": {"a": 2}, "spec": 2}
    assert back(old, new, new) == ({**new, "spec": 1}, [])


def obj(name: str = "a", **members: Any) -> Any:
    """An object as it is stored."""
    metadata = {"name": name, "namespace": "ns", "uid": "u", "resourceVersion": "1", "generation": 2}
    metadata |= {
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{}],
        **members.pop("meta", {}),
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **members}


def planned(then: Any, now: Any, resource: str = "configmaps", **options: Any) -> PlannedWrite:
    return plan(resource, "ns", "a", then, now, **options)


CONTROLLED = {"ownerReferences": [{"kind": "ReplicaSet", "name": "rs", "uid": "o", "controller": True}]}
OWNED = {"ownerReferences": [{"kind": "Deployment", "name": "d", "uid": "o"}]}


def test_what_is_gone_is_created() -> None:
    made = planned(obj(data={"a": "b"}, status={"x": 1}, meta={"labels": {"l": "1"}, **OWNED}), None)
    assert made.action is RestoreAction.CREATE and made.warnings == ()
    assert made.obj == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "ns", "labels": {"l": "1"}, **OWNED},
        "data": {"a": "b"},
    }


def test_what_has_changed_is_updated_and_keeps_its_identity() -> None:
    then = obj(data={"a": "b"}, status={"x": 1}, meta={"labels": {"l": "1"}, "annotations": {}})
    now = obj(
        data={"a": "c"},
        status={"x": 2},
        meta={"uid": "v", "resourceVersion": "9", "finalizers": ["f"], "labels": {"m": "2"}, **OWNED},
    )
    made = planned(then, now)
    assert made.action is RestoreAction.UPDATE
    assert made.obj == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "a",
            "namespace": "ns",
            "labels": {"l": "1"},
            "uid": "v",
            "resourceVersion": "9",
            "finalizers": ["f"],
            **OWNED,
        },
        "data": {"a": "b"},
        "status": {"x": 2},
    }


@pytest.mark.parametrize(
    "meta",
    [{"uid": "v"}, {"generation": 7}, {"managedFields": []}, {"labels": {}}, {"resourceVersion": "7"}, OWNED],
)
def test_what_only_the_server_changed_is_left(meta: Any) -> None:
    assert planned(obj(), obj(meta=meta, status={"x": 1})).action is RestoreAction.NOTHING


def test_what_has_come_since_goes_only_when_it_shall() -> None:
    assert planned(None, obj()).action is RestoreAction.NOTHING
    assert planned(None, obj(), prune=True).action is RestoreAction.DELETE
    assert planned(None, None, prune=True).action is RestoreAction.NOTHING


def test_what_a_controller_makes_is_skipped() -> None:
    for now in (None, obj(data={"other": "1"}, meta=CONTROLLED)):
        made = planned(obj(meta=CONTROLLED), now)
        assert (made.action, made.why) == (RestoreAction.SKIP, "ReplicaSet rs makes it")
    assert planned(obj(data={"a": "b"}, meta=CONTROLLED), obj()).action is RestoreAction.UPDATE


def test_what_was_being_deleted_is_skipped() -> None:
    made = planned(obj(meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}), None)
    assert (made.action, made.why) == (RestoreAction.SKIP, "it was being deleted")


def test_a_pod_is_scheduled_anew() -> None:
    made = planned(obj(spec={"nodeName": "n", "containers": []}), None, "pods")
    assert made.obj["spec"] == {"containers": []} and "a new pod is scheduled" in made.warnings[0]


def test_a_job_gets_a_new_selector() -> None:
    spec: Any = {
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
        "template": {
            "metadata": {
                "labels": {
                    "controller-uid": "u",
                    "batch.kubernetes.io/controller-uid": "u",
                    "job-name": "a",
                    "batch.kubernetes.io/job-name": "a",
                    "mine": "1",
                }
            },
            "spec": {},
        },
    }
    then = obj(spec=copy.deepcopy(spec))
    made = planned(then, None, "jobs.batch")
    assert made.obj["spec"] == {"template": {"metadata": {"labels": {"mine": "1"}}, "spec": {}}}
    assert made.warnings == ("the job runs again",) and then == obj(spec=spec)
    manual = planned(obj(spec={**spec, "manualSelector": True}), None, "jobs.batch")
    assert manual.obj["spec"] == {**spec, "manualSelector": True}


def test_a_namespace_comes_without_its_finalizers() -> None:
    made = planned(obj(meta={"finalizers": ["x"]}, spec={"finalizers": ["kubernetes"]}), None, "namespaces")
    assert "spec" not in made.obj and "finalizers" not in made.obj["metadata"]


def test_a_claim_comes_without_its_data() -> None:
    assert "volume" in planned(obj(spec={}), None, "persistentvolumeclaims").warnings[0]


def write(
    resource: str, name: str, kind: str = "", owners: tuple[tuple[str, str], ...] = (), action: Any = None
) -> PlannedWrite:
    references = [{"kind": kind, "name": name} for kind, name in owners]
    made = {"kind": kind or resource, "metadata": {"name": name, "ownerReferences": references}}
    return PlannedWrite(action or RestoreAction.CREATE, resource, "ns", name, made)


def order(*writes: PlannedWrite) -> list[list[str]]:
    return [[one.name for one in group] for group in in_order(writes)]


def test_others_need_some_resources() -> None:
    resources = [LAST[0], "deployments.apps", RANKS[3][0], RANKS[2][0], RANKS[1][0], "namespaces"]
    assert order(*(write(one, one) for one in resources)) == [[one] for one in reversed(resources)]
    for name in (*(one for ranks in RANKS for one in ranks), *LAST):
        assert rank(name) != rank("deployments.apps"), name


def test_owners_come_first_and_deletes_last() -> None:
    found = order(
        write("pods", "pod", "Pod", (("ReplicaSet", "rs"),)),
        write("pods", "gone", "Pod", (), RestoreAction.DELETE),
        write("namespaces", "gone-ns", "Namespace", (), RestoreAction.DELETE),
        write("replicasets.apps", "rs", "ReplicaSet", (("Deployment", "d"),)),
        write("deployments.apps", "d", "Deployment"),
        write("services", "s", "Service", (("Deployment", "elsewhere"),)),
    )
    assert found[:4] == [["s"], ["d"], ["rs"], ["pod"]]
    assert sorted(found[4:]) == [["gone"], ["gone-ns"]]


def test_owners_in_a_circle() -> None:
    found = order(
        write("widgets.example.com", "a", "Widget", (("Widget", "b"),)),
        write("widgets.example.com", "b", "Widget", (("Widget", "a"),)),
        write("widgets.example.com", "self", "Widget", (("Widget", "self"),)),
    )
    assert [name for group in found for name in sorted(group)] == ["self", "a", "b"]


def test_an_owner_of_a_later_rank_comes_first_all_the_same() -> None:
    """A Secret that a Certificate owns is written after it."""
    found = order(
        write("secrets", "tls", "Secret", (("Certificate", "web"),)),
        write("certificates.example.com", "web", "Certificate"),
    )
    assert found == [["web"], ["tls"]]


def test_owner_references_get_the_uids_of_now() -> None:
    owners: list[Any] = [
        {"kind": "Deployment", "name": "d", "uid": "old", "controller": True},
        {"kind": "Widget", "name": "gone", "uid": "old"},
    ]
    found = owned_anew(obj(meta={"ownerReferences": owners}), {("Deployment", "d"): "new"})
    assert found["metadata"]["ownerReferences"] == [{**owners[0], "uid": "new"}]
    assert "ownerReferences" not in owned_anew(obj(meta={"ownerReferences": owners}), {})["metadata"]
    assert owners[0]["uid"] == "old"
    assert owned_anew(obj(), {}) == obj()


def test_what_users_want_of_an_object() -> None:
    assert wanted(obj(data={"a": "b"}, status={}, meta={"labels": {}, "annotations": {"x": "y"}})) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "ns", "annotations": {"x": "y"}},
        "data": {"a": "b"},
    }

"""Changes of objects over the API, and which of them a user sees."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

HISTORY = "/apis/history.pilothouse.dev/v1"
CHANGES = [{"apiGroups": ["history.pilothouse.dev"], "resources": ["*"], "verbs": ["*"]}]
WIDGETS = "widgets.example.com"


def rule(resources: list[str], verbs: list[str], names: tuple[str, ...] = (), group: str = "") -> Any:
    made: Any = {"apiGroups": [group], "resources": resources, "verbs": verbs}
    return made | ({"resourceNames": list(names)} if names else {})


def define(history: Any) -> None:
    """Define widgets."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget"}
    history.admin.ok(
        "POST",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        {
            "metadata": {"name": WIDGETS},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
        },
    )
    history.server.wait(
        f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{WIDGETS}", "Established", timeout=20
    )


def listed(user: Any, query: str = "", namespace: str = "", resource: str = "changes") -> list[Any]:
    """The changes that a list shows."""
    scope = f"/namespaces/{namespace}" if namespace else ""
    found: list[Any] = user.ok("GET", f"{HISTORY}{scope}/{resource}{query}")["items"]
    return found


class Reader(NamedTuple):
    """A user, where it may list changes ("" everywhere), and which objects it may get."""

    user: Any
    namespace: str
    may_get: Callable[[Any], bool]


@pytest.fixture(scope="module")
def cross(history: Any) -> Any:
    """Two namespaces full of changes, and readers with different rights."""
    define(history)
    one, two = history.namespace("one"), history.namespace("two")
    for namespace in (one, two):
        for name in ("a", "b"):
            path = f"/api/v1/namespaces/{namespace}/configmaps"
            history.admin.ok("POST", path, {"metadata": {"name": name}, "data": {"k": "1"}})
            history.admin.patch(f"{path}/{name}", {"data": {"k": "2"}})
        path = f"/api/v1/namespaces/{namespace}/secrets"
        history.admin.ok("POST", path, {"metadata": {"name": "s"}, "stringData": {"p": "hidden-1"}})
        history.admin.patch(f"{path}/s", {"stringData": {"p": "hidden-2"}})
        history.admin.ok("DELETE", f"{path}/s")
        path = f"/apis/example.com/v1/namespaces/{namespace}/widgets"
        widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": 1}
        history.admin.ok("POST", path, widget)
        history.admin.patch(f"{path}/w", {"spec": 2})
    role = {"metadata": {"name": "some-role"}, "rules": []}
    history.admin.ok("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)

    def user(name: str, *rules: Any, namespace: str = "") -> Any:
        return history.user(name, [*CHANGES, *rules], namespace)

    every = [rule(["*"], ["get"], group="*")]
    readers = {
        "of one namespace": Reader(
            user("r1", *every, namespace=one), one, lambda it: it.get("namespace") == one
        ),
        "of one name": Reader(
            user("r2", rule(["configmaps"], ["get"], ("a",)), namespace=one),
            one,
            lambda it: (it["resource"], it["name"], it.get("namespace")) == ("configmaps", "a", one),
        ),
        "without secrets": Reader(
            user("r3", rule(["configmaps", "namespaces"], ["get"]), rule(["widgets"], ["get"], (), "*")),
            "",
            lambda it: it["resource"] in ("configmaps", "namespaces", WIDGETS),
        ),
        "of changes alone": Reader(user("r4"), "", lambda it: False),
        "that lists and does not get": Reader(
            user("r5", rule(["configmaps"], ["list", "watch", "update", "patch", "delete"])),
            "",
            lambda it: False,
        ),
        "of subresources": Reader(
            user("r6", rule(["configmaps/status", "secrets/status"], ["get"])), "", lambda it: False
        ),
        "of roles": Reader(
            user("r7", rule(["clusterroles"], ["get"], (), "rbac.authorization.k8s.io")),
            "",
            lambda it: it["resource"] == "clusterroles.rbac.authorization.k8s.io",
        ),
        "of everything": Reader(user("r8", *every), "", lambda it: True),
    }
    return history, readers, (one, two)


KINDS = ("changes", "clusterchanges")


def everything(history: Any) -> list[Any]:
    found = listed(history.admin, "?limit=5000") + listed(
        history.admin, "?limit=5000", resource="clusterchanges"
    )
    assert len({one["metadata"]["name"] for one in found}) == len(found) > 50
    return found


def names(items: list[Any]) -> list[str]:
    return [one["metadata"]["name"] for one in items]


def path_of(change: Any) -> str:
    namespace = change["metadata"].get("namespace")
    kind = "changes" if namespace else "clusterchanges"
    return f"{HISTORY}{f'/namespaces/{namespace}' if namespace else ''}/{kind}/{change['metadata']['name']}"


@pytest.mark.parametrize("moved", [False, True])
def test_nobody_sees_a_change_of_what_they_may_not_get(cross: Any, moved: bool) -> None:
    history, readers, spaces = cross
    if moved:
        history.move()
    entries = everything(history)
    mine = [one for one in entries if one["object"].get("namespace") in spaces]
    assert {one["object"]["resource"] for one in mine} >= {"configmaps", "secrets", WIDGETS}
    for name, reader in readers.items():
        inside = [one for one in entries if reader.namespace in ("", one["object"].get("namespace"))]
        for kind in KINDS:
            if kind == "clusterchanges" and reader.namespace:
                assert reader.user.ask("GET", f"{HISTORY}/{kind}").status == 403
                continue
            visible = [
                one
                for one in inside
                if (path_of(one).split("/")[-2] == kind) and reader.may_get(one["object"])
            ]
            found = listed(reader.user, "?limit=5000", reader.namespace, kind)
            assert names(found) == names(visible), name
            assert found == visible, name
            paged, query = [], "?limit=3"
            while query:
                scope = f"/namespaces/{reader.namespace}" if reader.namespace else ""
                page = reader.user.ok("GET", f"{HISTORY}{scope}/{kind}{query}")
                paged += page["items"]
                token = page["metadata"].get("continue")
                query = f"?limit=3&continue={quote(token)}" if token else ""
            assert names(paged) == names(visible), name
        if reader.namespace:
            assert reader.user.ask("GET", f"{HISTORY}/changes").status == 403
            assert reader.user.ask("GET", f"{HISTORY}/namespaces/{spaces[1]}/changes").status == 403


def test_nobody_gets_blames_or_undoes_what_they_may_not_get(cross: Any) -> None:
    history, readers, spaces = cross
    entries = [
        one
        for one in everything(history)
        if one["object"].get("namespace") in spaces or one["object"]["name"] == "some-role"
    ]
    for name, reader in readers.items():
        for one in entries:
            allowed = reader.may_get(one["object"])
            outside = reader.namespace not in ("", one["object"].get("namespace"))
            answer = reader.user.ask("GET", path_of(one))
            assert (answer.status == 200) is (allowed and not outside), (name, one)
            assert answer.status == (403 if outside else 200 if allowed else 404)
            assert allowed or "hidden-" not in str(answer.body)
            if not reader.namespace and not allowed:  # the others may not post reviews
                undone = reader.user.refused("undos", {"change": one["metadata"]["name"]})
                assert undone.status == 404, (name, one)
                it = one["object"]
                spec = {key: it[key] for key in ("resource", "namespace", "name") if key in it}
                assert reader.user.refused("blames", spec).status == 403
                restored = reader.user.refused("restores", {**spec, "revision": one["revision"]})
                assert restored.status == 403, (name, one)
                assert "hidden-" not in f"{undone}{restored}"


@pytest.mark.parametrize("name", ["without secrets", "of changes alone"])
def test_a_watch_shows_nobody_a_change_of_what_they_may_not_get(cross: Any, name: str) -> None:
    history, readers, _ = cross
    reader = readers[name]
    entries = [one for one in everything(history) if "namespace" in one["object"]]
    visible = [one for one in entries if reader.may_get(one["object"])]
    start = min(int(one["revision"]) for one in entries) - 1
    found = reader.user.watched(f"{HISTORY}/changes?watch=1&timeoutSeconds=1&resourceVersion={start}")
    assert names(found) == names(visible[::-1])


@pytest.fixture(scope="module")
def space(history: Any) -> str:
    """A namespace with a ConfigMap that some have changed."""
    name: str = history.namespace()
    path = f"/api/v1/namespaces/{name}/configmaps"
    history.admin.ok("POST", f"{path}?fieldManager=maker", {"metadata": {"name": "a"}, "data": {"k": "1"}})
    jane = history.user("jane", [rule(["configmaps"], ["*"])], name)
    jane.patch(f"{path}/a?fieldManager=changer", {"data": {"k": "2", "l": "1"}})
    history.admin.patch(f"{path}/a", {"metadata": {"labels": {"x.y/z": "1"}}})
    history.admin.ok("POST", path, {"metadata": {"name": "b"}})
    history.admin.ok("DELETE", f"{path}/b")
    return name


def test_a_change_tells_who_when_and_what(history: Any, space: str) -> None:
    found = listed(history.admin, "?fieldSelector=object.name=a", space)
    assert [one["operation"] for one in found] == ["Changed", "Changed", "Created"]
    change = found[1]
    assert change["user"]["username"] == "jane" and "system:authenticated" in change["user"]["groups"]
    assert (change["verb"], change["manager"], change["sourceIPs"]) == ("patch", "changer", ["127.0.0.1"])
    assert change["fields"] == [
        {"path": ".data.k", "old": "1", "new": "2"},
        {"path": ".data.l", "new": "1"},
    ]
    assert change["summary"] == ".data.k: 1 -> 2 (+1)"
    [event] = history.audited(auditID=change["auditID"])
    assert event["user"]["username"] == "jane"
    assert event["requestReceivedTimestamp"][:19] <= change["time"][:19] <= event["stageTimestamp"][:19]


SELECTORS = {
    "object.resource=configmaps": 6,
    "object.resource=configmaps,object.name=a": 3,
    "object.resource=configmaps,object.name!=a,object.name!=kube-root-ca.crt": 2,
    "user=jane": 1,
    "user!=jane,object.name=a": 2,
    "manager=maker": 1,
    "verb=delete": 1,
    "path=.data.k": 1,
    "path=data": 1,
    "path=.data.nothing": 0,
    "path=.metadata.labels['x.y/z']": 1,
    "path=.metadata.labels['x.y']": 0,
    "path=.metadata.labels": 1,
    "path=.dat": 0,
    "object.name=none": 0,
    "subresource=status": 0,
}


@pytest.mark.parametrize("moved", [False, True])
def test_selectors(history: Any, space: str, moved: bool) -> None:
    if moved:
        history.move()
    counts = {text: len(listed(history.admin, f"?fieldSelector={quote(text)}", space)) for text in SELECTORS}
    assert counts == SELECTORS
    every = listed(history.admin, f"?fieldSelector=metadata.namespace={space}")
    assert every == listed(history.admin, "", space) and len(every) >= 5


def test_times(history: Any, space: str) -> None:
    changes = listed(history.admin, "?fieldSelector=object.name=a", space)[::-1]
    first, last = (quote(changes[at]["time"]) for at in (0, -1))
    whole = "fieldSelector=object.name=a"
    assert len(listed(history.admin, f"?{whole}&since={first}&until={last}", space)) == 3
    assert changes[0] not in listed(history.admin, f"?{whole}&since={last}", space)
    assert changes[-1] not in listed(history.admin, f"?{whole}&until={first}", space)
    assert len(listed(history.admin, f"?{whole}&since=1h", space)) == 3
    assert listed(history.admin, f"?{whole}&until=1h", space) == []
    assert history.admin.ask("GET", f"{HISTORY}/changes?since=soon").status == 400


@pytest.mark.parametrize("selector", ["name=a", "spec.x=1", "object=a"])
def test_a_selector_of_other_fields_is_refused(history: Any, selector: str) -> None:
    answer = history.admin.ask("GET", f"{HISTORY}/changes?fieldSelector={selector}")
    assert answer.status == 400 and "field label not supported" in answer.body["message"]
    assert "object.resource" in answer.body["message"]


def test_changes_that_are_not_there(history: Any, space: str) -> None:
    change = listed(history.admin, "", space)[0]["metadata"]["name"]
    other = history.namespace()
    for path in (
        f"{HISTORY}/namespaces/{space}/changes/r1",
        f"{HISTORY}/namespaces/{space}/changes/x",
        f"{HISTORY}/namespaces/{space}/changes/r999999999",
        f"{HISTORY}/namespaces/{other}/changes/{change}",
        f"{HISTORY}/clusterchanges/{change}",
    ):
        assert history.admin.ask("GET", path).status == 404, path
    assert history.admin.ask("GET", f"{HISTORY}/changes?continue=x").status == 400


def test_many_changes_of_what_is_not_kept_hide_no_other(history: Any) -> None:
    """Events stand between changes in the store, and are no changes."""
    space = history.namespace()
    path = f"/api/v1/namespaces/{space}"
    history.admin.ok("POST", f"{path}/configmaps", {"metadata": {"name": "first"}})
    involved = {"namespace": space, "name": "x", "kind": "Pod"}
    for number in range(520):
        history.admin.ok(
            "POST", f"{path}/events", {"metadata": {"name": f"e{number}"}, "involvedObject": involved}
        )
    assert "first" in [one["object"]["name"] for one in listed(history.admin, "", space)]
    found = listed(history.admin, f"?fieldSelector=metadata.namespace={space}")
    assert "first" in [one["object"]["name"] for one in found]
    assert not [one for one in found if one["object"]["resource"] == "events"]


@pytest.mark.parametrize("moved", [False, True])
def test_who_has_set_which_field(history: Any, space: str, moved: bool) -> None:
    if moved:
        history.move()
    status = history.admin.review("blames", {"resource": "configmaps", "namespace": space, "name": "a"})
    fields = {one["path"]: one for one in status["fields"]}
    live = history.admin.ok("GET", f"/api/v1/namespaces/{space}/configmaps/a")
    assert status["resourceVersion"] == live["metadata"]["resourceVersion"]
    assert fields[".data.k"]["user"]["username"] == fields[".data.l"]["user"]["username"] == "jane"
    assert fields[".data.k"]["value"] == "2" and fields[".data.k"]["verb"] == "patch"
    assert fields[".metadata.name"]["manager"] == "maker"
    assert fields[".metadata.labels['x.y/z']"]["revision"] == live["metadata"]["resourceVersion"]
    assert not [path for path in fields if "managedFields" in path or "resourceVersion" in path]


def test_blames_that_are_refused(history: Any) -> None:
    for spec, status, text in (
        ({"resource": "nothing", "name": "a"}, 400, "there is no such resource"),
        ({"resource": "configmaps", "namespace": "default", "name": "none"}, 404, "not found"),
        ({"resource": "configmaps"}, 422, "Required value"),
        ({"name": "a"}, 422, "Required value"),
    ):
        answer = history.admin.refused("blames", spec)
        assert (answer.status, text in answer.body["message"]) == (status, True), answer


def test_objects_as_they_were(history: Any, space: str) -> None:
    history.move()
    path = f"/api/v1/namespaces/{space}/configmaps"
    changes = listed(history.admin, "?fieldSelector=object.name=a", space)[::-1]
    seen = [
        history.admin.ok("GET", f"{path}/a?resourceVersionMatch=Exact&resourceVersion={one['revision']}")
        for one in changes
    ]
    assert [one.get("data") for one in seen] == [{"k": "1"}, {"k": "2", "l": "1"}, {"k": "2", "l": "1"}]
    assert [one["metadata"]["resourceVersion"] for one in seen] == [one["revision"] for one in changes]
    at = quote(changes[1]["time"])
    assert history.admin.ok("GET", f"{path}/a?at={at}") == seen[1]
    found = history.admin.ok("GET", f"{path}?at={at}&fieldSelector=metadata.name=a")
    assert [{**one, "apiVersion": "v1", "kind": "ConfigMap"} for one in found["items"]] == [seen[1]]
    created = int(changes[0]["revision"])
    query = f"resourceVersionMatch=Exact&resourceVersion={created - 1}"
    assert history.admin.ask("GET", f"{path}/a?{query}").status == 404
    assert history.admin.ask("GET", f"{path}/a?at=1000h").status == 410


def test_the_group_is_in_discovery(history: Any) -> None:
    found = {one["name"]: one for one in history.admin.ok("GET", HISTORY)["resources"]}
    assert set(found) == {"changes", "clusterchanges", "blames", "undos", "restores"}
    assert found["changes"]["namespaced"] and not found["clusterchanges"]["namespaced"]
    for name, verb in itertools.product(("blames", "undos", "restores"), ("create",)):
        assert found[name]["verbs"] == [verb]

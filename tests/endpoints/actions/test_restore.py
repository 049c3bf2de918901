"""Changes that are taken back and objects that are restored, over the API and by the rights of their user."""

from typing import Any

import pytest

REVIEWS = [{"apiGroups": ["history.pilothouse.dev"], "resources": ["*"], "verbs": ["*"]}]
MAPS = {"apiGroups": [""], "resources": ["configmaps"]}


@pytest.fixture
def space(history: Any) -> Any:
    """The path of the ConfigMaps of a namespace that is new."""
    return f"/api/v1/namespaces/{history.namespace()}/configmaps"


def space_of(path: str) -> str:
    return path.split("/")[4]


def make(history: Any, path: str, name: str, **members: Any) -> Any:
    """A new ConfigMap; other members are its data, `metadata` and `labels` excepted."""
    metadata = {"name": name, **members.pop("metadata", {})}
    return history.admin.ok("POST", path, {"metadata": metadata, "data": members})


def revision(obj: Any) -> str:
    """The revision of an object."""
    found: str = obj["metadata"]["resourceVersion"]
    return found


def undo(user: Any, change: str, query: str = "", **spec: Any) -> Any:
    """The result for the object of a change."""
    [result] = user.review("undos", {"change": f"r{change}", **spec}, query)["results"]
    return result


def restore(user: Any, query: str = "", **spec: Any) -> dict[tuple[str, str], Any]:
    """The results for objects, by resource and name."""
    results = user.review("restores", spec, query)["results"]
    found = {(one["resource"], one["name"]): one for one in results}
    assert len(found) == len(results)
    return found


def actions(found: dict[tuple[str, str], Any]) -> dict[str, str]:
    """The actions on the ConfigMaps of a restore, but for that of the CA."""
    return {
        name: one["action"]
        for (resource, name), one in found.items()
        if resource == "configmaps" and name != "kube-root-ca.crt"
    }


@pytest.mark.parametrize("moved", [False, True])
def test_an_update_is_taken_back(history: Any, space: str, moved: bool) -> None:
    make(history, space, "a", k="1", l="1")
    changed = history.admin.patch(f"{space}/a", {"data": {"k": "2", "m": "1", "l": None}})
    later = history.admin.patch(f"{space}/a", {"metadata": {"labels": {"x": "y"}}, "data": {"n": "1"}})
    if moved:
        history.move()
    assert undo(history.admin, revision(changed)) == {
        "resource": "configmaps",
        "namespace": space_of(space),
        "name": "a",
        "action": "Updated",
    }
    now = history.admin.ok("GET", f"{space}/a")
    assert now["data"] == {"k": "1", "l": "1", "n": "1"} and now["metadata"]["labels"] == {"x": "y"}
    assert now["metadata"]["uid"] == later["metadata"]["uid"]
    assert "history" in [one["manager"] for one in now["metadata"]["managedFields"]]
    assert undo(history.admin, revision(changed))["action"] == "Unchanged"
    assert revision(history.admin.ok("GET", f"{space}/a")) == revision(now)


def test_an_undo_is_taken_back(history: Any, space: str) -> None:
    make(history, space, "a", k="1")
    changed = history.admin.patch(f"{space}/a", {"data": {"k": "2"}})
    undo(history.admin, revision(changed))
    undone = history.admin.ok("GET", f"{space}/a")
    undo(history.admin, revision(undone))
    assert history.admin.ok("GET", f"{space}/a")["data"] == {"k": "2"}


def test_a_create_and_a_delete_are_taken_back(history: Any, space: str) -> None:
    made = make(history, space, "a", k="1")
    assert undo(history.admin, revision(made))["action"] == "Deleted"
    assert history.admin.ask("GET", f"{space}/a").status == 404
    deleted = history.revision
    assert undo(history.admin, str(deleted))["action"] == "Created"
    again = history.admin.ok("GET", f"{space}/a")
    assert again["data"] == {"k": "1"} and again["metadata"]["uid"] != made["metadata"]["uid"]
    assert history.admin.refused("undos", {"change": f"r{deleted}"}).status == 409


def test_what_others_changed_since_is_a_conflict(history: Any, space: str) -> None:
    make(history, space, "a", k="1", l="1")
    changed = history.admin.patch(f"{space}/a", {"data": {"k": "2", "l": "2"}})
    history.admin.patch(f"{space}/a", {"data": {"k": "3"}})
    before = history.revision
    answer = history.admin.refused("undos", {"change": f"r{revision(changed)}"})
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    assert "others have changed since: .data.k" in answer.body["message"] and history.revision == before
    forced = undo(history.admin, revision(changed), force=True)
    assert forced["action"] == "Updated"
    assert history.admin.ok("GET", f"{space}/a")["data"] == {"k": "1", "l": "1"}


def test_a_change_of_what_is_gone_is_a_conflict(history: Any, space: str) -> None:
    make(history, space, "a", k="1")
    changed = history.admin.patch(f"{space}/a", {"data": {"k": "2"}})
    history.admin.ok("DELETE", f"{space}/a")
    answer = history.admin.refused("undos", {"change": f"r{revision(changed)}"})
    assert answer.status == 409 and "it has been deleted since" in answer.body["message"]


@pytest.mark.parametrize("change", ["r1", "r99999999", "x", ""])
def test_a_change_that_is_not_there(history: Any, change: str) -> None:
    assert history.admin.refused("undos", {"change": change}).status in (404, 422)


def test_a_dry_run_writes_nothing(history: Any, space: str) -> None:
    made = make(history, space, "a", k="1")
    changed = history.admin.patch(f"{space}/a", {"data": {"k": "2"}})
    gone = make(history, space, "gone", k="1")
    history.admin.ok("DELETE", f"{space}/gone")
    make(history, space, "new", k="1")
    before = history.revision
    dry = "?dryRun=All"
    assert undo(history.admin, revision(changed), dry)["action"] == "Updated"
    assert undo(history.admin, revision(made), dry)["action"] == "Deleted"
    spec: Any = {"namespace": space_of(space), "revision": revision(gone), "resources": ["configmaps"]}
    found = restore(history.admin, dry, prune=True, **spec)
    assert actions(found) == {"gone": "Created", "new": "Deleted"}
    assert history.revision == before
    assert actions(restore(history.admin, prune=True, **spec)) == {"gone": "Created", "new": "Deleted"}
    assert history.admin.ask("GET", f"{space}/new").status == 404


@pytest.fixture(scope="module")
def writers(history: Any) -> dict[str, Any]:
    """Users who may read all and write in part."""
    rights: dict[str, list[str]] = {
        "reads": ["get"],
        "creates": ["get", "create"],
        "updates": ["get", "update"],
        "patches": ["get", "patch"],
        "deletes": ["get", "delete"],
    }
    return {
        name: history.user(f"writer-{name}", [*REVIEWS, {**MAPS, "verbs": verbs}])
        for name, verbs in rights.items()
    }


@pytest.mark.parametrize("user", ["reads", "creates", "updates", "patches", "deletes"])
def test_who_may_not_write_takes_nothing_back(
    history: Any, writers: dict[str, Any], space: str, user: str
) -> None:
    made = make(history, space, "a", k="1")
    changed = history.admin.patch(f"{space}/a", {"data": {"k": "2"}})
    make(history, space, "gone", k="1")
    history.admin.ok("DELETE", f"{space}/gone")
    deleted = history.revision
    for change, verb, action in (
        (revision(changed), "update", "Updated"),
        (str(deleted), "create", "Created"),
        (revision(made), "delete", "Deleted"),
    ):
        before = history.revision
        result = undo(writers[user], change)
        events = history.audited(
            verb=verb, namespace=space_of(space), resource="configmaps", user=f"writer-{user}"
        )
        if user == f"{verb}s":
            assert result["action"] == action and history.revision == before + 1
            assert [event["responseStatus"]["code"] // 100 for event in events] == [2]
        else:
            assert result["action"] == "Failed" and f"cannot {verb} resource" in result["message"]
            assert history.revision == before
            assert [event["responseStatus"]["code"] for event in events] == [403]


def test_each_write_of_a_restore_is_an_audited_request(history: Any, space: str) -> None:
    for name in ("a", "b"):
        make(history, space, name, k="1")
    before = history.revision
    for name in ("a", "b"):
        history.admin.patch(f"{space}/{name}", {"data": {"k": "2"}})
    make(history, space, "c")
    found = restore(
        history.admin,
        namespace=space_of(space),
        resources=["configmaps"],
        revision=str(before),
        prune=True,
    )
    assert actions(found) == {"a": "Updated", "b": "Updated", "c": "Deleted"}
    writes = {
        (event["verb"], event["objectRef"]["name"])
        for event in history.audited(namespace=space_of(space), resource="configmaps")
        if event["verb"] in ("update", "delete")
    }
    assert writes == {("update", "a"), ("update", "b"), ("delete", "c")}
    event = history.audited(resource="restores", verb="create")[-1]
    assert event["responseStatus"]["code"] == 201
    path = "/apis/history.pilothouse.dev/v1/namespaces"
    changes = history.admin.ok("GET", f"{path}/{space_of(space)}/changes?fieldSelector=manager=history")
    assert {one["object"]["name"] for one in changes["items"]} == {"a", "b"}


def test_one_object_is_restored(history: Any, space: str) -> None:
    made = make(history, space, "a", k="1")
    history.admin.patch(f"{space}/a", {"data": {"k": "2"}})
    spec = {"resource": "configmaps", "namespace": space_of(space), "name": "a", "revision": revision(made)}
    assert actions(restore(history.admin, **spec)) == {"a": "Updated"}
    assert actions(restore(history.admin, **spec)) == {"a": "Unchanged"}
    history.admin.ok("DELETE", f"{space}/a")
    assert actions(restore(history.admin, **spec)) == {"a": "Created"}
    assert history.admin.ok("GET", f"{space}/a")["data"] == {"k": "1"}


def test_labels_choose_what_is_restored(history: Any, space: str) -> None:
    for name in ("a", "b"):
        make(history, space, name, k="1", metadata={"labels": {"app": name}})
    before = history.revision
    for name in ("a", "b"):
        history.admin.patch(f"{space}/{name}", {"data": {"k": "2"}, "metadata": {"labels": {"app": "z"}}})
    found = restore(history.admin, namespace=space_of(space), revision=str(before), labelSelector="app=a")
    assert {name: one["action"] for (_, name), one in found.items()} == {"a": "Updated"}


@pytest.mark.parametrize(
    ("spec", "status", "text"),
    [
        ({"namespace": "default"}, 400, "either at or revision must be given"),
        ({"namespace": "default", "at": "1h", "revision": "5"}, 400, "either at or revision"),
        ({"namespace": "default", "at": "soon"}, 400, 'at: Invalid value: "soon"'),
        ({"namespace": "default", "at": "5000h"}, 410, "too old"),
        ({"namespace": "default", "revision": "x"}, 400, 'Invalid value: "x"'),
        ({"namespace": "default", "revision": "999999999"}, 504, "Too large resource version"),
        ({"revision": "5"}, 400, "spec.namespace: Required value"),
        ({"revision": "5", "resources": ["configmaps"]}, 400, "spec.namespace: Required value"),
        ({"namespace": "default", "name": "a", "revision": "5"}, 400, "a name needs the resource"),
        ({"namespace": "default", "resources": ["x"], "revision": "5"}, 400, "there is no such resource"),
        ({"namespace": "default", "resources": ["events"], "revision": "5"}, 400, "keeps no changes of them"),
        ({"namespace": "default", "labelSelector": "a==,", "revision": "5"}, 400, ""),
        (
            {"namespace": "default", "resource": "configmaps", "name": "none", "revision": "5"},
            404,
            '"none" not found',
        ),
    ],
)
def test_restores_that_are_refused(history: Any, spec: Any, status: int, text: str) -> None:
    answer = history.admin.refused("restores", spec)
    assert (answer.status, text in answer.body["message"]) == (status, True), answer


def test_a_restore_asks_admission_and_quota(history: Any, space: str) -> None:
    make(history, space, "a", k="1")
    before = history.revision
    history.admin.ok("DELETE", f"{space}/a")
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "1"}}}
    history.admin.ok("POST", f"/api/v1/namespaces/{space_of(space)}/resourcequotas", quota)
    history.server.wait(
        f"/api/v1/namespaces/{space_of(space)}/resourcequotas/q", lambda it: it["status"]["hard"]
    )
    found = restore(
        history.admin, resource="configmaps", name="a", namespace=space_of(space), revision=str(before)
    )
    [result] = found.values()
    assert result["action"] == "Failed" and "exceeded quota" in result["message"], result
    assert history.admin.ask("GET", f"{space}/a").status == 404


def test_a_namespace_comes_back_with_the_owners_of_its_objects(history: Any) -> None:
    """Owners of owners, one of a later rank, and what a controller makes."""
    name = history.namespace("whole")
    root = f"/api/v1/namespaces/{name}"
    apps = f"/apis/apps/v1/namespaces/{name}"
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}

    def owned(kind: str, api: str, owner: Any, **members: Any) -> Any:
        return {
            "ownerReferences": [
                {
                    "apiVersion": api,
                    "kind": kind,
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    **members,
                }
            ]
        }

    made: dict[tuple[str, str], Any] = {}

    def create(path: str, kind: str, obj: Any) -> Any:
        made[f"{path}/{obj['metadata']['name']}", kind] = found = history.admin.ok("POST", path, obj)
        return found

    deployment = create(f"{apps}/deployments", "Deployment", {"metadata": {"name": "web"}, "spec": spec})
    metadata = {"name": "web-1", "labels": {"app": "web"}}
    controlled = owned("Deployment", "apps/v1", deployment, controller=True)
    history.admin.ok("POST", f"{apps}/replicasets", {"metadata": metadata | controlled, "spec": spec})
    top = create(
        f"{root}/configmaps",
        "ConfigMap",
        {"metadata": {"name": "z-top"} | owned("Deployment", "apps/v1", deployment), "data": {"k": "1"}},
    )
    middle = create(
        f"{root}/secrets",
        "Secret",
        {"metadata": {"name": "middle"} | owned("ConfigMap", "v1", top), "stringData": {"p": "x"}},
    )
    create(
        f"{root}/configmaps",
        "ConfigMap",
        {"metadata": {"name": "a-below"} | owned("Secret", "v1", middle), "data": {"k": "2"}},
    )
    create(f"{root}/services", "Service", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    history.move()
    before = str(history.revision)
    for path, _ in reversed(made):
        history.admin.ask("DELETE", path)  # what a deleted owner had goes by itself
    history.admin.ok("DELETE", f"/api/v1/namespaces/{name}")
    history.server.wait(f"/api/v1/namespaces/{name}", "delete", timeout=30)
    found = restore(history.admin, namespace=name, revision=before)
    failed = [one for one in found.values() if one["action"] == "Failed"]
    assert not failed
    assert found["namespaces", name]["action"] == "Created"
    skipped = found["replicasets.apps", "web-1"]
    assert (skipped["action"], skipped["message"]) == ("Skipped", "Deployment web makes it")
    now = {(path, kind): history.admin.ok("GET", path) for path, kind in made}
    uids = {(kind, one["metadata"]["name"]): one["metadata"]["uid"] for (_, kind), one in now.items()}
    owners = 0
    for key, was in made.items():
        one = now[key]
        assert one["metadata"]["uid"] != was["metadata"]["uid"]
        for reference in one["metadata"].get("ownerReferences", ()):
            owners += 1
            assert reference["uid"] == uids[reference["kind"], reference["name"]]
        assert len(one["metadata"].get("ownerReferences", ())) == len(
            was["metadata"].get("ownerReferences", ())
        )
        assert one.get("data") == was.get("data")
        assert one.get("spec") == was.get("spec")
    assert owners == 3
    again = restore(history.admin, namespace=name, revision=before)
    assert {one["action"] for one in again.values()} <= {"Unchanged", "Skipped"}


def test_a_restore_has_a_bound_of_bytes(history: Any, space: str) -> None:
    for number in range(17):
        last = make(history, space, f"large-{number}", k="x" * 1_040_000)
    spec: Any = {"namespace": space_of(space), "revision": revision(last)}
    answer = history.admin.refused("restores", spec)
    assert answer.status == 400 and "a restore may have 5000 objects and 32 MiB" in answer.body["message"]
    assert actions(restore(history.admin, **spec, resource="configmaps", name="large-3")) == {
        "large-3": "Unchanged"
    }

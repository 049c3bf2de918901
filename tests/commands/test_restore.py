"""`pilothouse restore`: objects are again as they were."""

from typing import TYPE_CHECKING, Any

import pytest
from eventually import eventually

from pilothouse.commands.api import ApiError
from pilothouse.commands.restore import before_deletion

if TYPE_CHECKING:
    from commands.conftest import Kept

MAPS, DEPLOYMENTS = "configmaps", "deployments.apps"
CLUSTER_ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
POD = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [{"name": "web", "image": "nginx:1", "env": [{"name": "A", "value": "1"}]}],
        "nodeSelector": {"disk": "ssd"},
    },
}
SCHEMA = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
DEFINITION = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wg"]},
        "scope": "Namespaced",
        "versions": [
            {
                "name": version,
                "served": True,
                "storage": version == "v1",
                "schema": {"openAPIV3Schema": SCHEMA},
            }
            for version in ("v1", "v1beta1")
        ],
    },
}
OBJECTS: dict[str, dict[str, Any]] = {
    DEPLOYMENTS: {
        "metadata": {"labels": {"app": "web"}, "annotations": {"note": "one\ntwo"}},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": POD},
    },
    "services": {"spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}},
    MAPS: {"data": {"k": "1"}, "binaryData": {"b": "AAEC"}, "metadata": {"labels": {"app": "web"}}},
    "secrets": {"stringData": {"password": "p"}},
    "serviceaccounts": {"automountServiceAccountToken": False},
    "roles.rbac.authorization.k8s.io": {
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    },
    "rolebindings.rbac.authorization.k8s.io": {
        "roleRef": CLUSTER_ROLE,
        "subjects": [{"kind": "ServiceAccount", "name": "a"}],
    },
    "widgets.example.com": {"spec": {"size": 3, "deep": {"list": [1, {"a": None}]}}},
}


def plain(obj: dict[str, Any]) -> dict[str, Any]:
    """An object without what is made anew."""
    made = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation")
    metadata = {name: value for name, value in obj["metadata"].items() if name not in made}
    return {**{name: value for name, value in obj.items() if name != "status"}, "metadata": metadata}


def contents(kept: "Kept") -> dict[str, dict[str, Any]]:
    """All objects of the namespace by resource and name, without what controllers make by themselves."""
    found = {}
    for plural in OBJECTS:
        api_version = kept.api.call("GET", kept.collection(plural))
        for one in api_version["items"]:
            found[f"{plural}/{one['metadata']['name']}"] = plain(one)
    return found


def gone(kept: "Kept") -> bool:
    """Whether there is no namespace any more."""
    try:
        kept.api.call("GET", f"/api/v1/namespaces/{kept.namespace}")
    except ApiError as error:
        return error.status == 404
    return False


@pytest.fixture
def filled(kept: "Kept") -> "Kept":
    """The server with objects of many kinds in the namespace."""
    kept.api.ensure("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", DEFINITION)

    def served() -> bool:
        try:
            kept.api.call("GET", kept.collection("widgets.example.com"))
        except ApiError:
            return False
        return True

    eventually(served, "the definition")
    for plural, members in OBJECTS.items():
        kind = {"apiVersion": "example.com/v1", "kind": "Widget"} if "widgets" in plural else {}
        for name in ("a", "b"):
            kept.create(plural, name, **{**members, **kind})
    eventually(lambda: f"{MAPS}/kube-root-ca.crt" in contents(kept), "the controllers")
    return kept


def test_a_namespace_that_was_deleted(filled: "Kept") -> None:
    before = contents(filled)
    assert len(before) == 2 * len(OBJECTS) + 2  # the service account `default`, and kube-root-ca.crt
    filled.api.call("DELETE", f"/api/v1/namespaces/{filled.namespace}")
    eventually(lambda: gone(filled), "the namespace to go")

    here = ["restore", "-n", filled.namespace, "--all"]
    status, text = filled.run(*here, "--dry-run")
    assert status == 0 and "not tried: its namespace is not there yet" in text and gone(filled)

    status, text = filled.run(*here)
    assert status == 0, text
    assert text.startswith("created") and f"namespaces/{filled.namespace}" in text.split("\n")[0]
    now = contents(filled)
    addresses = [one["services/a"]["spec"].get("clusterIP") for one in (before, now)]
    assert now == before, (text, addresses)
    status, text = filled.run(*here)  # it is the deletion that has been, so there is nothing left to do
    assert status == 2 and "has not been deleted: say --at or --revision" in text


def test_a_namespace_at_a_time(filled: "Kept") -> None:
    before, at = contents(filled), filled.now()
    filled.change(MAPS, "a", {"data": {"k": "2"}})
    filled.delete("services", "a")
    filled.create(MAPS, "new")
    here = ["restore", "-n", filled.namespace, "--all", "--at", at]
    results = filled.json(*here, "--dry-run")["status"]["results"]
    assert {(one["resource"], one["name"], one["action"]) for one in results} == {
        ("services", "a", "Created"),
        (MAPS, "a", "Updated"),
    }
    assert contents(filled) != before
    assert filled.run(*here)[0] == 0
    now = contents(filled)
    assert now.pop(f"{MAPS}/new") and now == before
    assert "deleted  configmaps/new" in filled.run(*here, "--prune")[1]
    assert contents(filled) == before


def test_some_objects_of_a_namespace(filled: "Kept") -> None:
    revision = filled.get(MAPS, "b")["metadata"]["resourceVersion"]
    revision = str(
        max(int(revision), int(filled.get("widgets.example.com", "b")["metadata"]["resourceVersion"]))
    )
    for name in ("a", "b"):
        filled.change(MAPS, name, {"data": {"k": "2"}})
        filled.change("secrets", name, {"data": {}})
    filled.change(MAPS, "b", {"metadata": {**filled.get(MAPS, "b")["metadata"], "labels": {}}})
    here = ["restore", "-n", filled.namespace, f"--revision=r{revision}"]
    status, text = filled.run(*here, "-l", "app=web", "--resources=cm,deploy")
    assert (status, text.split("\n")[:2]) == (0, ["updated  configmaps/a", "updated  configmaps/b"])
    assert filled.get(MAPS, "b")["metadata"]["labels"] == {"app": "web"}
    assert filled.get("secrets", "a").get("data", {}) == {}
    assert "2 updated" in filled.run(*here, "--resources", "Secret")[1]


def test_one_object_that_was_deleted(filled: "Kept") -> None:
    before = contents(filled)
    filled.delete("widgets.example.com", "a")
    filled.delete(DEPLOYMENTS, "a")
    for words in (["wg/a"], ["deploy", "a"]):
        status, text = filled.run("restore", *words, "-n", filled.namespace)
        assert status == 0 and text.startswith("created")
    assert contents(filled) == before
    status, text = filled.run("restore", "cm/a", "-n", filled.namespace)
    assert status == 2 and "configmaps/a has not been deleted" in text


def test_one_object_that_was_there_until_its_finalizer_was_taken(kept: "Kept") -> None:
    kept.create(MAPS, "a", data={"k": "1"}, metadata={"finalizers": ["example.com/wait"]})
    kept.delete(MAPS, "a")
    kept.change(MAPS, "a", {"metadata": {**kept.get(MAPS, "a")["metadata"], "finalizers": []}})
    with pytest.raises(ApiError, match="not found"):
        kept.get(MAPS, "a")
    assert kept.run("restore", "cm/a", "-n", kept.namespace)[0] == 0
    now = kept.get(MAPS, "a")
    assert (
        now["metadata"]["finalizers"] == ["example.com/wait"] and "deletionTimestamp" not in now["metadata"]
    )


def test_a_restore_has_the_rights_of_its_user(kept: "Kept") -> None:
    for name in ("a", "b"):
        kept.create(MAPS, name)
        kept.delete(MAPS, name)
    kept.create(MAPS, "c")
    revision = int(kept.get(MAPS, "c")["metadata"]["resourceVersion"])
    rules = [
        {
            "apiGroups": ["history.pilothouse.dev"],
            "resources": ["restores", "changes"],
            "verbs": ["create", "list"],
        },
        {"apiGroups": [""], "resources": [MAPS], "verbs": ["get"]},
        {"apiGroups": [""], "resources": [MAPS], "verbs": ["create"]},
    ]
    user = kept.server.user("restorer", rules=rules)
    here = ["restore", "cm/a", "-n", kept.namespace]
    assert kept.run(*here, kubeconfig=user.kubeconfig)[0] == 0
    kept.delete(MAPS, "c")
    kept.create(MAPS, "c", data={"k": "2"})
    status, text = kept.run(
        "restore",
        "-n",
        kept.namespace,
        "--resources=cm",
        f"--revision={revision}",
        kubeconfig=user.kubeconfig,
    )
    assert status == 1 and "failed" in text and 'User "restorer" cannot update resource' in text
    assert kept.get(MAPS, "c")["data"] == {"k": "2"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say KIND/NAME, or choose objects of a namespace by --all, --selector or --resources"),
        (["-n", "default"], "say KIND/NAME, or choose objects"),
        (["cm/a", "--all"], "--all is for a namespace, not for one object"),
        (["cm/a", "--at=1h", "--revision=1"], "--at and --revision exclude each other"),
        (["--resources=cm,nope", "--at=1h"], 'doesn\'t have a resource type "nope"'),
    ],
)
def test_command_lines_that_cannot_be_read(kept: "Kept", words: list[str], said: str) -> None:
    status, text = kept.run("restore", *words)
    assert status == 2 and said in text


def test_times_that_history_does_not_reach(kept: "Kept") -> None:
    status, text = kept.run("restore", "cm/a", "--at=9000h")
    assert status == 1 and "too old" in text


def change(revision: int, operation: str, *paths: str) -> dict[str, Any]:
    return {"revision": str(revision), "operation": operation, "fields": [{"path": path} for path in paths]}


def test_when_a_deletion_began() -> None:
    begun = change(7, "Changed", ".metadata.deletionTimestamp", ".status.phase")
    earlier = [
        change(4, "Created"),
        change(3, "Deleted"),
        change(2, "Changed", ".metadata.deletionTimestamp"),
    ]
    assert before_deletion([change(9, "Deleted"), change(8, "Changed"), begun, *earlier]) == 6
    assert before_deletion([change(9, "Deleted"), change(8, "Changed", ".data.k"), *earlier]) == 8

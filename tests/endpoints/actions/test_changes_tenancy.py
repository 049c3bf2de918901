"""The past of a namespace that was deleted and created again for somebody else."""

from typing import Any, NamedTuple

import pytest
from eventually import eventually

HISTORY = "/apis/history.pilothouse.dev/v1"
CHANGES = {"apiGroups": ["history.pilothouse.dev"], "resources": ["*"], "verbs": ["*"]}
SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}


class Lives(NamedTuple):
    """Two lives of one namespace. before: a revision of the first with its Secrets; at: the time of it."""

    history: Any
    namespace: str
    before: str
    at: str
    changes: list[Any]
    tenant: Any
    auditor: Any


@pytest.fixture(scope="module")
def lives(history: Any) -> Lives:
    admin, name = history.admin, history.namespace("shared")
    path = f"/api/v1/namespaces/{name}/secrets"
    for secret in ("old", "both"):
        made = admin.ok("POST", path, {"metadata": {"name": secret}, "stringData": {"p": "former"}})
    found = admin.ok("GET", f"{HISTORY}/namespaces/{name}/changes?fieldSelector=object.resource=secrets")
    changes = found["items"]
    admin.ok("DELETE", f"/api/v1/namespaces/{name}")
    eventually(
        lambda: admin.ask("GET", f"/api/v1/namespaces/{name}").status == 404, "the end of the namespace"
    )
    admin.ok("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    admin.ok("POST", path, {"metadata": {"name": "both"}, "stringData": {"p": "present"}})
    before = made["metadata"]["resourceVersion"]
    time = next(one["time"] for one in changes if one["object"]["name"] == "both")
    tenant = history.user("tenant", [CHANGES])
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}"
    admin.ok("POST", f"{rbac}/roles", {"metadata": {"name": "own"}, "rules": [SECRETS]})
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "own"}
    binding = {"metadata": {"name": "own"}, "roleRef": role, "subjects": [subject]}
    admin.ok("POST", f"{rbac}/rolebindings", binding)
    auditor = history.user("auditor", [CHANGES, SECRETS])
    return Lives(history, name, before, time, changes, tenant, auditor)


def secrets(lives: Lives, name: str = "") -> str:
    return f"/api/v1/namespaces/{lives.namespace}/secrets" + (f"/{name}" if name else "")


@pytest.mark.parametrize("name", ["old", "both", "never"])
def test_the_present_tenant_gets_nothing_of_the_former_one(lives: Lives, name: str) -> None:
    exact = f"resourceVersion={lives.before}&resourceVersionMatch=Exact"
    answers = [lives.tenant.ask("GET", f"{secrets(lives, name)}?{exact}")]
    answers.append(lives.tenant.ask("GET", f"{secrets(lives, name)}?at={lives.at}"))
    answers.append(lives.tenant.ask("GET", f"{secrets(lives)}?{exact}"))
    answers.append(lives.tenant.ask("GET", f"{secrets(lives)}?at={lives.at}"))
    for answer in answers:
        assert answer.status == 403 and "older than the namespace" in answer.body["message"]
    collection = [lives.tenant.ask("DELETE", f"{secrets(lives)}?{exact}&dryRun=All")]
    assert collection[0].status == 403 and "older than the namespace" in collection[0].body["message"]
    since = f"timeoutSeconds=1&resourceVersion={lives.before}"
    by_path = secrets(lives, name).replace("/api/v1/", "/api/v1/watch/")
    for path in (
        f"{secrets(lives)}?watch=1&{since}",
        f"{by_path}?{since}",
        f"{by_path.rpartition('/')[0]}?{since}",
    ):
        assert lives.tenant.ask("GET", path).status == 410


def test_a_right_in_all_namespaces_reads_both_lives(lives: Lives) -> None:
    exact = f"resourceVersion={lives.before}&resourceVersionMatch=Exact"
    assert lives.auditor.ok("GET", f"{secrets(lives, 'old')}?{exact}")["metadata"]["name"] == "old"
    assert len(lives.auditor.ok("GET", f"{secrets(lives)}?{exact}")["items"]) == 2
    found = lives.auditor.ok("GET", f"{HISTORY}/changes?limit=5000")["items"]
    assert {one["metadata"]["name"] for one in lives.changes} <= {one["metadata"]["name"] for one in found}


def test_the_present_life_has_a_past_of_its_own(lives: Lives) -> None:
    now = lives.tenant.ok("GET", secrets(lives, "both"))
    exact = f"resourceVersion={now['metadata']['resourceVersion']}&resourceVersionMatch=Exact"
    assert lives.tenant.ok("GET", f"{secrets(lives, 'both')}?{exact}")["data"] == now["data"]
    assert lives.tenant.ok("GET", f"{secrets(lives, 'both')}?at=0s")["data"] == now["data"]
    changes = f"{HISTORY}/namespaces/{lives.namespace}/changes"
    assert [one["object"]["name"] for one in lives.tenant.ok("GET", changes)["items"]] == ["both"]
    blame = {"resource": "secrets", "namespace": lives.namespace, "name": "both"}
    fields = lives.tenant.review("blames", blame)["fields"]
    assert "former" not in str(fields) and all(one.get("revision") != lives.before for one in fields)


@pytest.mark.parametrize("selector", ["", "?fieldSelector=user=nobody", "?fieldSelector=verb=create"])
def test_a_hidden_change_is_not_told_from_one_that_never_was(lives: Lives, selector: str) -> None:
    changes = f"{HISTORY}/namespaces/{lives.namespace}/changes"
    hidden = lives.changes[0]["metadata"]["name"]
    found = [lives.tenant.ask("GET", f"{changes}/{name}{selector}") for name in (hidden, "r999999999")]
    assert [one.status for one in found] == [404, 404]
    texts = [
        str(one.body).replace(name, "N") for one, name in zip(found, (hidden, "r999999999"), strict=True)
    ]
    assert texts[0] == texts[1]


def test_undo_and_restore_stop_at_the_boundary(lives: Lives) -> None:
    for change in lives.changes:
        assert lives.tenant.refused("undos", {"change": change["metadata"]["name"]}).status == 404
    for name in ("old", "both", "never"):
        spec = {"resource": "secrets", "namespace": lives.namespace, "name": name, "revision": lives.before}
        refused = lives.tenant.refused("restores", spec)
        assert refused.status == 403 and "older than the namespace" in refused.body["message"]
    many = {"resources": ["secrets"], "namespace": lives.namespace, "revision": lives.before}
    for selector in ("", "a=b"):
        refused = lives.tenant.refused("restores", many | {"labelSelector": selector})
        assert refused.status == 403 and '"old"' not in str(refused.body)


def test_the_past_of_a_namespace_that_is_gone_needs_the_right_in_all(lives: Lives) -> None:
    admin, name = lives.history.admin, lives.history.namespace("gone")
    made = admin.ok("POST", f"/api/v1/namespaces/{name}/secrets", {"metadata": {"name": "a"}})
    admin.ok("DELETE", f"/api/v1/namespaces/{name}")
    eventually(
        lambda: admin.ask("GET", f"/api/v1/namespaces/{name}").status == 404, "the end of the namespace"
    )
    exact = f"resourceVersion={made['metadata']['resourceVersion']}&resourceVersionMatch=Exact"
    assert len(lives.auditor.ok("GET", f"/api/v1/namespaces/{name}/secrets?{exact}")["items"]) == 1

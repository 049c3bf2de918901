"""GET /debug/requests: who may ask, what is listed, and that it agrees with reviews of rights."""

import asyncio
import os
from typing import Any

import pytest
import yaml
from harness import CONFIG_MAPS, PODS, Rig, config_map, pod

from pilothouse.api.values.identity import AuthorizationAttributes, RequestInfo, User
from pilothouse.authz.rbac import rules_allow
from pilothouse.endpoints.journal.why import MOST
from pilothouse.endpoints.request.context import Context
from pilothouse.server.request import Request

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REQUESTS = "/debug/requests"
Object = dict[str, Any]


async def apply(rig: Rig, obj: Object) -> None:
    plural = obj["kind"].lower() + "s"
    place = f"namespaces/{obj['metadata']['namespace']}/" if "namespace" in obj["metadata"] else ""
    await rig.ok("POST", f"{RBAC}/{place}{plural}", obj)


async def listed(rig: Rig, query: str = "") -> list[Object]:
    return list((await rig.ok("GET", REQUESTS + query))["requests"])


async def test_nobody_else_may_ask(rig: Rig) -> None:
    audit_id = (await rig.call("GET", PODS)).headers["audit-id"]
    for path in (REQUESTS, f"{REQUESTS}/", f"{REQUESTS}/{audit_id}"):
        assert (await rig.call("GET", path, user="jane")).status == 403
        assert (await rig.call("GET", path, user="")).status == 403
        assert (await rig.call("GET", path)).status == 200


async def test_a_right_of_its_own(rig: Rig) -> None:
    audit_id = (await rig.call("GET", PODS)).headers["audit-id"]
    rule = {"nonResourceURLs": [REQUESTS, f"{REQUESTS}/*"], "verbs": ["get"]}
    await rig.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "explainer"}, "rules": [rule]})
    binding = {
        "metadata": {"name": "explainers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "explainer"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await rig.ok("POST", f"{RBAC}/clusterrolebindings", binding)
    for path in (REQUESTS, f"{REQUESTS}/{audit_id}"):
        await rig.ok("GET", path, user="jane")
        assert (await rig.call("POST", path, user="jane")).status == 403
    assert (await rig.call("POST", REQUESTS)).status == 405


async def test_the_filters_of_a_list(rig: Rig) -> None:
    await rig.config_map("a")
    await rig.call("GET", f"{CONFIG_MAPS}/a", user="jane")
    await rig.call("GET", "/apis/apps/v1/deployments")
    await rig.call("PUT", f"{PODS}/p/status", pod("p"))
    await rig.call("GET", "/version", headers={"impersonate-user": "joe"})
    for query, paths in (
        ("?user=jane", [f"{CONFIG_MAPS}/a"]),
        ("?user=joe", ["/version"]),
        ("?code=404", [f"{PODS}/p/status"]),
        ("?verb=create&namespace=default", [CONFIG_MAPS]),
        ("?resource=configmaps", [f"{CONFIG_MAPS}/a", CONFIG_MAPS]),
        ("?resource=deployments.apps", ["/apis/apps/v1/deployments"]),
        ("?resource=pods/status", [f"{PODS}/p/status"]),
        ("?slow=1h", []),
        ("?slow=1ns&resource=pods/status", [f"{PODS}/p/status"]),
    ):
        assert [one["path"] for one in await listed(rig, query)] == paths, query
    first = (await listed(rig, "?user=jane"))[0]
    assert (first["verb"], first["code"], first["user"], first["resource"]) == (
        "get",
        403,
        "jane",
        "configmaps",
    )


async def test_refused_requests_and_their_reasons(rig: Rig) -> None:
    await rig.config_map("a")
    await rig.call("GET", f"{CONFIG_MAPS}/a", user="jane")
    await rig.call("GET", f"{CONFIG_MAPS}/b")
    missing, refused = await listed(rig, "?refused=true")
    assert (missing["code"], missing["reason"], missing["message"]) == (
        404,
        "NotFound",
        'configmaps "b" not found',
    )
    assert refused["code"] == 403 and 'User "jane" cannot get resource "configmaps"' in refused["message"]
    assert "message" not in (await listed(rig, "?resource=configmaps&verb=create"))[0]


async def test_a_refusal_outlives_many_requests_that_succeed(runner: asyncio.Runner) -> None:
    async with Rig(flags=["--explained-requests=30"]) as rig:
        refused = await rig.call("GET", PODS, user="jane")
        for _ in range(40):
            await rig.call("GET", "/version")
        assert "jane" not in [one["user"] for one in await listed(rig, "?limit=20")]
        (found,) = await listed(rig, "?refused=true")
        assert found["auditID"] == refused.headers["audit-id"]
        (one,) = (await rig.ok("GET", f"{REQUESTS}/{found['auditID']}"))["requests"]
        assert one["why"].startswith("No authorizer allowed jane to list pods")


async def test_the_slowest_requests(rig: Rig) -> None:
    """How long a watch takes is up to its client, so it does not count."""
    for path in ("/version", f"{PODS}?watch=1", "/apis", PODS, f"{CONFIG_MAPS}/a", "/healthz"):
        await rig.call("GET", path, user="jane")
    slowest = await listed(rig, "?user=jane&slowest=true&limit=3")
    others = [one for one in await listed(rig, "?user=jane") if one["verb"] != "watch"]
    assert len(others) == 5
    assert {one["auditID"] for one in slowest} < {one["auditID"] for one in others}
    seconds = sorted((one["seconds"] for one in others), reverse=True)
    assert [one["seconds"] for one in slowest] == seconds[:3]
    page = await rig.ok("GET", f"{REQUESTS}?user=jane&slowest=true&limit=4")
    assert page["more"] and len(page["requests"]) == 4
    assert not (await rig.ok("GET", f"{REQUESTS}?user=jane&slowest=true&limit=5"))["more"]


async def test_a_list_is_limited(rig: Rig) -> None:
    for _ in range(8):
        await rig.call("GET", "/version")
    page = await rig.ok("GET", f"{REQUESTS}?limit=3")
    assert len(page["requests"]) == 3 and page["more"] and page["kept"] > 8
    assert not (await rig.ok("GET", f"{REQUESTS}?limit={MOST * 9}&verb=get&user=admin"))["more"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?limit=x", 'limit: "x" is no number'),
        ("?code=%2D1", 'code: "-1" is no number'),
        ("?refused=yes", 'refused: "yes" is neither true nor false'),
        ("?slow=fast", 'slow: time: invalid duration "fast"'),
        ("?colour=red", 'unknown parameter "colour": known ones are code, limit'),
    ],
)
async def test_bad_queries(rig: Rig, query: str, message: str) -> None:
    assert message in await rig.fail(400, "GET", REQUESTS + query)


async def test_others_get_a_turn_while_a_long_journal_is_read(rig: Rig) -> None:
    journal = rig.handlers.journal
    assert journal is not None
    ctx = Context(Request("GET", "/version", {}, []), RequestInfo("/version", "get"), {}, "id")
    for _ in range(9000):
        journal.add(ctx, 1.0, 0, None)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    page = await rig.ok("GET", f"{REQUESTS}?verb=list")
    counting.cancel()
    assert page["requests"] == [] and page["kept"] > 9000 and turns >= 4


async def test_an_id_that_is_not_known(rig: Rig) -> None:
    answer = await rig.call("GET", f"{REQUESTS}/nope")
    assert answer.status == 404
    assert 'request "nope" is not among the last' in answer.body["message"]
    (cause,) = answer.body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("Server", str(os.getpid()))


async def test_an_id_that_several_requests_have_sent(rig: Rig) -> None:
    for path in ("/version", "/api"):
        await rig.call("GET", path, headers={"audit-id": "a b/%2Fc"})
    found = await rig.ok("GET", f"{REQUESTS}/a%20b%2F%252Fc")
    assert [one["request"]["path"] for one in found["requests"]] == ["/api", "/version"]


async def test_the_flow_and_the_wait_for_seats(runner: asyncio.Runner) -> None:
    """There are few seats, so some requests wait until the answers of others have been taken."""
    async with Rig(flags=["--max-requests-inflight=1", "--max-mutating-requests-inflight=0"]) as rig:
        group = "/apis/flowcontrol.apiserver.k8s.io/v1"
        queues = {"type": "Queue", "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": 50}}
        limited = {"nominalConcurrencyShares": 1, "lendablePercent": 0, "limitResponse": queues}
        level = {"metadata": {"name": "calm"}, "spec": {"type": "Limited", "limited": limited}}
        await rig.ok("POST", f"{group}/prioritylevelconfigurations", level)
        everybody = [{"kind": "Group", "group": {"name": "system:authenticated"}}]
        rules = [{"subjects": everybody, "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]
        spec = {"priorityLevelConfiguration": {"name": "calm"}, "rules": rules}
        await rig.ok("POST", f"{group}/flowschemas", {"metadata": {"name": "paths"}, "spec": spec})
        headers = {"impersonate-user": "joe", "impersonate-group": "system:authenticated"}
        sent = [asyncio.ensure_future(rig.respond("GET", "/version", headers=headers)) for _ in range(20)]
        await asyncio.sleep(0.005)
        waiting = [one for one in sent if not one.done()]
        assert 0 < len(waiting) < 20
        for one in sent:  # in the order in which they have come
            last = rig.answer(await one)
        audit_id = last.headers["audit-id"]
        (found,) = (await rig.ok("GET", f"{REQUESTS}/{audit_id}"))["requests"]
        flow = found["flowControl"]
        assert (flow["flowSchema"], flow["priorityLevel"]) == ("paths", "calm")
        assert flow["queue"]["seats"] == 1 and flow["queue"]["waitedSeconds"] > 0
        assert [stage["name"] for stage in found["stages"]][2] == "queue"


async def test_without_roles_none_is_suggested(runner: asyncio.Runner) -> None:
    async with Rig(modes=("AlwaysDeny",)) as rig:
        audit_id = (await rig.call("GET", PODS, user="jane")).headers["audit-id"]
        (found,) = (await rig.ok("GET", f"{REQUESTS}/{audit_id}"))["requests"]
        assert found["authorization"] == {"decision": "not allowed", "reason": "Everything is forbidden."}


RULES = [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["update"], "resourceNames": ["a"]},
    {"apiGroups": ["apps"], "resources": ["*"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
]
ASKED = [
    ("GET", CONFIG_MAPS, "list", "", "configmaps", "", ""),
    ("GET", f"{CONFIG_MAPS}/a", "get", "", "configmaps", "", "a"),
    ("PUT", f"{CONFIG_MAPS}/a", "update", "", "configmaps", "", "a"),
    ("PUT", f"{CONFIG_MAPS}/b", "update", "", "configmaps", "", "b"),
    ("DELETE", f"{CONFIG_MAPS}/b", "delete", "", "configmaps", "", "b"),
    ("GET", "/apis/apps/v1/namespaces/default/deployments/d", "get", "apps", "deployments", "", "d"),
    ("GET", "/apis/apps/v1/namespaces/default/deployments", "list", "apps", "deployments", "", ""),
    ("GET", f"{PODS}/p/log", "get", "", "pods", "log", "p"),
    ("GET", f"{PODS}/p", "get", "", "pods", "", "p"),
    ("GET", "/api/v1/nodes", "list", "", "nodes", "", ""),
]


async def may(rig: Rig) -> list[Object]:
    """The rules about resources that `kubectl auth can-i --list` shows jane."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "default"},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    rules = {
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectrulesreviews"],
        "verbs": ["create"],
    }
    if (await rig.call("POST", path, review, user="jane")).status == 403:
        await rig.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "reviews"}, "rules": [rules]})
        await rig.ok("POST", f"{RBAC}/clusterrolebindings", bound("ClusterRole", "reviews"))
    return list((await rig.ok("POST", path, review, user="jane"))["status"]["resourceRules"])


def bound(kind: str, role: str) -> Object:
    return {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
    }


async def test_it_agrees_with_the_rules_review_and_the_suggested_roles_are_enough(rig: Rig) -> None:
    """`kubectl auth can-i --list` shows each rule that has allowed a request, and none that would allow a
    refused one; with the suggested role the request is allowed, and the list shows that role's rule."""
    await rig.ok("POST", f"{RBAC}/namespaces/default/roles", {"metadata": {"name": "some"}, "rules": RULES})
    await rig.ok("POST", f"{RBAC}/namespaces/default/rolebindings", bound("Role", "some"))
    allowed = 0
    for method, path, verb, group, resource, subresource, name in ASKED:
        rules = await may(rig)
        body = config_map(name) if method == "PUT" else None
        audit_id = (await rig.call(method, path, body, user="jane")).headers["audit-id"]
        (found,) = (await rig.ok("GET", f"{REQUESTS}/{audit_id}"))["requests"]
        namespace = "" if resource == "nodes" else "default"
        asked = AuthorizationAttributes(
            User("jane"), verb, path, True, group, "v1", resource, subresource, namespace, name
        )
        told = found["authorization"]
        assert rules_allow(asked, rules).allowed == (told["decision"] == "allowed"), (path, told)
        if told["decision"] == "allowed":
            allowed += 1
            assert told["rule"] in rules
            continue
        assert found["answer"]["code"] == 403
        role, binding = yaml.safe_load_all(told["wouldAllow"])
        await apply(rig, role)
        await apply(rig, binding)
        assert (await rig.call(method, path, body, user="jane")).status != 403
        if namespace:
            assert role["rules"][0] in await may(rig)
    assert allowed == 5

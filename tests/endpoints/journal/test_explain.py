"""The explanation of a request's answer."""

import asyncio
import pathlib
from typing import Any

import pytest
from aiohttp import web
from harness import CONFIG_MAPS, PODS, Rig, config_map, pod
from policies import Judge, mutating, policed, validating
from webhooks import Hooked, allow, deny, label

from pilothouse.admission.podsecurity.plugin import PodSecurity
from pilothouse.admission.tolerations import DefaultTolerationSeconds

Object = dict[str, Any]
RBAC = "/apis/rbac.authorization.k8s.io/v1"
LIMITS = {"spec": {"containers": [{"name": "c", "image": "i", "securityContext": {"privileged": True}}]}}


async def explained(rig: Rig, *sent: Any, headers: dict[str, str] | None = None, **more: Any) -> Object:
    """The explanation of a request that is sent now."""
    answer = await rig.call(*sent, headers=headers, **more)
    (found,) = (await rig.ok("GET", f"/debug/requests/{answer.headers['audit-id']}"))["requests"]
    assert found["answer"]["code"] == answer.status
    return dict(found)


def steps(found: Object) -> list[tuple[str, ...]]:
    return [
        (step["phase"], step["plugin"], step.get("name", ""), step.get("by", ""), step["verdict"])
        for step in found["admission"]
    ]


async def test_a_read(rig: Rig) -> None:
    await rig.config_map("a")
    agent = {"user-agent": "kubectl/v1.36"}
    found = await explained(rig, "GET", f"{CONFIG_MAPS}/a?resourceVersion=0", headers=agent)
    assert found["why"] == "It was allowed and carried out."
    assert found["request"].pop("received").endswith("Z")
    assert found["request"] == {
        "verb": "get",
        "path": f"{CONFIG_MAPS}/a",
        "resource": "configmaps",
        "apiVersion": "v1",
        "namespace": "default",
        "name": "a",
        "query": "resourceVersion=0",
        "userAgent": "kubectl/v1.36",
    }
    assert found["authentication"] == {
        "recognisedBy": "token file",
        "user": {"username": "admin", "uid": "1", "groups": ["system:masters", "system:authenticated"]},
    }
    assert found["authorization"] == {"decision": "allowed", "by": "system:masters"}
    assert [stage["name"] for stage in found["stages"]] == [
        "authentication", "authorization", "answer", "sending",
    ]  # fmt: skip
    assert sum(stage["seconds"] for stage in found["stages"]) == pytest.approx(found["seconds"], abs=1e-6)


async def test_the_rule_and_the_binding_that_allow(rig: Rig) -> None:
    rules = [
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["configmaps", "pods"], "verbs": ["get", "list"]},
    ]
    await rig.ok("POST", f"{RBAC}/namespaces/default/roles", {"metadata": {"name": "reader"}, "rules": rules})
    binding = {
        "metadata": {"name": "readers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "Group", "name": "dev", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await rig.ok("POST", f"{RBAC}/namespaces/default/rolebindings", binding)
    found = await explained(rig, "GET", PODS, user="jane")
    assert found["authorization"] == {
        "decision": "allowed",
        "by": "RBAC",
        "reason": 'RBAC: allowed by RoleBinding "readers/default" of Role "reader" to Group "dev"',
        "rule": rules[1],
    }


async def test_who_acts_as_another(rig: Rig) -> None:
    found = await explained(rig, "GET", PODS, headers={"impersonate-user": "joe"})
    assert found["authentication"]["user"]["username"] == "admin"
    assert found["impersonation"]["user"]["username"] == "joe"
    assert found["impersonation"]["constraint"] == "impersonate:user-info"
    assert found["why"] == "No authorizer allowed joe to list pods in the namespace default."
    assert "impersonation" in [stage["name"] for stage in found["stages"]]


async def test_a_right_to_impersonate_that_is_missing(rig: Rig) -> None:
    found = await explained(rig, "GET", PODS, user="jane", headers={"impersonate-user": "joe"})
    assert found["authorization"]["decision"] == "not allowed"
    assert (
        "impersonate" in found["authorization"]["wouldAllow"]
        and "name: jane" in found["authorization"]["wouldAllow"]
    )


async def test_nobody_is_recognised(rig: Rig) -> None:
    found = await explained(rig, "GET", PODS, user="wrong")
    assert found["why"] == "Nobody was recognised: no authenticator knows the token."
    assert found["authentication"] == {
        "others": [{"authenticator": "token file", "said": "no token of this sort"}]
    }
    assert "authorization" not in found


async def test_an_invalid_object(rig: Rig) -> None:
    found = await explained(rig, "POST", CONFIG_MAPS, config_map("Bad_"))
    assert found["why"] == "The object is invalid: 1 cause."
    (cause,) = found["answer"]["causes"]
    assert (cause["field"], cause["reason"]) == ("metadata.name", "FieldValueInvalid")
    assert [stage["name"] for stage in found["stages"]][2:4] == ["body", "mutating admission"]
    assert "commit" not in found


async def test_a_write(runner: asyncio.Runner) -> None:
    async with Rig([DefaultTolerationSeconds()]) as rig:
        found = await explained(rig, "POST", PODS, pod("p"))
        assert steps(found) == [("admit", "DefaultTolerationSeconds", "", "", "changed the object")]
        assert found["admission"][0]["changed"] == ["spec.tolerations"]
        made = await rig.ok("GET", f"{PODS}/p")
        assert str(found["commit"]["revision"]) == made["metadata"]["resourceVersion"]
        names = [stage["name"] for stage in found["stages"]]
        assert names[2:] == [
            "body", "mutating admission", "rules of the kind", "validating admission", "commit", "answer",
            "sending",
        ]  # fmt: skip
        assert sum(stage["seconds"] for stage in found["stages"]) == pytest.approx(found["seconds"], abs=1e-6)
        deleted = await explained(rig, "DELETE", f"{PODS}/p?gracePeriodSeconds=0")
        assert deleted["commit"]["revision"] > found["commit"]["revision"]


async def test_a_plugin_that_refuses(runner: asyncio.Runner) -> None:
    async with Rig([PodSecurity()]) as rig:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        await rig.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "strict", "labels": labels}})
        found = await explained(rig, "POST", "/api/v1/namespaces/strict/pods", pod("p"))
        assert found["why"] == "The admission plugin PodSecurity refused it."
        assert found["admission"][-1]["verdict"] == "refused"
        assert 'violates PodSecurity "restricted:latest"' in found["admission"][-1]["message"]


async def test_webhooks(runner: asyncio.Runner, tmp_path: pathlib.Path) -> None:
    async with Hooked(tmp_path) as hooked:
        await hooked.mutating("/label", label("x"))
        await hooked.validating("/allow", allow)
        await hooked.validating("/deny", deny)
        found = await explained(hooked.rig, "POST", CONFIG_MAPS, config_map("c"))
        assert steps(found) == [
            ("admit", "NamespaceLifecycle", "", "", "passed"),
            ("admit", "MutatingAdmissionWebhook", "label.example.com", "label", "changed the object"),
            ("admit", "MutatingAdmissionWebhook", "", "", "passed"),
            ("admit", "NamespaceLifecycle", "", "", "passed"),  # again, as the object was changed
            ("admit", "MutatingAdmissionWebhook", "", "", "passed"),
            ("validate", "ValidatingAdmissionWebhook", "allow.example.com", "allow", "passed"),
            ("validate", "ValidatingAdmissionWebhook", "deny.example.com", "deny", "refused"),
            ("validate", "ValidatingAdmissionWebhook", "", "", "refused"),
        ]
        assert found["admission"][1]["changed"] == ["/metadata/labels"]
        assert (
            found["why"] == 'The admission plugin ValidatingAdmissionWebhook "deny.example.com" refused it.'
        )


async def test_a_webhook_that_cannot_be_called(runner: asyncio.Runner, tmp_path: pathlib.Path) -> None:
    async with Hooked(tmp_path) as hooked:
        gone: Any = {"clientConfig": {"url": "https://127.0.0.1:1/x"}}
        await hooked.validating("/ignored", failurePolicy="Ignore", **gone)
        found = await explained(hooked.rig, "POST", CONFIG_MAPS, config_map("c"))
        assert found["answer"]["code"] == 201
        hook = next(step for step in found["admission"] if step.get("name"))
        assert hook["verdict"] == "failed, ignored" and "failed calling webhook" in hook["message"]


SECRETS = "/api/v1/namespaces/default/secrets"
SECRET = {"metadata": {"name": "s"}, "stringData": {"a": "canary"}}
ABOUT_SECRETS = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["secrets"]}]


async def test_why_a_secret_was_refused_by_a_webhook_that_is_gone(
    runner: asyncio.Runner, tmp_path: pathlib.Path
) -> None:
    async with Hooked(tmp_path) as hooked:
        gone: Any = {"clientConfig": {"url": "https://127.0.0.1:1/x"}, "rules": ABOUT_SECRETS}
        await hooked.validating("/gone", **gone)
        found = await explained(hooked.rig, "POST", SECRETS, SECRET)
        assert found["answer"]["code"] == 500
        assert "connection refused" in found["answer"]["message"]
        assert "connection refused" in found["answer"]["causes"][0]["message"]
        hook = next(step for step in found["admission"] if step.get("name"))
        assert "connection refused" in hook["message"]


def says_the_value(request: Object) -> web.Response:
    return web.Response(status=500, text="I do not like canary")


@pytest.mark.parametrize(
    "hook", [says_the_value, lambda request: deny(request) | {"status": {"message": "canary"}}]
)
async def test_what_a_webhook_says_of_a_secret_is_not_kept(
    runner: asyncio.Runner, tmp_path: pathlib.Path, hook: Any
) -> None:
    async with Hooked(tmp_path) as hooked:
        await hooked.validating("/says", hook, rules=ABOUT_SECRETS)
        answer = await hooked.rig.call("POST", SECRETS, SECRET)
        assert "canary" in str(answer.body)
        found = await explained(hooked.rig, "POST", SECRETS, SECRET)
        assert "canary" not in str(found) and "causes" not in found["answer"], found


@pytest.mark.parametrize(
    ("actions", "verdict", "code"),
    [(["Deny"], "refused", 422), (["Warn", "Audit"], "warned, recorded", 201)],
)
async def test_policies(runner: asyncio.Runner, actions: list[str], verdict: str, code: int) -> None:
    async with policed(Judge()) as rig:
        await mutating(rig, '[JSONPatch{op: "add", path: "/data/added", value: "x"}]', name="adds")
        binding = {"validationActions": actions}
        await validating(rig, "object.metadata.name == 'other'", binding=binding, name="named")
        await validating(rig, "true", name="passes")
        found = await explained(rig, "POST", CONFIG_MAPS, config_map("c", data={"a": "b"}))
        assert found["answer"]["code"] == code
        asked = {step["name"]: step for step in found["admission"] if step.get("name")}
        assert asked["adds"]["changed"] == ["data.added"] and asked["adds"]["by"] == "adds"
        assert asked["named"]["verdict"] == verdict and asked["passes"]["verdict"] == "passed"
        assert asked["named"]["message"] == "failed expression: object.metadata.name == 'other'"


async def test_a_policy_that_fails_and_may(runner: asyncio.Runner) -> None:
    async with policed(Judge()) as rig:
        await validating(rig, "object.data.missing == 'x'", failurePolicy="Ignore")
        found = await explained(rig, "POST", CONFIG_MAPS, config_map("c"))
        assert found["answer"]["code"] == 201
        assert [step["verdict"] for step in found["admission"] if step.get("name")] == ["failed, ignored"]


async def test_a_watch_that_has_ended(rig: Rig) -> None:
    answer = await rig.call("GET", f"{CONFIG_MAPS}?watch=1")
    path = f"/debug/requests/{answer.headers['audit-id']}"
    assert (await rig.call("GET", path)).status == 404
    assert answer.stream is not None
    answer.stream.close()
    (found,) = (await rig.ok("GET", path))["requests"]
    assert found["request"]["verb"] == "watch"


async def test_a_path_that_cannot_be_read(rig: Rig) -> None:
    found = await explained(rig, "GET", "/api/v1/%zz")
    assert found["answer"]["code"] == 400 and found["request"]["path"] == "/api/v1/%zz"


async def test_a_create_by_put_needs_the_right_to_create(rig: Rig) -> None:
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]}
    await rig.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "u"}, "rules": [rule]})
    binding = {
        "metadata": {"name": "u"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "u"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await rig.ok("POST", f"{RBAC}/clusterrolebindings", binding)
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l"
    found = await explained(rig, "PUT", path, {"metadata": {"name": "l"}}, user="jane")
    assert found["answer"]["code"] == 403
    assert found["why"] == "No authorizer allowed jane to create leases in the namespace default."
    assert "create-leases" in found["authorization"]["wouldAllow"]

"""Validating webhooks refuse objects."""

import asyncio
from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, config_map, pod
from webhooks import ADMISSION, MUTATING, RULE, VALIDATING, Hooked, allow, deny, hang, label, patched

NOTHING = config_map("a", data={"a": "b"})


def refusing(**status: Any) -> Any:
    return lambda request: {"allowed": False, "status": status}


@pytest.mark.parametrize(
    ("status", "code", "reason", "text"),
    [
        ({"message": "no", "code": 403, "reason": "Forbidden"}, 403, "Forbidden", ": no"),
        ({"message": "no"}, 400, None, ": no"),
        ({"reason": "Teapot", "code": 418}, 418, "Teapot", ": Teapot"),
        ({}, 400, None, " without explanation"),
        ({"status": "Success", "code": 200, "message": "fine"}, 400, None, ": fine"),
        ({"code": 77777}, 500, None, " without explanation"),
    ],
)
async def test_the_answer_of_a_refusal(
    hooked: Hooked, status: Any, code: int, reason: str | None, text: str
) -> None:
    await hooked.validating("/no", refusing(**status, details={"kind": "x"}))
    answer = await hooked.rig.call("POST", CONFIG_MAPS, NOTHING)
    assert (answer.status, answer.body["code"], answer.body.get("reason")) == (code, code, reason)
    assert answer.body["message"] == f'admission webhook "no.example.com" denied the request{text}'
    assert (answer.body["status"], answer.body["details"]) == ("Failure", {"kind": "x"})


async def test_all_are_asked_at_a_time(hooked: Hooked) -> None:
    gate = asyncio.Event()
    waiting: list[int] = []

    async def together(request: Any) -> Any:
        waiting.append(1)
        if len(waiting) == 3:
            gate.set()
        await gate.wait()
        return {}

    for path in ("/a", "/b", "/c"):
        await hooked.validating(path, together)
    await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)


async def test_the_first_refusal_in_order_is_answered(hooked: Hooked) -> None:
    await hooked.validating("/b", refusing(message="second"))
    await hooked.validating("/a", refusing(message="first"))
    assert (await hooked.rig.fail(400, "POST", CONFIG_MAPS, NOTHING)).endswith(": first")
    assert len(hooked.server.reviews) == 2, "both are asked"


async def test_what_a_webhook_is_sent(hooked: Hooked) -> None:
    await hooked.mutating("/m", label("new"), rules=[{**RULE, "operations": ["CREATE", "UPDATE"]}])
    await hooked.validating("/v", allow)
    await hooked.rig.ok("POST", f"{CONFIG_MAPS}?fieldManager=me", NOTHING)
    await hooked.rig.ok("PUT", f"{CONFIG_MAPS}/a", config_map("a", data={"a": "c"}))
    await hooked.rig.ok("DELETE", f"{CONFIG_MAPS}/a")
    create, update, delete = hooked.server.asked("/v")
    assert create["object"]["metadata"]["labels"] == {"new": "x"}, "it sees what mutating ones have made"
    assert create["object"]["metadata"]["uid"] and create["uid"] != create["object"]["metadata"]["uid"]
    assert create["oldObject"] is None
    kind = {"group": "", "version": "v1", "kind": "ConfigMap"}
    resource = {"group": "", "version": "v1", "resource": "configmaps"}
    assert (create["kind"], create["requestKind"]) == (kind, kind)
    assert (create["resource"], create["requestResource"]) == (resource, resource)
    assert (create["name"], create["namespace"], create["operation"]) == ("a", "default", "CREATE")
    assert create["userInfo"] == {
        "username": "admin", "uid": "1", "groups": ["system:masters", "system:authenticated"],
    }  # fmt: skip
    assert create["options"] == {
        "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me",
    }  # fmt: skip
    assert create["dryRun"] is False and "subResource" not in create
    assert (update["object"]["data"], update["oldObject"]["data"]) == ({"a": "c"}, {"a": "b"})
    assert (delete["object"], delete["oldObject"]["data"]) == (None, {"a": "c"})


async def test_subresources_and_connects(hooked: Hooked) -> None:
    await hooked.rig.ok("POST", PODS, pod("p"))
    rule = {**RULE, "operations": ["CONNECT"], "resources": ["pods/attach"]}
    await hooked.validating("/attach", refusing(message="attaching to pod 'p' is not allowed"), rules=[rule])
    await hooked.mutating("/m", allow, rules=[rule])
    message = await hooked.rig.fail(400, "POST", f"{PODS}/p/attach?container=c")
    assert message == (
        "admission webhook \"attach.example.com\" denied the request: attaching to pod 'p' is not allowed"
    )
    (seen,) = hooked.server.asked("/attach")
    assert seen["object"]["kind"] == "PodAttachOptions" and seen["object"]["container"] == "c"
    assert (seen["subResource"], seen["requestSubResource"], seen["name"]) == ("attach", "attach", "p")
    assert (seen["operation"], seen["options"], seen["oldObject"]) == ("CONNECT", None, None)
    assert seen["kind"] == {"group": "", "version": "v1", "kind": "PodAttachOptions"}


async def test_a_patch_of_a_validating_webhook_is_a_failure(hooked: Hooked) -> None:
    await hooked.validating("/a", patched({"op": "add", "path": "/data", "value": {}}))
    message = await hooked.rig.fail(500, "POST", CONFIG_MAPS, NOTHING)
    assert message.endswith(
        "received invalid webhook response: validating webhook may not return response.patch"
    )


async def test_dry_run(hooked: Hooked) -> None:
    await hooked.validating("/none", allow, sideEffects="None")
    await hooked.mutating("/some", allow, sideEffects="NoneOnDryRun")
    await hooked.rig.ok("POST", f"{CONFIG_MAPS}?dryRun=All", NOTHING)
    assert all(request["dryRun"] for _, request in hooked.server.reviews) and len(hooked.server.reviews) == 2
    # What v1 does not take any more may still be stored, by a v1beta1 client of former times.
    source: Any = hooked.rig.chain.validators[-1]
    for hook in source._source.hooks:
        hook.dry_run = False
    message = await hooked.rig.fail(400, "POST", f"{CONFIG_MAPS}?dryRun=All", NOTHING)
    assert message == 'admission webhook "none.example.com" does not support dry run'
    await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)


async def test_warnings_and_their_limits(hooked: Hooked) -> None:
    many = [f"warning {i} {'x' * 200}" for i in range(10_000)]
    await hooked.validating("/a", lambda request: {"warnings": ["first", "first", *many]})
    answer = await hooked.rig.call("POST", CONFIG_MAPS, NOTHING)
    assert answer.status == 201 and answer.warnings[0] == "first"
    assert 2 < len(answer.warnings) < 40
    hooked.server.hooks["/a"] = lambda request: {"warnings": ["why"], "allowed": False}
    refused = await hooked.rig.call("POST", CONFIG_MAPS, NOTHING)
    assert (refused.status, refused.warnings) == (400, ["why"]), "a refusal has warnings as well"


async def test_selectors_and_rules(hooked: Hooked) -> None:
    here = {"matchLabels": {"kubernetes.io/metadata.name": "default"}}
    await hooked.validating(
        "/a", deny, namespaceSelector=here, objectSelector={"matchLabels": {"strict": "yes"}}
    )
    rig = hooked.rig
    await rig.ok("POST", CONFIG_MAPS, config_map("free"))
    await rig.ok(
        "POST", CONFIG_MAPS.replace("default", "kube-system"), config_map("x", labels={"strict": "yes"})
    )
    await rig.fail(400, "POST", CONFIG_MAPS, config_map("x", labels={"strict": "yes"}))
    await rig.ok("DELETE", f"{VALIDATING}/a")
    await hooked.validating("/a", rules=[{**RULE, "scope": "Cluster"}])
    await rig.ok("POST", CONFIG_MAPS, config_map("y"))


async def test_configurations_are_followed(hooked: Hooked) -> None:
    rig, rules = hooked.rig, [{**RULE, "operations": ["UPDATE"]}]
    await hooked.validating("/a", deny, rules=rules)
    await rig.ok("POST", CONFIG_MAPS, config_map("one"))
    path = "/webhooks/0/rules/0/operations"
    for operations, status in ((["CREATE"], 400), (["DELETE"], 201), (["*"], 400)):
        await rig.ok(
            "PATCH",
            f"{VALIDATING}/a",
            [{"op": "replace", "path": path, "value": operations}],
            headers={"content-type": "application/json-patch+json"},
        )
        answer = await rig.call("POST", CONFIG_MAPS, config_map("two", data={"a": "b"}))
        assert answer.status == status, operations
    found = await rig.ok("GET", VALIDATING)
    assert [one["metadata"]["name"] for one in found["items"]] == ["a"]
    await rig.ok("DELETE", VALIDATING)
    await rig.ok("POST", CONFIG_MAPS, config_map("three"))


async def test_configurations_cannot_be_blocked(hooked: Hooked) -> None:
    """A webhook for everything is not called for what configures admission."""
    every = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}
    await hooked.mutating("/m", hang, rules=[every])
    await hooked.validating("/v", deny, rules=[every])
    rig = hooked.rig
    other = {"metadata": {"name": "other"}, "webhooks": []}
    for path in (MUTATING, VALIDATING):
        await rig.ok("POST", path, other)
        await rig.ok("DELETE", f"{path}/other")
    policy = {
        "metadata": {"name": "p"},
        "spec": {"validations": [{"expression": "true"}], "matchConstraints": {"resourceRules": [RULE]}},
    }
    policies = f"{ADMISSION}/validatingadmissionpolicies"
    await rig.ok("POST", policies, policy)
    binding = {"metadata": {"name": "p"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}}
    await rig.ok("POST", f"{ADMISSION}/validatingadmissionpolicybindings", binding)
    await rig.ok("DELETE", f"{policies}/p")
    await rig.ok("DELETE", f"{MUTATING}/m")
    await rig.fail(400, "POST", CONFIG_MAPS, NOTHING)
    await rig.ok("DELETE", f"{VALIDATING}/v")
    await rig.ok("POST", CONFIG_MAPS, NOTHING)
    assert {request["resource"]["resource"] for _, request in hooked.server.reviews} == {"configmaps"}

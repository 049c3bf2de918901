"""Mutating webhooks change objects."""

import asyncio
import base64
import json
import pathlib
from typing import Any

import pytest
from aiohttp import web
from harness import CONFIG_MAPS, PODS, Rig, config_map, plug, pod
from webhooks import MUTATING, RULE, Hooked, allow, deny, hang, label, patched

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.registry.admission import AdmissionAttributes

PODS_RULE = [{**RULE, "operations": ["CREATE"], "resources": ["pods"]}]
NOTHING = config_map("a", data={"a": "b"})


async def labels(rig: Rig, name: str = "a") -> Any:
    made = await rig.ok("POST", CONFIG_MAPS, config_map(name))
    return list(made["metadata"].get("labels") or {})


async def test_they_run_by_the_names_of_their_configurations(hooked: Hooked) -> None:
    await hooked.mutating("/z", label("one"), name="a")
    await hooked.mutating("/y", label("three"), name="c")
    await hooked.mutating("/x", label("two"), name="b")
    made = await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)
    assert set(made["metadata"]["labels"]) == {"one", "two", "three"}
    assert [path for path, _ in hooked.server.reviews] == ["/z", "/x", "/y"]
    seen = [list(request["object"]["metadata"].get("labels") or {}) for _, request in hooked.server.reviews]
    assert seen == [[], ["one"], ["one", "two"]], "each sees what those before it have made"
    (entry,) = (await hooked.rig.ok("GET", f"{CONFIG_MAPS}/a"))["metadata"]["managedFields"]
    assert "f:labels" not in json.dumps(entry), "nobody owns what a webhook sets"


async def test_what_is_patched_is_defaulted_and_validated(hooked: Hooked) -> None:
    add = {"op": "add", "path": "/spec/containers/-", "value": {"name": "side", "image": "x"}}
    await hooked.mutating("/side", patched(add), rules=PODS_RULE)
    made = await hooked.rig.ok("POST", PODS, pod("a"))
    assert made["spec"]["containers"][1]["terminationMessagePath"] == "/dev/termination-log"
    bad = {"op": "add", "path": "/spec/containers/-", "value": {"name": "Bad Name", "image": "x"}}
    await hooked.mutating("/bad", patched(bad), rules=PODS_RULE)
    assert "spec.containers[1].name: Invalid value" in await hooked.rig.fail(422, "POST", PODS, pod("b"))


@pytest.mark.parametrize(("policy", "times"), [("IfNeeded", 2), ("Never", 1)])
async def test_reinvocation(hooked: Hooked, policy: str, times: int) -> None:
    await hooked.mutating("/a", label("a"), reinvocationPolicy=policy)
    await hooked.mutating("/b", label("b"))
    await hooked.mutating("/c", allow, reinvocationPolicy="IfNeeded")
    await labels(hooked.rig)
    assert [len(hooked.server.asked(path)) for path in ("/a", "/b", "/c")] == [times, 1, 1]


async def test_nothing_runs_again_where_nothing_has_changed(hooked: Hooked) -> None:
    await hooked.mutating("/a", allow, reinvocationPolicy="IfNeeded")
    same = {"op": "replace", "path": "/metadata/name", "value": "a"}
    await hooked.mutating("/b", patched(same), reinvocationPolicy="IfNeeded")
    await labels(hooked.rig)
    assert len(hooked.server.reviews) == 2


async def test_webhooks_that_never_agree_run_twice(hooked: Hooked) -> None:
    def turn(request: Any) -> Any:
        now = (request["object"].get("data") or {}).get("n", "0")
        return patched({"op": "add", "path": "/data", "value": {"n": str(int(now) + 1)}})(request)

    await hooked.mutating("/a", turn, reinvocationPolicy="IfNeeded")
    await hooked.mutating("/b", turn, reinvocationPolicy="IfNeeded")
    made = await hooked.rig.ok("POST", CONFIG_MAPS, config_map("a"))
    assert made["data"] == {"n": "4"} and len(hooked.server.reviews) == 4


async def test_a_plugin_that_changes_the_object_in_the_second_round(
    runner: asyncio.Runner, tmp_path: pathlib.Path
) -> None:
    class Counting(AdmissionPlugin):
        name = "Counting"
        ran = 0

        def wants(self, a: AdmissionAttributes) -> bool:
            return a.resource.plural == "configmaps"

        def mutate(self, a: AdmissionAttributes) -> None:
            assert a.obj is not None
            self.ran += 1
            a.obj["data"] = {"ran": str(self.ran)}

    async with Hooked(tmp_path, Counting()) as hooked:
        await hooked.mutating("/a", label("a"), reinvocationPolicy="IfNeeded")
        made = await hooked.rig.ok("POST", CONFIG_MAPS, config_map("a"))
        assert made["data"] == {"ran": "2"}, "built-in plugins run again after a change"
        assert [one["object"]["data"]["ran"] for one in hooked.server.asked("/a")] == ["1", "2"]


@pytest.mark.parametrize(
    ("operations", "why"),
    [
        (
            [{"op": "remove", "path": "/data/none"}],
            "error in remove for path: '/data/none': Unable to remove nonexistent key: none: missing value",
        ),
        (
            [{"op": "test", "path": "/metadata/name", "value": "b"}],
            "testing value /metadata/name failed: test failed",
        ),
        ([{"op": "grow"}], "Unexpected kind: grow"),
        ([None], "Unexpected kind: unknown"),
        ([{"op": "replace", "path": "/data", "value": 5}], "cannot unmarshal number into Go struct field"),
        (
            [{"op": "replace", "path": "/kind", "value": "Foo"}],
            'no kind "Foo" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"',
        ),
    ],
)
async def test_patches_that_do_not_apply_fail_whatever_the_policy(
    hooked: Hooked, operations: Any, why: str
) -> None:
    await hooked.mutating("/a", patched(*operations), failurePolicy="Ignore")
    message = await hooked.rig.fail(500, "POST", CONFIG_MAPS, NOTHING)
    assert message.startswith("Internal error occurred: ") and why in message
    labels = ("apiserver_internal_error", "a.example.com", "CREATE", "0", "admit")
    assert hooked.counts("webhook_rejections") == {labels: 1}


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (
            {"patch": base64.b64encode(b"{}").decode(), "patchType": "JSONPatch"},
            (
                "received undecodable patch in webhook response: json: cannot unmarshal object into Go value"
                " of type jsonpatch.Patch"
            ),
        ),
        (
            {"patch": base64.b64encode(b'[{"op":"add"}]').decode(), "patchType": "MergePatch"},
            'unsupported patch type "MergePatch"',
        ),
        (
            {"patch": base64.b64encode(b"[]").decode()},
            "received invalid webhook response: webhook returned response.patch but not response.patchType",
        ),
    ],
)
async def test_patches_that_are_none_go_by_the_failure_policy(
    hooked: Hooked, response: Any, why: str
) -> None:
    await hooked.mutating("/a", lambda request: response)
    message = await hooked.rig.fail(500, "POST", CONFIG_MAPS, NOTHING)
    assert message == f'Internal error occurred: failed calling webhook "a.example.com": {why}'
    await hooked.rig.ok("DELETE", f"{MUTATING}/a")
    await hooked.mutating("/a", failurePolicy="Ignore")
    await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)


async def test_an_empty_patch(hooked: Hooked) -> None:
    await hooked.mutating("/a", patched())
    assert await labels(hooked.rig) == []


@pytest.mark.parametrize(
    ("operation", "status", "part"),
    [
        ({"op": "replace", "path": "/metadata/namespace", "value": "kube-system"}, 400, "namespace"),
        ({"op": "remove", "path": "/metadata"}, 422, "name or generateName is required"),
        ({"op": "add", "path": "/metadata/resourceVersion", "value": "5"}, 500, "resourceVersion"),
        ({"op": "replace", "path": "/metadata/name", "value": "Not A Name"}, 422, "metadata.name"),
    ],
)
async def test_metadata_that_may_not_change_at_a_create(
    hooked: Hooked, operation: Any, status: int, part: str
) -> None:
    await hooked.mutating("/a", patched(operation))
    assert part in await hooked.rig.fail(status, "POST", CONFIG_MAPS, NOTHING)


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"op": "replace", "path": "/metadata/name", "value": "b"}, 422),
        ({"op": "replace", "path": "/metadata/uid", "value": "5"}, 422),
        ({"op": "replace", "path": "/metadata/namespace", "value": "kube-system"}, 400),
    ],
)
async def test_metadata_that_may_not_change_at_an_update(hooked: Hooked, operation: Any, status: int) -> None:
    await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)
    await hooked.mutating("/a", patched(operation))
    answer = await hooked.rig.call("PUT", f"{CONFIG_MAPS}/a", config_map("a", data={"a": "c"}))
    assert answer.status == status, answer.body
    assert (await hooked.rig.ok("GET", f"{CONFIG_MAPS}/a"))["data"] == {"a": "b"}


async def test_managed_fields_that_cannot_be_read_are_brought_back(hooked: Hooked) -> None:
    bad = {"op": "add", "path": "/metadata/managedFields", "value": [{"operation": "None"}]}
    await hooked.mutating("/a", patched(bad))
    answer = await hooked.rig.call("POST", CONFIG_MAPS, NOTHING)
    assert [one["operation"] for one in answer.body["metadata"]["managedFields"]] == ["Update"]
    assert answer.warnings == [
        ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated"
        " mutating admission controller; please fix your requests: operation must be `Apply` or `Update`"
    ]


async def test_an_object_that_is_deleted_cannot_be_patched(hooked: Hooked) -> None:
    await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)
    await hooked.mutating("/a", patched({"op": "add", "path": "/data", "value": {}}))
    message = await hooked.rig.fail(500, "DELETE", f"{CONFIG_MAPS}/a")
    assert (
        message
        == 'Internal error occurred: admission webhook "a.example.com" attempted to modify the object, which'
        " is not supported for this operation"
    )
    (request,) = hooked.server.asked("/a")
    assert (request["operation"], request["object"], request["oldObject"]["data"]) == (
        "DELETE",
        None,
        {"a": "b"},
    )
    assert request["options"]["kind"] == "DeleteOptions"


async def test_one_that_refuses_ends_it(hooked: Hooked) -> None:
    await hooked.mutating("/a", deny)
    await hooked.mutating("/b", allow)
    message = await hooked.rig.fail(400, "POST", CONFIG_MAPS, NOTHING)
    assert message == 'admission webhook "a.example.com" denied the request without explanation'
    assert not hooked.server.asked("/b")


async def test_the_object_in_the_version_that_a_webhook_asks_for(hooked: Hooked) -> None:
    path = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    scaler = {"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "scaleTargetRef": target}}
    rule = {**RULE, "apiGroups": ["autoscaling"], "apiVersions": ["v2"], "resources": ["*"]}
    metric = {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 7}},
    }
    change = patched(
        {"op": "add", "path": "/spec/metrics", "value": [metric]},
        {"op": "replace", "path": "/spec/maxReplicas", "value": 5},
    )
    await hooked.mutating("/v2", change, rules=[rule])
    made = await hooked.rig.ok("POST", path, scaler)
    assert (made["apiVersion"], made["spec"]["maxReplicas"]) == ("autoscaling/v1", 5)
    v2 = await hooked.rig.ok("GET", f"{path}/a".replace("v1", "v2"))
    assert v2["spec"]["metrics"] == [metric]
    (request,) = hooked.server.asked("/v2")
    assert request["object"]["apiVersion"] == "autoscaling/v2"
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v2", "v1")
    assert (request["resource"]["version"], request["requestResource"]["version"]) == ("v2", "v1")
    await hooked.mutating("/exact", deny, rules=[rule], matchPolicy="Exact")
    await hooked.rig.ok("POST", path, {**scaler, "metadata": {"name": "b"}})
    assert not hooked.server.asked("/exact"), "Exact means the version of the request"


async def test_audit_annotations(hooked: Hooked) -> None:
    seen: list[AdmissionAttributes] = []

    class Keeping(AdmissionPlugin):
        name = "Keeping"

        def wants(self, a: AdmissionAttributes) -> bool:
            seen.append(a)
            return False

        def validate(self, a: AdmissionAttributes) -> None: ...

    await hooked.mutating("/a", lambda request: {"auditAnnotations": {"k": "v", "no key": ""}})
    await hooked.mutating("/b", label("x"))
    await hooked.mutating("/c", lambda request: web.Response(status=500), failurePolicy="Ignore")
    plug(hooked.rig.chain, Keeping())
    await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)
    mutation = "mutation.webhook.admission.k8s.io/"
    told = '{{"configuration":"{0}","webhook":"{0}.example.com","mutated":{1}}}'
    assert seen[-1].annotations == {
        "a.example.com/k": "v",
        f"{mutation}round_0_index_0": told.format("a", "false"),
        f"{mutation}round_0_index_1": told.format("b", "true"),
        f"{mutation}round_0_index_2": told.format("c", "false"),
        f"failed-open.{mutation}round_0_index_2": "c.example.com",
    }
    (key, value) = seen[-1].request_annotations.popitem()
    patch = [{"op": "add", "path": "/metadata/labels", "value": {"x": "x"}}]
    assert key == "patch.webhook.admission.k8s.io/round_0_index_1"
    assert json.loads(value) == {
        "configuration": "b", "webhook": "b.example.com", "patch": patch, "patchType": "JSONPatch",
    }  # fmt: skip


async def test_a_request_that_times_out_names_the_webhook(
    virtual: Any, runner: asyncio.Runner, hooked: Hooked
) -> None:
    """kubernetes#103998: the request has less time than the webhook."""
    await hooked.mutating("/slow", hang, timeoutSeconds=30)
    started = virtual.time()
    message = await hooked.rig.fail(500, "POST", f"{CONFIG_MAPS}?timeout=4s", NOTHING)
    url = f"https://127.0.0.1:{hooked.server.port}/slow?timeout=4s"
    assert message == (
        'Internal error occurred: failed calling webhook "slow.example.com": failed to call webhook: '
        f'Post "{url}": context deadline exceeded'
    )
    assert virtual.time() - started < 4
    await hooked.rig.ok("DELETE", f"{MUTATING}/slow")
    await hooked.mutating("/slow", failurePolicy="Ignore", timeoutSeconds=30)
    await hooked.rig.ok("POST", f"{CONFIG_MAPS}?timeout=4s", NOTHING)


async def test_a_large_object_and_a_patch_that_copies(hooked: Hooked) -> None:
    copies = [{"op": "copy", "from": "/data/a", "path": f"/data/{i}"} for i in range(10)]
    await hooked.mutating("/a", patched(*copies))
    made = await hooked.rig.ok("POST", CONFIG_MAPS, config_map("a", data={"a": "x" * 50_000}))
    assert sum(len(value) for value in made["data"].values()) == 550_000
    assert not hooked.rig.offload.running
    many = [{"op": "copy", "from": "/data/a", "path": f"/data/{i}"} for i in range(100)]
    hooked.server.hooks["/a"] = patched(*many)
    message = await hooked.rig.fail(500, "POST", CONFIG_MAPS, config_map("b", data={"a": "x" * 50_000}))
    assert "copies of" in message

"""Binding, eviction, tokens, and virtual resources."""

import asyncio
import base64
import json
from typing import Any

import pytest
from harness import PODS, Rig, pod
from rsa_pem import rsa_pem

from pilothouse.authn import keys
from pilothouse.authn.serviceaccount import TokenIssuer
from pilothouse.endpoints.actions import subresources
from pilothouse.endpoints.streams import connect
from pilothouse.history.resources import resources
from pilothouse.registry.catalog import built_in
from pilothouse.registry.resource import Action
from pilothouse.storage.interface import RevisionConflict
from pilothouse.storage.memory import MemoryStorage

POLICY = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
AUTHZ = "/apis/authorization.k8s.io/v1"


def binding(name: str, node: str = "n1") -> dict[str, Any]:
    return {"metadata": {"name": name}, "target": {"kind": "Node", "name": node}}


def eviction(name: str, **options: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, **({"deleteOptions": options} if options else {})}


async def running(rig: Rig, name: str, ready: bool = True, **members: Any) -> Any:
    """A pod that counts for its budgets."""
    made = await rig.ok("POST", PODS, pod(name, spec={"nodeName": "n1"}, **members))
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": None}
    made["status"].update(phase="Running", conditions=[condition])
    return await rig.ok("PUT", f"{PODS}/{name}/status", made)


async def budget(rig: Rig, allowed: Any, name: str = "b", **status: Any) -> Any:
    spec = {"selector": {"matchLabels": {"app": "x"}}, "minAvailable": 1}
    made = await rig.ok("POST", POLICY, {"metadata": {"name": name}, "spec": spec})
    made["status"] = {
        "disruptionsAllowed": allowed,
        "currentHealthy": 1 + allowed,
        "desiredHealthy": 1,
        "expectedPods": 2,
        "observedGeneration": 1,
        **status,
    }
    return await rig.ok("PUT", f"{POLICY}/{name}/status", made)


async def test_a_binding_gives_a_pod_its_node(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a"))
    answer = await rig.call("POST", PODS + "/a/binding", binding("a"))
    assert (answer.status, answer.body["status"], answer.body["code"]) == (201, "Success", 201)
    live = await rig.ok("GET", PODS + "/a")
    assert live["spec"]["nodeName"] == "n1"
    assert [(c["type"], c["status"]) for c in live["status"]["conditions"]] == [("PodScheduled", "True")]
    message = await rig.fail(409, "POST", PODS + "/a/binding", binding("a", "n2"))
    assert message == (
        'Operation cannot be fulfilled on pods/binding "a": pod a is already assigned to node "n1"'
    )


async def test_a_binding_by_its_own_resource(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a"))
    await rig.ok("POST", "/api/v1/namespaces/default/bindings", binding("a"))
    assert (await rig.ok("GET", PODS + "/a"))["spec"]["nodeName"] == "n1"


async def test_bindings_that_are_refused(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a"))
    message = await rig.fail(400, "POST", PODS + "/a/binding", binding("b"))
    assert message == "name in URL does not match name in Binding object"
    assert await rig.fail(404, "POST", PODS + "/x/binding", binding("x")) == 'pods "x" not found'
    assert "target.name: Required value" in await rig.fail(500, "POST", PODS + "/a/binding", binding("a", ""))
    message = await rig.fail(
        409, "POST", PODS + "/a/binding", {**binding("a"), "metadata": {"name": "a", "uid": "x"}}
    )
    assert "Precondition failed: UID in precondition: x" in message
    await rig.ok("POST", PODS + "/a/binding?dryRun=All", binding("a"))
    assert "nodeName" not in (await rig.ok("GET", PODS + "/a"))["spec"]


async def test_a_pod_without_budgets_is_evicted(rig: Rig) -> None:
    await running(rig, "a")
    answer = await rig.call("POST", PODS + "/a/eviction?dryRun=All", eviction("a"))
    assert answer.status == 201 and "deletionTimestamp" not in (await rig.ok("GET", PODS + "/a"))["metadata"]
    answer = await rig.call("POST", PODS + "/a/eviction", eviction("a"))
    assert (answer.status, answer.body["status"]) == (201, "Success")
    assert (await rig.ok("GET", PODS + "/a"))["metadata"]["deletionGracePeriodSeconds"] == 30
    await rig.ok("POST", PODS + "/a/eviction", eviction("a", gracePeriodSeconds=0))
    assert (await rig.call("GET", PODS + "/a")).status == 404


def disruption(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in made["status"].get("conditions", []) if one["type"] == "DisruptionTarget"]


async def test_an_eviction_tells_controllers_of_the_disruption_before_it_deletes(rig: Rig) -> None:
    await running(rig, "a")
    watch = await rig.watch(f"{PODS}?watch=true&resourceVersion={rig.storage.revision}")
    await rig.ok("POST", PODS + "/a/eviction?dryRun=All", eviction("a"))
    assert disruption(await rig.ok("GET", PODS + "/a")) == []
    await rig.ok("POST", PODS + "/a/eviction", eviction("a"))
    marked, deleting = [event["object"] for event in watch.events()]
    (condition,) = disruption(marked)
    assert (condition["status"], condition["reason"]) == ("True", "EvictionByEvictionAPI")
    assert condition["message"] == "Eviction API: evicting" and condition["lastTransitionTime"]
    assert "deletionTimestamp" not in marked["metadata"] and deleting["metadata"]["deletionTimestamp"]
    assert disruption(deleting) == [condition] and "nodeName" in deleting["spec"]


async def test_the_version_that_an_eviction_wants_is_followed(rig: Rig) -> None:
    await running(rig, "a")
    made = await rig.ok("GET", PODS + "/a")
    wanted = {"resourceVersion": made["metadata"]["resourceVersion"], "uid": made["metadata"]["uid"]}
    for wrong in ({"uid": "x"}, {**wanted, "resourceVersion": "1"}):
        message = await rig.fail(409, "POST", PODS + "/a/eviction", eviction("a", preconditions=wrong))
        assert message.startswith('Operation cannot be fulfilled on Pod "a": the ')
        assert disruption(await rig.ok("GET", PODS + "/a")) == []
    await rig.ok("POST", PODS + "/a/eviction", eviction("a", preconditions=wanted))
    assert disruption(await rig.ok("GET", PODS + "/a"))


async def test_a_budget_is_charged(rig: Rig) -> None:
    await budget(rig, 1)
    await running(rig, "a", labels={"app": "x"})
    await running(rig, "b", labels={"app": "x"})
    await rig.ok("POST", PODS + "/a/eviction?dryRun=All", eviction("a"))
    await rig.ok("POST", PODS + "/a/eviction", eviction("a"))
    status = (await rig.ok("GET", POLICY + "/b"))["status"]
    assert status["disruptionsAllowed"] == 0 and list(status["disruptedPods"]) == ["a"]
    assert status["conditions"][0]["reason"] == "InsufficientPods"
    answer = await rig.call("POST", PODS + "/b/eviction", eviction("b"))
    assert (answer.status, answer.body["reason"]) == (429, "TooManyRequests")
    assert answer.body["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert answer.body["details"]["causes"][0]["reason"] == "DisruptionBudget"
    assert "deletionTimestamp" not in (await rig.ok("GET", PODS + "/b"))["metadata"]


async def test_a_budget_that_is_not_computed_yet(rig: Rig) -> None:
    await budget(rig, 1, observedGeneration=0)
    await running(rig, "a", labels={"app": "x"})
    answer = await rig.call("POST", PODS + "/a/eviction", eviction("a"))
    assert (answer.status, answer.headers["retry-after"]) == (429, "10")


async def test_two_budgets_for_one_pod(rig: Rig) -> None:
    await budget(rig, 1)
    await budget(rig, 1, name="c")
    await running(rig, "a", labels={"app": "x"})
    message = await rig.fail(500, "POST", PODS + "/a/eviction", eviction("a"))
    assert message.startswith("This pod has more than one PodDisruptionBudget")


async def test_a_pod_that_serves_nobody_costs_nothing(rig: Rig) -> None:
    await budget(rig, 0)
    await rig.ok("POST", PODS, pod("pending", labels={"app": "x"}))
    await running(rig, "unready", ready=False, labels={"app": "x"})
    for name in ("pending", "unready"):
        await rig.ok("POST", f"{PODS}/{name}/eviction", eviction(name))
    assert (await rig.ok("GET", POLICY + "/b"))["status"]["disruptionsAllowed"] == 0


async def test_evictions_that_are_refused(rig: Rig) -> None:
    made = await rig.ok("POST", PODS, pod("a"))
    message = await rig.fail(400, "POST", PODS + "/a/eviction", eviction("b"))
    assert message == "name in URL does not match name in Eviction object"
    assert await rig.fail(404, "POST", PODS + "/x/eviction", eviction("x")) == 'pods "x" not found'
    stale = eviction("a", preconditions={"resourceVersion": "1"})
    assert "The object might have been modified" in await rig.fail(409, "POST", PODS + "/a/eviction", stale)
    fresh = eviction("a", preconditions={"resourceVersion": made["metadata"]["resourceVersion"]})
    await rig.ok("POST", PODS + "/a/eviction", fresh)


class Contested(MemoryStorage):
    """Somebody else is always faster with budgets once `on` is set."""

    on = False

    async def update(self, key: str, value: Any, expect: Any, ttl: int = 0, author: bytes = b"") -> Any:
        if self.on and "poddisruptionbudgets" in key:
            raise RevisionConflict(key, None)
        return await super().update(key, value, expect, ttl, author)


def test_a_budget_that_cannot_be_charged_saves_its_pod() -> None:
    async def main() -> None:
        storage = Contested()
        async with Rig(storage=storage) as rig:
            await budget(rig, 1)
            await running(rig, "a", labels={"app": "x"})
            storage.on = True
            answer = await rig.call("POST", PODS + "/a/eviction", eviction("a"))
            assert (answer.status, answer.headers.get("retry-after")) == (504, "10"), answer
            assert answer.body["message"] == (
                'Timeout: couldn\'t update PodDisruptionBudget "b" due to conflicts'
            )
            assert "deletionTimestamp" not in (await rig.ok("GET", PODS + "/a"))["metadata"]

    asyncio.run(main())


async def test_a_token(rig: Rig) -> None:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    rig.verbs.issuer = TokenIssuer(
        "https://me", keys.signing_with(keys.load_private(rsa_pem())), rig.readers, ("api",), 86400
    )
    account = await rig.ok("POST", accounts, {"metadata": {"name": "robot"}})
    answer = await rig.call("POST", accounts + "/robot/token", {"spec": {"expirationSeconds": 3600}})
    assert (answer.status, answer.body["kind"]) == (201, "TokenRequest")
    claims = answer.body["status"]["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert claims["sub"] == "system:serviceaccount:default:robot" and claims["aud"] == ["api"]
    assert claims["kubernetes.io"]["serviceaccount"]["uid"] == account["metadata"]["uid"]
    message = await rig.fail(404, "POST", accounts + "/none/token", {"spec": {}})
    assert message == 'serviceaccounts "none" not found'
    answer = await rig.call("POST", accounts + "/robot/token", {"spec": {"expirationSeconds": 5}})
    assert answer.status == 422


async def test_reviews_store_nothing(rig: Rig) -> None:
    before = rig.storage.revision
    spec = {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods"}}
    answer = await rig.call("POST", AUTHZ + "/subjectaccessreviews", {"spec": spec})
    assert answer.status == 201 and answer.body["status"] == {"allowed": False}
    answer = await rig.call("POST", AUTHZ + "/subjectaccessreviews", {"spec": {}})
    assert answer.status == 422
    assert rig.storage.revision == before


async def test_a_local_review_is_one_of_its_namespace(rig: Rig) -> None:
    spec = {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}
    path = AUTHZ + "/namespaces/{}/localsubjectaccessreviews"
    answer = await rig.call("POST", path.format("default"), {"spec": spec})
    assert answer.status == 201
    answer = await rig.call("POST", path.format("kube-system"), {"spec": spec})
    assert answer.status == 422


async def test_component_statuses(rig: Rig) -> None:
    listed = await rig.ok("GET", "/api/v1/componentstatuses")
    assert [i["metadata"]["name"] for i in listed["items"]] == ["controller-manager", "scheduler", "etcd-0"]
    one = await rig.ok("GET", "/api/v1/componentstatuses/etcd-0")
    assert one["conditions"] == [{"type": "Healthy", "status": "True", "message": "ok"}]
    assert (await rig.call("GET", "/api/v1/componentstatuses/x")).status == 404


async def test_ephemeral_containers_are_added(rig: Rig) -> None:
    made = await rig.ok("POST", PODS, pod("a"))
    made["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "i"}]
    changed = await rig.ok("PUT", PODS + "/a/ephemeralcontainers", made)
    assert changed["spec"]["ephemeralContainers"][0]["name"] == "debug"
    made["metadata"].pop("resourceVersion")
    made["spec"]["ephemeralContainers"] = []
    answer = await rig.call("PUT", PODS + "/a/ephemeralcontainers", made)
    assert answer.status == 422


@pytest.mark.parametrize("body", [b"", b"{", {"kind": "Pod", "apiVersion": "v1"}])
@pytest.mark.parametrize("sub", ["binding", "eviction"])
async def test_bodies_that_are_none(rig: Rig, sub: str, body: bytes | dict[str, Any]) -> None:
    await rig.ok("POST", PODS, pod("a"))
    answer = await rig.call("POST", f"{PODS}/a/{sub}", body)
    assert answer.status == 400 and answer.body["kind"] == "Status"


@pytest.mark.parametrize("path", [PODS + "/a/binding", "/apis/authorization.k8s.io/v1/subjectaccessreviews"])
async def test_the_type_of_a_body_is_judged_before_the_options(rig: Rig, path: str) -> None:
    answer = await rig.call("POST", path + "?fieldValidation=x", {}, headers={"Content-Type": "text/plain"})
    assert answer.status == 415
    assert (await rig.call("POST", path + "?fieldValidation=x", {})).status == 422


def test_every_action_is_carried_out_in_one_place() -> None:
    carried = [*subresources.POSTED, *connect.OPTIONS, Action.LOG, Action.COMPONENT_STATUS, Action.CHANGES]
    assert sorted(action.name for action in carried) == sorted(action.name for action in Action)
    named = {r.action for r in (*built_in(), *resources())} | {
        s.action for r in built_in() for s in r.subresources.values()
    }
    assert named - {None} == set(Action), "and every one is some record's"

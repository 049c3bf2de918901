"""Changes of a claim's status need rights to resourceclaims/binding and resourceclaims/driver (KEP-4817)."""

from typing import Any

from harness import Rig

from pilothouse.api.values.identity import User
from pilothouse.registry.groups.dra_rights import changed_drivers, node_of, runs_on

CLAIMS = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
RESULT = {"request": "r", "driver": "d", "pool": "p", "device": "x"}
ON_N1 = {
    "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]
}
ALLOCATED = {"allocation": {"devices": {"results": [RESULT]}, "nodeSelector": ON_N1}}
TOLD = [{"driver": "d", "pool": "p", "device": "x", "data": {"a": 1}}]
USER = "jane"


async def grant(rig: Rig, name: str, resource: str, *verbs: str, **more: Any) -> None:
    rule = {"apiGroups": ["resource.k8s.io"], "resources": [resource], "verbs": list(verbs), **more}
    await rig.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": [rule]})
    subject = {"kind": "User", "name": USER, "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "ClusterRole", "name": name, "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": name}, "subjects": [subject], "roleRef": role}
    await rig.ok("POST", f"{RBAC}/clusterrolebindings", binding)


async def write(rig: Rig, status: Any, verb: str = "PUT") -> Any:
    """Write the status as a user who has only the rights that were granted."""
    made = await rig.ok("GET", f"{CLAIMS}/x")
    body = {**made, "status": status} if verb == "PUT" else {"status": status}
    headers = {"content-type": "application/merge-patch+json"} if verb == "PATCH" else {}
    answer = await rig.call(verb, f"{CLAIMS}/x/status", body, user=USER, headers=headers)
    if answer.status == 200:
        return None
    assert answer.status == 422, answer.body
    return [(cause["field"], cause["message"]) for cause in answer.body["details"]["causes"]]


async def claim(rig: Rig) -> None:
    request = {"name": "r", "exactly": {"deviceClassName": "c"}}
    await rig.ok("POST", CLAIMS, {"metadata": {"name": "x"}, "spec": {"devices": {"requests": [request]}}})
    await grant(rig, "status", "resourceclaims/status", "update", "patch")


async def test_an_allocation_needs_the_right_to_bind(rig: Rig) -> None:
    await claim(rig)
    lead = (
        "Forbidden: changing status.allocation or status.reservedFor requires"
        ' resource="resourceclaims/binding", '
    )
    said = (
        'resourceclaims.resource.k8s.io is forbidden: User "jane" cannot update resource'
        ' "resourceclaims/binding" in API group "resource.k8s.io" at the cluster scope'
    )
    assert await write(rig, ALLOCATED) == [("status", f'{lead}verb="update" permission: {said}')]
    await grant(rig, "bind", "resourceclaims/binding", "update")
    assert await write(rig, ALLOCATED) is None
    assert await write(rig, ALLOCATED) is None, "nothing changes"
    ((_, text),) = await write(rig, {"reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]}, "PATCH")
    assert text.startswith(f'{lead}verb="patch" permission: ')


async def test_what_a_driver_tells_needs_its_right(rig: Rig) -> None:
    await claim(rig)
    await grant(rig, "bind", "resourceclaims/binding", "update")
    assert await write(rig, ALLOCATED) is None
    ((where, text),) = await write(rig, {**ALLOCATED, "devices": TOLD})
    assert (
        where == "status"
        and text
        == 'Forbidden: changing status.devices requires resource="resourceclaims/driver",'
        ' verb="[arbitrary-node:update]" permission: resourceclaims.resource.k8s.io "d" is forbidden: User'
        ' "jane" cannot arbitrary-node:update resource "resourceclaims/driver" in API group'
        ' "resource.k8s.io" in the namespace "default"'
    )
    await grant(rig, "other", "resourceclaims/driver", "arbitrary-node:update", resourceNames=["another"])
    assert len(await write(rig, {**ALLOCATED, "devices": TOLD})) == 1
    await grant(rig, "own", "resourceclaims/driver", "arbitrary-node:update", resourceNames=["d"])
    assert await write(rig, {**ALLOCATED, "devices": TOLD}) is None


def test_drivers_whose_devices_change() -> None:
    one, two = ({"driver": name, "pool": "p", "device": "x"} for name in "ab")
    assert changed_drivers([one, two], [two, one]) == set()
    assert changed_drivers([one], [one, two]) == {"b"} == changed_drivers([two, one], [one])
    assert changed_drivers([{**one, "data": 1}], [one]) == {"a"}
    assert changed_drivers([{**one, "shareID": "s"}], [one]) == {"a"}


def test_the_node_of_an_allocation() -> None:
    assert node_of({"nodeSelector": ON_N1}) == "n1"
    field = {"key": "metadata.name", "operator": "In", "values": ["n1", "n2"]}
    for terms in (
        [],
        [{"matchFields": [field]}],
        [{"matchFields": [{**field, "values": ["n1"], "key": "a"}]}],
    ):
        assert node_of({"nodeSelector": {"nodeSelectorTerms": terms}}) == ""
    assert node_of({}) == ""


def test_who_runs_on_a_node() -> None:
    extra = {"authentication.kubernetes.io/node-name": ["n1"]}
    account = "system:serviceaccount:ns:a"
    assert runs_on(User(account, extra=extra), "n1")
    assert not runs_on(User(account, extra=extra), "n2")
    assert not runs_on(User(account, extra=extra), "")
    assert not runs_on(User("jane", extra=extra), "n1")
    assert not runs_on(User(account), "n1")

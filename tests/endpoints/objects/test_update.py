"""PUT: compare-and-set, updates without a change, creation by update."""

import asyncio
from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig, causes, config_map, plug, pod

from pilothouse.admission.chain import AdmissionPlugin

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def lease(name: str, **members: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **members}, "spec": {"holderIdentity": "me"}}


async def test_an_old_version_conflicts(rig: Rig) -> None:
    made = await rig.config_map("a", data={"k": "1"})
    changed = await rig.ok("PUT", CONFIG_MAPS + "/a", {**made, "data": {"k": "2"}})
    assert changed["data"] == {"k": "2"} and changed["metadata"]["uid"] == made["metadata"]["uid"]
    answer = await rig.call("PUT", CONFIG_MAPS + "/a", {**made, "data": {"k": "3"}})
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    assert answer.body["message"] == f'Operation cannot be fulfilled on configmaps "a": {MODIFIED}'
    assert answer.body["details"] == {"name": "a", "kind": "configmaps"}
    assert await rig.ok("GET", CONFIG_MAPS + "/a") == changed


async def test_without_a_version_the_last_one_wins(rig: Rig) -> None:
    await rig.config_map("a")
    for value in "12":
        await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": value}))
    assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["data"] == {"k": "2"}


async def test_some_kinds_demand_a_version(rig: Rig) -> None:
    made = await rig.ok("POST", LEASES, lease("a"))
    answer = await rig.call("PUT", LEASES + "/a", lease("a"))
    assert answer.status == 422
    assert causes(answer.body) == [
        "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    ]
    assert answer.body["message"].startswith('leases.coordination.k8s.io "a" is invalid')
    await rig.ok("PUT", LEASES + "/a", made)


async def test_what_changes_nothing_is_not_written(rig: Rig) -> None:
    made = await rig.config_map("a", data={"k": "v"})
    before = rig.storage.revision
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={before}")
    assert await rig.ok("PUT", CONFIG_MAPS + "/a", made) == made
    assert await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "v"})) == made
    assert rig.storage.revision == before and stream.events() == []


async def test_another_manager_of_the_same_change_is_a_change(rig: Rig) -> None:
    made = await rig.config_map("a", data={"k": "v"})
    changed = await rig.ok("PUT", CONFIG_MAPS + "/a?fieldManager=other", config_map("a", data={"k": "w"}))
    managers = {e["manager"] for e in changed["metadata"]["managedFields"]}
    assert (
        "other" in managers and changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    )


async def test_names_and_namespaces_are_those_of_the_url(rig: Rig) -> None:
    await rig.config_map("a")
    message = await rig.fail(400, "PUT", CONFIG_MAPS + "/a", config_map("b"))
    assert message == "the name of the object (b) does not match the name on the URL (a)"
    message = await rig.fail(400, "PUT", CONFIG_MAPS + "/a", {"metadata": {}})
    assert message.startswith("the name of the object (a based on URL) was undeterminable")
    message = await rig.fail(400, "PUT", CONFIG_MAPS + "/a", config_map("a", namespace="kube-system"))
    assert message == "the namespace of the provided object does not match the namespace sent on the request"


async def test_a_uid_is_a_precondition(rig: Rig) -> None:
    made = await rig.config_map("a")
    have = made["metadata"]["uid"]
    message = await rig.fail(409, "PUT", CONFIG_MAPS + "/a", config_map("a", uid="other"))
    assert f"Precondition failed: UID in precondition: other, UID in object meta: {have}" in message
    await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", uid=have))
    message = await rig.fail(409, "PUT", LEASES + "/new", lease("new", uid="other"))
    assert "UID in precondition: other, UID in object meta: " in message


async def test_a_version_that_is_none(rig: Rig) -> None:
    await rig.config_map("a")
    message = await rig.fail(500, "PUT", CONFIG_MAPS + "/a", config_map("a", resourceVersion="x"))
    assert 'strconv.ParseUint: parsing "x": invalid syntax' in message


async def test_what_a_client_says_of_system_fields_does_not_count(rig: Rig) -> None:
    made = await rig.config_map("a")
    sent = config_map("a", creationTimestamp="2001-01-01T00:00:00Z", deletionTimestamp=None)
    changed = await rig.ok("PUT", CONFIG_MAPS + "/a", {**sent, "data": {"k": "v"}})
    for member in ("creationTimestamp", "uid"):
        assert changed["metadata"][member] == made["metadata"][member]


async def test_some_kinds_are_created_by_put(rig: Rig) -> None:
    answer = await rig.call("PUT", LEASES + "/a", lease("a"))
    assert answer.status == 201 and answer.body["metadata"]["name"] == "a"
    message = await rig.fail(404, "PUT", CONFIG_MAPS + "/a", config_map("a"))
    assert message == 'configmaps "a" not found'
    before = rig.storage.revision
    answer = await rig.call("PUT", LEASES + "/b?dryRun=All", lease("b"))
    assert answer.status == 201 and rig.storage.revision == before


async def grant(rig: Rig, verbs: Any, resources: tuple[str] = ("leases",)) -> None:
    """Let jane do something everywhere."""
    rule = {"verbs": verbs, "apiGroups": ["*"], "resources": list(resources)}
    api = "/apis/rbac.authorization.k8s.io/v1"
    await rig.ok("POST", f"{api}/clusterroles", {"metadata": {"name": "r"}, "rules": [rule]})
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await rig.ok("POST", f"{api}/clusterrolebindings", binding)


async def test_a_put_that_creates_needs_the_right_to_create(rig: Rig) -> None:
    await grant(rig, ["update"])
    message = await rig.fail(403, "PUT", LEASES + "/a", lease("a"), user="jane")
    assert 'User "jane" cannot create resource "leases" in API group "coordination.k8s.io"' in message
    made = await rig.ok("PUT", LEASES + "/a", lease("a"))
    made["spec"]["holderIdentity"] = "jane"
    await rig.ok("PUT", LEASES + "/a", made, user="jane")


async def test_a_dry_run_changes_nothing(rig: Rig) -> None:
    made = await rig.config_map("a")
    changed = await rig.ok("PUT", CONFIG_MAPS + "/a?dryRun=All", config_map("a", data={"k": "v"}))
    assert changed["data"] == {"k": "v"}
    assert changed["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert await rig.ok("GET", CONFIG_MAPS + "/a") == made


async def test_the_last_finalizer_of_a_deleted_object(rig: Rig) -> None:
    await rig.config_map("a", finalizers=["example.com/a", "example.com/b"])
    deleted = await rig.ok("DELETE", CONFIG_MAPS + "/a")
    assert (
        deleted["status"] == "Success"
        if deleted["kind"] == "Status"
        else deleted["metadata"]["deletionTimestamp"]
    )
    live = await rig.ok("GET", CONFIG_MAPS + "/a")
    live["metadata"]["finalizers"] = ["example.com/b"]
    live = await rig.ok("PUT", CONFIG_MAPS + "/a", live)
    assert live["metadata"]["deletionTimestamp"]
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={rig.storage.revision}")
    del live["metadata"]["finalizers"]
    gone = await rig.ok("PUT", CONFIG_MAPS + "/a?dryRun=All", live)
    assert (await rig.call("GET", CONFIG_MAPS + "/a")).status == 200
    gone = await rig.ok("PUT", CONFIG_MAPS + "/a", live)
    assert gone["metadata"]["name"] == "a" and "finalizers" not in gone["metadata"]
    assert (await rig.call("GET", CONFIG_MAPS + "/a")).status == 404
    assert stream.seen() == [("DELETED", "a")]


async def test_a_deleted_object_takes_no_new_finalizers(rig: Rig) -> None:
    await rig.config_map("a", finalizers=["example.com/a"])
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    obj = config_map("a", finalizers=["example.com/a", "example.com/new"])
    answer = await rig.call("PUT", CONFIG_MAPS + "/a", obj)
    assert answer.status == 422
    assert "no new finalizers can be added if the object is being deleted" in answer.body["message"]


async def test_a_status_and_its_object_do_not_write_each_other(rig: Rig) -> None:
    made = await rig.ok("POST", PODS, pod("a"))
    sent = {**made, "spec": {**made["spec"], "activeDeadlineSeconds": 9}, "status": {"reason": "R"}}
    changed = await rig.ok("PUT", PODS + "/a/status", sent)
    assert changed["status"]["reason"] == "R" and changed["spec"] == made["spec"]
    made["metadata"] = {"name": "a", "labels": {"x": "y"}}
    made["status"] = {"reason": "mine"}
    changed = await rig.ok("PUT", PODS + "/a", made)
    assert changed["metadata"]["labels"] == {"x": "y"} and changed["status"]["reason"] == "R"


class Turn(AdmissionPlugin):
    """Lets a second writer in between the first one's read and its write."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self.go = asyncio.Event()
        self.seen = 0

    def wants(self, a: Any) -> Any:
        return a.operation == "UPDATE" and (a.obj.get("data") or {}).get("slow") == "1"

    def validate(self, a: Any) -> Any:
        self.seen += 1
        return self._wait() if self.seen == 1 else None

    async def _wait(self) -> None:
        self.waiting.set()
        await self.go.wait()


@pytest.fixture
def turn(rig: Rig) -> Any:
    turn = Turn()
    plug(rig.chain, turn)
    return turn


async def race(rig: Rig, turn: Any, *slow: Any) -> Any:
    """A slow write begins, another one comes in between, the slow one goes on."""
    first = asyncio.ensure_future(rig.handle(*slow))
    await turn.waiting.wait()
    await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"fast": "1"}))
    turn.go.set()
    return rig.answer(await first)


async def test_of_two_writers_with_a_version_one_loses(rig: Rig, turn: Any) -> None:
    made = await rig.config_map("a")
    answer = await race(rig, turn, "PUT", CONFIG_MAPS + "/a", {**made, "data": {"slow": "1"}})
    assert answer.status == 409 and answer.body["message"].endswith(MODIFIED)
    assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["data"] == {"fast": "1"}


async def test_a_writer_without_a_version_tries_again(rig: Rig, turn: Any) -> None:
    await rig.config_map("a")
    answer = await race(rig, turn, "PUT", CONFIG_MAPS + "/a", config_map("a", data={"slow": "1"}))
    assert answer.status == 200 and turn.seen == 2
    assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["data"] == {"slow": "1"}


async def test_a_patch_is_laid_over_what_is_there_by_then(rig: Rig, turn: Any) -> None:
    await rig.config_map("a")
    headers = {"Content-Type": "application/merge-patch+json"}
    first = asyncio.ensure_future(
        rig.handle("PATCH", CONFIG_MAPS + "/a", {"data": {"slow": "1"}}, headers=headers)
    )
    await turn.waiting.wait()
    await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"fast": "1"}))
    turn.go.set()
    assert rig.answer(await first).body["data"] == {"fast": "1", "slow": "1"}


async def test_a_writer_whose_object_is_deleted_meanwhile(rig: Rig, turn: Any) -> None:
    await rig.config_map("a")
    first = asyncio.ensure_future(rig.handle("PUT", CONFIG_MAPS + "/a", config_map("a", data={"slow": "1"})))
    await turn.waiting.wait()
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    turn.go.set()
    answer = rig.answer(await first)
    assert (answer.status, answer.body["message"]) == (404, 'configmaps "a" not found')


async def test_many_writers_at_once_all_succeed(rig: Rig) -> None:
    await rig.config_map("a")
    headers = {"Content-Type": "application/merge-patch+json"}
    patches = [
        rig.call("PATCH", CONFIG_MAPS + "/a", {"data": {f"k{n}": "v"}}, headers=headers) for n in range(20)
    ]
    answers = await asyncio.gather(*patches)
    assert {a.status for a in answers} == {200}
    assert len((await rig.ok("GET", CONFIG_MAPS + "/a"))["data"]) == 20


async def test_an_empty_list_is_tracked_and_stored_as_none(rig: Rig) -> None:
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
    await rig.ok("POST", roles + "?fieldManager=one", {"metadata": {"name": "r"}, "rules": [rule]})
    put: dict[str, Any] = {"metadata": {"name": "r"}, "rules": []}
    emptied = await rig.ok("PUT", roles + "/r?fieldManager=two", put)
    assert emptied["rules"] is None
    owners = {e["manager"]: e["fieldsV1"] for e in emptied["metadata"]["managedFields"]}
    assert owners == {"two": {"f:rules": {}}}
    put["metadata"]["managedFields"] = []
    cleared = await rig.ok("PUT", roles + "/r?fieldManager=two", put)
    assert "managedFields" not in cleared["metadata"]
    assert await rig.ok("PUT", roles + "/r?fieldManager=two", put) == cleared

"""GET /debug/report of a server on which small controllers go wrong."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import CONFIG_MAPS, Rig, config_map

from pilothouse.endpoints.journal.report.text import LINES

Object = dict[str, Any]
REPORT = "/debug/report"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
WEB: Object = {
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        },
    },
}


@pytest.fixture
def rig(runner: asyncio.Runner) -> Iterator[Rig]:
    """A server without sockets that has faults."""
    made = Rig(flags=["--faults"])
    runner.run(made.start())
    yield made
    runner.run(made.stop())


class Controller:
    """A loop that reads an object, changes it and writes it."""

    def __init__(self, rig: Rig, agent: str) -> None:
        self.rig = rig
        self.headers = {"User-Agent": agent}

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return await self.rig.call(method, path, body, headers={**self.headers, **headers})

    async def reconcile(self, path: str, change: Callable[[Object], None], *, write: str = "") -> int:
        """One round; the code of the write."""
        found = (await self.call("GET", path)).body
        change(found)
        return int((await self.call("PUT", f"{path}{write}", found)).status)


async def report(rig: Rig, query: str = "") -> Object:
    found: Object = await rig.ok("GET", REPORT + query)
    return found


async def told(rig: Rig, query: str = "") -> list[str]:
    answer = await rig.call("GET", REPORT + query, headers={"Accept": "text/plain"})
    assert answer.status == 200
    return str(answer.body).splitlines()


def nothing(obj: Object) -> None:
    """Change nothing."""


async def test_requests_by_client(rig: Rig) -> None:
    controller = Controller(rig, "shop/v1 (linux/amd64)")
    for _ in range(3):
        await controller.call("GET", CONFIG_MAPS)
    await controller.call("POST", CONFIG_MAPS, config_map("a"))
    await controller.call("GET", CONFIG_MAPS, **{"User-Agent": "pilothouse-testing"})
    [own] = [one for one in (await report(rig))["clients"] if one["userAgent"]]
    assert own["userAgent"] == "shop/v1 (linux/amd64)" and own["user"] == "admin" and own["requests"] == 4
    assert own["by"] == [
        {"verb": "list", "resource": "configmaps", "code": 200, "count": 3},
        {"verb": "create", "resource": "configmaps", "code": 201, "count": 1},
    ]
    line = "  shop/v1 (linux/amd64) as admin: 4 (list configmaps 200 x3, create configmaps 201)"
    assert line in await told(rig)


async def test_refusals_alike_are_one(rig: Rig) -> None:
    for _ in range(3):
        await rig.call("GET", CONFIG_MAPS, user="jane")
    await rig.call("GET", f"{CONFIG_MAPS}/none")
    found = (await report(rig))["refused"]
    assert [(one["code"], one["count"]) for one in found] == [(403, 3), (404, 1)]
    line = (
        f'  list {CONFIG_MAPS} by jane (3 times): 403 Forbidden: configmaps is forbidden: User "jane" cannot'
        ' list resource "configmaps" in API group "" in the namespace "default"'
    )
    assert line in await told(rig)


async def test_a_conflict_says_who_has_won(rig: Rig) -> None:
    made = await rig.ok("POST", DEPLOYMENTS, WEB)
    path = f"{DEPLOYMENTS}/web"
    assert (
        await Controller(rig, "scaler/v2 (x)").reconcile(path, lambda obj: obj["spec"].update(replicas=2))
        == 200
    )
    for _ in range(2):
        assert (await Controller(rig, "shop/v1").call("PUT", path, made)).status == 409
    [found] = (await report(rig))["conflicts"]
    assert (found["object"], found["lost"], found["against"]) == (
        "deployments.apps default/web",
        "shop/v1",
        "scaler/v2",
    )
    lines = await told(rig)
    start = (
        "  deployments.apps default/web: update of shop/v1 lost against scaler/v2 (2 times): Operation cannot"
    )
    assert any(line.startswith(start) for line in lines)
    assert (await report(rig))["refused"] == [], "conflicts have a section of their own"


async def test_a_loop_of_writes_that_change_nothing(rig: Rig) -> None:
    await rig.config_map("a")
    controller = Controller(rig, "shop/v1")
    for _ in range(4):
        assert await controller.reconcile(f"{CONFIG_MAPS}/a", nothing) == 200
    assert (await report(rig))["loops"] == []
    for _ in range(3):
        await controller.reconcile(f"{CONFIG_MAPS}/a", nothing)
    [found] = (await report(rig))["loops"]
    assert (found["object"], found["client"], found["writes"], found["withoutEffect"]) == (
        "configmaps default/a",
        "shop/v1",
        7,
        7,
    )
    lines = await told(rig)
    assert any(line.startswith("  shop/v1 wrote configmaps default/a 7 times in ") for line in lines)


async def test_a_loop_that_leaves_the_spec_as_it_is(rig: Rig) -> None:
    """Labels change with each write; writes that change the spec are none of it."""
    await rig.ok("POST", DEPLOYMENTS, WEB)
    path, controller = f"{DEPLOYMENTS}/web", Controller(rig, "shop/v1")

    def stamp(obj: Object) -> None:
        obj["metadata"]["labels"] = {"at": str(time.perf_counter())}

    def scale(obj: Object) -> None:
        obj["spec"]["replicas"] += 1

    for _ in range(12):
        await controller.reconcile(path, scale)
    assert (await report(rig))["loops"] == []
    for _ in range(10):
        await controller.reconcile(path, stamp)
    [found] = (await report(rig))["loops"]
    assert (found["writes"], found["withoutEffect"], found["sameSpec"]) == (22, 0, 10)


async def test_a_loop_of_status_writes(rig: Rig) -> None:
    await rig.ok("POST", DEPLOYMENTS, WEB)

    def flap(obj: Object) -> None:
        obj["status"] = {"observedGeneration": obj["status"].get("observedGeneration", 0) + 1}

    for _ in range(10):
        await Controller(rig, "shop/v1").reconcile(f"{DEPLOYMENTS}/web", flap, write="/status")
    [found] = (await report(rig))["loops"]
    assert found["object"] == "deployments.apps/status default/web" and found["writes"] == 10


async def test_a_loop_of_writes_that_are_refused(rig: Rig) -> None:
    await rig.config_map("a")
    controller = Controller(rig, "shop/v1")
    for _ in range(10):
        await controller.reconcile(f"{CONFIG_MAPS}/a", lambda obj: obj["metadata"].update(labels={"a": "/"}))
    [found] = (await report(rig))["loops"]
    assert (found["refused"], found["reason"]) == (10, "Invalid")


async def test_a_loop_of_deletions(rig: Rig) -> None:
    controller = Controller(rig, "shop/v1")
    for _ in range(5):
        await rig.config_map("a")
        await controller.call("DELETE", f"{CONFIG_MAPS}/a")
    [found] = (await report(rig))["loops"]
    assert (found["verb"], found["writes"]) == ("delete", 5)


async def test_gaps_of_an_informer(rig: Rig) -> None:
    """It lists, watches, is cut by force, finds that it is too old, and lists anew."""
    controller = Controller(rig, "shop/v1")
    for _ in range(3):
        listed = (await controller.call("GET", f"{CONFIG_MAPS}?limit=500&resourceVersion=0")).body
        revision = listed["metadata"]["resourceVersion"]
        await rig.ok("PUT", "/faults/cut", {"verb": "watch", "drop": True, "times": 1})
        cut = (await controller.call("GET", f"{CONFIG_MAPS}?watch=1&resourceVersion={revision}")).stream
        await rig.settle()
        assert cut.aborted
        await rig.ok("PUT", "/faults/cut", {"verb": "watch", "code": 410, "times": 1})
        await controller.call("GET", f"{CONFIG_MAPS}?watch=1&resourceVersion={revision}")
        await rig.settle()
    [found] = (await report(rig))["watchGaps"]
    assert found == {
        "client": "shop/v1",
        "resource": "configmaps",
        "namespace": "default",
        "cut": 3,
        "tooOld": 3,
        "relists": 2,
    }
    line = "  configmaps in default of shop/v1: too old (410) 3 times, cut 3 times, listed again 2 times"
    assert line in await told(rig)


async def test_a_watch_that_the_server_calls_too_old(rig: Rig) -> None:
    """An error inside of the stream of a watch, which was answered with 200."""
    await rig.config_map("a")
    answer = await rig.call(
        "GET",
        f"{CONFIG_MAPS}?watch=1&resourceVersion=99999999&sendInitialEvents=true"
        "&resourceVersionMatch=NotOlderThan",
    )
    assert answer.stream is not None and answer.stream.events()[0]["type"] == "ERROR"
    audit_id = answer.headers["audit-id"]
    [found] = (await rig.ok("GET", f"/debug/requests/{audit_id}"))["requests"]
    assert found["why"].startswith("The watch ended with an ERROR event: ")


async def test_what_is_left_over(rig: Rig) -> None:
    owner = await rig.config_map("owner")

    def owned_by(uid: str) -> list[Object]:
        return [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]

    middle = await rig.config_map("middle", ownerReferences=owned_by(owner["metadata"]["uid"]))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "middle", "uid": middle["metadata"]["uid"]}
    await rig.config_map("leaf", ownerReferences=[reference])
    await rig.config_map("orphan", ownerReferences=owned_by("gone"))
    await rig.config_map("stuck", finalizers=["example.com/never"])
    await rig.ok("DELETE", f"{CONFIG_MAPS}/stuck")
    await rig.config_map("kube-root-ca.crt")
    helper = {"User-Agent": "pilothouse-testing"}
    await rig.ok("POST", CONFIG_MAPS, config_map("of-a-helper", data={"a": "b"}), headers=helper)
    found = [one for one in (await report(rig))["leftOver"] if one["object"].startswith("ConfigMap")]
    assert [one["object"] for one in found] == [
        "ConfigMap default/stuck",
        "ConfigMap default/orphan",
        "ConfigMap default/owner",
    ]
    assert found[0]["finalizers"] == ["example.com/never"] and found[1]["ownerIsGone"]
    assert found[2]["dependents"] == 2
    lines = await told(rig)
    assert "  ConfigMap default/stuck is being deleted, and held by example.com/never" in lines
    assert "  ConfigMap default/orphan, owned by ConfigMap owner that is gone" in lines
    assert "  ConfigMap default/owner and 2 that it owns" in lines
    await rig.ok(
        "PATCH",
        f"{CONFIG_MAPS}/stuck",
        {"metadata": {"finalizers": None}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert "ConfigMap default/stuck" not in [one["object"] for one in (await report(rig))["leftOver"]]


async def test_what_a_foreground_deletion_waits_for(rig: Rig) -> None:
    owner = await rig.config_map("owner")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    await rig.config_map("leaf", ownerReferences=[reference])
    await rig.ok("DELETE", f"{CONFIG_MAPS}/owner?propagationPolicy=Foreground")
    found = (await report(rig))["leftOver"][0]
    assert found["finalizers"] == ["foregroundDeletion"] and found["waitsFor"] == ["ConfigMap default/leaf"]


async def test_faults_that_were_hit_and_those_that_never_were(rig: Rig) -> None:
    await rig.ok("PUT", "/faults/conflict", {"verb": "create", "code": 409})
    await rig.ok("PUT", "/faults/idle", {"verb": "delete", "drop": True})
    assert (await rig.call("POST", CONFIG_MAPS, config_map("a"))).status == 409
    await rig.ok("DELETE", "/faults")
    lines = await told(rig)
    assert lines[:3] == [
        "Faults",
        "  idle never struck, no requests were like its rule (verb delete, drop True)",
        "  conflict has struck once (verb create, code 409)",
    ]
    assert "Refused" not in lines, "the fault's own refusals are told above"


async def test_since_a_time(rig: Rig) -> None:
    await rig.call("GET", f"{CONFIG_MAPS}/early")
    between = time.time()
    await rig.call("GET", f"{CONFIG_MAPS}/late")

    def paths(found: Object) -> list[str]:
        return [one["path"].rpartition("/")[2] for one in found["refused"]]

    assert paths(await report(rig)) == ["early", "late"]
    shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(between)) + f"{between % 1:.6f}"[1:] + "Z"
    assert paths(await report(rig, f"?since={shown}")) == ["late"]
    assert paths(await report(rig, "?since=1h")) == ["early", "late"]
    assert "no duration" in await rig.fail(400, "GET", f"{REPORT}?since=yesterday")


async def test_many_lines_are_cut(rig: Rig) -> None:
    for number in range(60):
        await rig.call("GET", f"{CONFIG_MAPS}/a{number}")
        await rig.config_map(f"left{number}")
        await rig.call("GET", CONFIG_MAPS, headers={"User-Agent": f"agent/{number}"})
    lines = await told(rig)
    assert len(lines) == LINES
    assert [line for line in lines if not line.startswith(" ")] == ["Refused", "Left over", "Requests"]
    assert sum(line.startswith("  ... and ") for line in lines) == 3


def test_what_the_journal_has_forgotten() -> None:
    async def main() -> None:
        async with Rig(flags=["--explained-requests=100"]) as small:
            assert (await report(small))["complete"]
            for _ in range(120):
                await small.call("GET", CONFIG_MAPS)
            assert not (await report(small))["complete"]
            assert (await told(small))[-1].startswith("(requests before these are forgotten")

    asyncio.run(main())


async def test_control_characters_are_escaped(rig: Rig) -> None:
    await rig.call("GET", CONFIG_MAPS, headers={"User-Agent": "a\x1b[31mb\u202ec"})
    assert any(line.startswith("  a\\x1b[31mb\\u202ec as admin: 1 ") for line in await told(rig))


async def test_who_may_ask(rig: Rig) -> None:
    assert (await rig.call("GET", REPORT, user="jane")).status == 403
    assert (await rig.call("POST", REPORT)).status == 405
    assert (await rig.call("GET", REPORT, headers={"Accept": "image/png"})).status == 406

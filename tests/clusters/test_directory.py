"""Clusters are made once, opened once, and leave memory without losing a write."""

import asyncio
import contextlib
import gc
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from clusters.journals import Journal
from clusters.rig import CLUSTERS, MAPS, ClusterRig, bearer, cluster_of, running
from eventually import aeventually

from pilothouse import errors
from pilothouse.clusters.directory import ClusterPlace, SourceMissing
from pilothouse.clusters.janitor import Janitor
from pilothouse.storage.interface import Op

pytestmark = pytest.mark.usefixtures("runner")

SYSTEM = "/api/v1/namespaces/kube-system"
NAMESPACES = "/api/v1/namespaces"


@contextlib.contextmanager
def slow(rig: ClusterRig, milliseconds: int) -> Iterator[Journal]:
    """The rig's journal, each write of which takes so long."""
    journal = rig.journal
    journal.turns = milliseconds
    journal.records.clear()
    yield journal
    journal.turns = 0


async def suspended(rig: ClusterRig, name: str) -> None:
    await rig.directory.suspend(name)
    assert name not in rig.directory.open


def openings(rig: ClusterRig, name: str) -> int:
    """How often a cluster was read from the journal."""
    return rig.journal.reads[f"/keyspaces/{rig.directory.places[name].uid}/"]


async def test_requests_that_come_together_wake_a_cluster_once(rig: ClusterRig) -> None:
    await rig.make("woken")
    await rig.keep("woken", "kept", n="1")
    await suspended(rig, "woken")
    before = openings(rig, "woken")
    answers = await asyncio.gather(*(rig.call("GET", f"{MAPS}/kept", cluster="woken") for _ in range(100)))
    assert [one.status for one in answers] == [200] * 100
    assert openings(rig, "woken") == before + 1


async def test_a_waiting_request_that_is_cancelled_wakes_the_cluster_for_others(rig: ClusterRig) -> None:
    await rig.make("cancelled")
    await suspended(rig, "cancelled")
    first = asyncio.create_task(rig.call("GET", MAPS, cluster="cancelled"))
    second = asyncio.create_task(rig.call("GET", MAPS, cluster="cancelled"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).status == 200


async def test_a_cluster_is_made_once(rig: ClusterRig) -> None:
    """The controller and the first requests make it at the same time."""
    with slow(rig, 1) as journal:
        rig.directory.places["twice"] = ClusterPlace("uid-of-twice")
        provisioned = [rig.directory.provision("twice") for _ in range(3)]
        await asyncio.gather(rig.directory.wake("twice"), *provisioned)
        assert journal.records == ["uid-of-twice"]
        rig.directory.forget("twice")
        await rig.ok("POST", CLUSTERS, cluster_of("once"))
        await asyncio.gather(*(rig.call("GET", "/version", cluster="once") for _ in range(10)))
        await rig.ready("once")
        assert len(journal.records) == 2

    async def account() -> Any:
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        return (await rig.call("GET", path, cluster="once")).status == 200

    await aeventually(account, "the service account")
    token = await rig.token("once")
    await suspended(rig, "once")
    answer = await rig.call("GET", "/api", cluster="once", authorization=bearer(token))
    assert answer.status == 200  # the key in memory was the one in the journal
    record = await rig.directory.records.read(rig.directory.places["once"].uid)
    assert record is not None
    assert record.key == rig.open("once").host.token_key


async def test_each_has_an_identity_of_its_own(rig: ClusterRig) -> None:
    await rig.make("id-a")
    await rig.ok("POST", NAMESPACES, {"metadata": {"name": "extra"}}, cluster="id-a")
    await rig.make("id-b")
    await rig.make("id-copy", copyOf="id-a")
    uids = [
        (await rig.ok("GET", SYSTEM, cluster=name))["metadata"]["uid"]
        for name in ("", "id-a", "id-b", "id-copy")
    ]
    assert len(set(uids)) == 4
    await suspended(rig, "id-copy")
    assert (await rig.ok("GET", SYSTEM, cluster="id-copy"))["metadata"]["uid"] == uids[3]


async def test_a_copy_of_unfinished_work_has_an_identity_of_its_own(rig: ClusterRig) -> None:
    """Controllers write into the copy as soon as it is open."""
    await rig.make("work-a")
    await rig.ok("GET", SYSTEM, cluster="work-a")
    body = {"metadata": {"name": "ending", "finalizers": ["example.com/wait"]}}
    await rig.ok("POST", NAMESPACES, body, cluster="work-a")
    await rig.ok(
        "POST", "/api/v1/namespaces/ending/configmaps", {"metadata": {"name": "x"}}, cluster="work-a"
    )
    await rig.ok("DELETE", f"{NAMESPACES}/ending", cluster="work-a")
    await rig.make("work-copy", copyOf="work-a")
    uids = [
        (await rig.ok("GET", SYSTEM, cluster=name))["metadata"]["uid"] for name in ("work-a", "work-copy")
    ]
    assert uids[0] != uids[1]


# Suspending


async def test_suspending_loses_no_request_and_no_write(rig: ClusterRig) -> None:
    """The janitor finds a cluster idle between requests, again and again, while the journal is slow."""
    await rig.make("busy")
    uid = rig.directory.places["busy"].uid
    over = asyncio.Event()
    kept: dict[str, list[int]] = {}
    times = 0

    async def writer(name: str) -> None:
        number = 0
        while not over.is_set():
            number += 1
            obj = await rig.keep("busy", name, n=str(number))
            kept.setdefault(name, []).append(int(obj["metadata"]["resourceVersion"]))
            if number % 7 == 0:
                await rig.ok("POST", NAMESPACES, {"metadata": {"name": f"{name}-{number}"}}, cluster="busy")
            read = await rig.ok("GET", f"{MAPS}/{name}", cluster="busy")
            assert read["data"] == {"n": str(number)}
            for _ in range(number % 5):
                await asyncio.sleep(0.0005)

    async def janitor() -> None:
        nonlocal times
        janitor = Janitor(rig.directory, 1e-9)
        while not over.is_set():
            before = len(rig.directory.open)
            await janitor._suspend(float("inf"))
            times += len(rig.directory.open) < before
            await asyncio.sleep(0.001)

    with slow(rig, 1) as journal:
        tasks = [asyncio.create_task(writer(f"w{number}")) for number in range(2)]
        tasks.append(asyncio.create_task(janitor()))
        await aeventually(lambda: times > 10 or any(task.done() for task in tasks), "ten suspensions")
        over.set()
        await asyncio.gather(*tasks)
        await suspended(rig, "busy")
        journal.check(uid)
    assert times > 10
    for name, revisions in kept.items():
        assert revisions == sorted(set(revisions))
        live = await rig.ok("GET", f"{MAPS}/{name}", cluster="busy")
        assert live["data"] == {"n": str(len(revisions))}


async def test_a_cluster_is_opened_after_it_was_closed(rig: ClusterRig) -> None:
    """Controllers' writes may be on their way when a cluster leaves memory."""
    await rig.make("closing")
    uid = rig.directory.places["closing"].uid
    await rig.ok("GET", MAPS, cluster="closing")
    with slow(rig, 20) as journal:
        body = {"metadata": {"name": "new"}}
        made = await rig.ok("POST", NAMESPACES, body, cluster="closing")
        storage = rig.open("closing").storage
        await asyncio.sleep(0.005)  # the controllers write into the new namespace
        assert storage._writes
        closing = asyncio.create_task(rig.directory.suspend("closing"))
        await asyncio.sleep(0)
        assert "closing" not in rig.directory.open
        later = await rig.keep("closing", "after", n="1")
        assert rig.open("closing").storage is not storage
        await closing
        journal.check(uid)
    assert int(later["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


async def test_a_cluster_may_leave_memory_while_a_body_comes(rig: ClusterRig) -> None:
    await rig.make("slow-body")
    identity = rig.identity("slow-body")
    path, body = f"/clusters/slow-body{MAPS}", {"metadata": {"name": "long"}}
    answer = await rig.send(
        "POST", path, body, identity=identity, judged=True, between=lambda: suspended(rig, "slow-body")
    )
    assert answer.status == 201
    assert (await rig.call("GET", f"{MAPS}/long", cluster="slow-body")).status == 200


async def test_a_watch_keeps_a_cluster_in_memory(rig: ClusterRig) -> None:
    await rig.make("watching")
    answer = await rig.call("GET", f"{MAPS}?watch=1", cluster="watching")
    janitor = Janitor(rig.directory, 1e-9)
    await janitor._suspend(float("inf"))
    assert "watching" in rig.directory.open
    assert answer.stream is not None
    answer.stream.close()
    await janitor._suspend(float("inf"))
    assert "watching" not in rig.directory.open


# Copies


async def test_a_copy_is_the_source_at_one_moment(rig: ClusterRig) -> None:
    await rig.make("source")
    over = asyncio.Event()
    written = {"first": 0, "second": 0}

    async def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            for name in written:
                await rig.keep("source", name, n=str(number))
                written[name] = number
            await asyncio.sleep(0)

    task = asyncio.create_task(write())
    while written["second"] < 3:
        await asyncio.sleep(0.001)
    for number in range(8):
        before = dict(written)
        name = f"copy-{number}"
        await rig.make(name, copyOf="source")
        first, second = [
            int((await rig.ok("GET", f"{MAPS}/{one}", cluster=name))["data"]["n"]) for one in written
        ]
        assert first >= before["first"]
        assert second >= before["second"]
        assert first in (second, second + 1)
    over.set()
    await task
    assert written["second"] > 8
    await rig.keep("copy-1", "first", n="own")
    for name in ("source", "copy-2"):
        assert (await rig.ok("GET", f"{MAPS}/first", cluster=name))["data"]["n"].isdigit()
    await suspended(rig, "copy-1")
    assert (await rig.ok("GET", f"{MAPS}/first", cluster="copy-1"))["data"] == {"n": "own"}


async def test_a_copy_is_whole_after_its_source_has_gone(rig: ClusterRig) -> None:
    await rig.make("origin")
    await rig.keep("origin", "kept", n="1")
    await rig.make("remains", copyOf="origin")
    await rig.delete("origin")
    await suspended(rig, "remains")
    assert (await rig.ok("GET", f"{MAPS}/kept", cluster="remains"))["data"] == {"n": "1"}


async def test_a_copy_takes_what_was_deleted_for_deleted(rig: ClusterRig) -> None:
    await rig.make("less")
    for name in ("kept", "gone"):
        await rig.keep("less", name, n="1")
    await rig.make("less-1", copyOf="less")
    await rig.ok("DELETE", f"{MAPS}/gone", cluster="less")
    await rig.ok("DELETE", f"{MAPS}/gone", cluster="less-1")
    await suspended(rig, "less")
    await suspended(rig, "less-1")
    await rig.make("less-2", copyOf="less")
    await rig.make("less-3", copyOf="less-1")
    for name, statuses in (
        ("less", [200, 404]),
        ("less-1", [200, 404]),
        ("less-2", [200, 404]),
        ("less-3", [200, 404]),
    ):
        found = [(await rig.call("GET", f"{MAPS}/{one}", cluster=name)).status for one in ("kept", "gone")]
        assert found == statuses, name


async def test_states_of_copies_go_when_nobody_uses_them(rig: ClusterRig) -> None:
    async def bases() -> int:
        gc.collect()
        await rig.directory.records.sweep()
        return len((await rig.journal.range("/bases/")).items)

    await rig.make("changing")
    before = await bases()
    for number in range(3):
        await rig.keep("changing", "kept", n=str(number))
        await rig.make(f"changing-{number}", copyOf="changing")
    assert await bases() == before + 3
    for number in range(2):
        await rig.delete(f"changing-{number}")
    assert await bases() == before + 1
    await suspended(rig, "changing")
    assert (await rig.ok("GET", f"{MAPS}/kept", cluster="changing-2"))["data"] == {"n": "2"}
    await rig.delete("changing-2")
    await rig.make("changing-3", copyOf="changing")
    assert (await rig.ok("GET", f"{MAPS}/kept", cluster="changing-3"))["data"] == {"n": "2"}
    assert await bases() == before + 1


async def test_copies_of_copies_are_made_together(rig: ClusterRig) -> None:
    async with asyncio.timeout(5):
        with slow(rig, 1):
            chain = [cluster_of("chain-0")]
            chain += [cluster_of(f"chain-{n}", copyOf=f"chain-{n - 1}") for n in range(1, 5)]
            await asyncio.gather(*(rig.ok("POST", CLUSTERS, one) for one in reversed(chain)))
            await asyncio.gather(*(rig.call("GET", "/version", cluster=f"chain-{n}") for n in range(5)))
            for number in range(5):
                await rig.ready(f"chain-{number}")


async def test_copies_in_a_circle_hold_nobody_up(rig: ClusterRig) -> None:
    async with asyncio.timeout(5):
        circle = {"circle-a": "circle-b", "circle-b": "circle-a", "circle-self": "circle-self"}
        for name, source in circle.items():
            await rig.ok("POST", CLUSTERS, cluster_of(name, copyOf=source))
        for name, source in circle.items():

            async def told(name: str = name) -> Any:
                status = (await rig.ok("GET", f"{CLUSTERS}/{name}")).get("status") or {}
                return (status.get("conditions") or [{}])[0].get("reason") == "SourceNotFound" and status

            status = await aeventually(told, "the condition")
            assert f'"{source}"' in status["conditions"][0]["message"]
            answer = await rig.call("GET", "/version", cluster=name)
            assert answer.status == 503
            assert source not in json.dumps(answer.body).replace(name, "") or source == name
        await rig.make("free")
        await rig.make("free-copy", copyOf="free")
        for name in circle:
            await rig.delete(name)


async def test_a_missing_source_is_waited_for(rig: ClusterRig) -> None:
    await rig.ok("POST", CLUSTERS, cluster_of("early", copyOf="late"))
    with pytest.raises(SourceMissing):
        await rig.directory.wake("early")
    answer = await rig.call("GET", "/version", cluster="early")
    assert answer.status == 503
    assert "late" not in json.dumps(answer.body)
    await rig.make("late")
    assert (await rig.call("GET", "/version", cluster="early")).status == 200


# Clusters without an object


async def test_a_cluster_that_is_lent_is_served_and_leaves_no_rows(rig: ClusterRig) -> None:
    uid = await rig.directory.lend("lent")
    await rig.keep("lent", "kept", n="1")
    await suspended(rig, "lent")
    assert (await rig.ok("GET", f"{MAPS}/kept", cluster="lent"))["data"] == {"n": "1"}
    assert (await rig.call("GET", f"{CLUSTERS}/lent")).status == 404
    with pytest.raises(ValueError, match="already"):
        await rig.directory.lend("lent")
    await rig.directory.give_back("lent")
    assert (await rig.call("GET", MAPS, cluster="lent")).status == 404
    for prefix in (f"/clusters/{uid}", f"/keyspaces/{uid}"):
        assert (await rig.directory.journal.range(prefix)).items == []
    await rig.directory.give_back("lent")


async def test_a_copy_is_lent(rig: ClusterRig) -> None:
    await rig.make("lender")
    await rig.keep("lender", "kept", n="1")
    await rig.directory.lend("lent-copy", "lender")
    await rig.keep("lender", "later", n="2")
    maps = {one["metadata"]["name"] for one in (await rig.ok("GET", MAPS, cluster="lent-copy"))["items"]}
    assert "kept" in maps and "later" not in maps
    await rig.directory.give_back("lent-copy")
    with pytest.raises(SourceMissing):
        await rig.directory.lend("lent-copy", "nobody")
    assert "lent-copy" not in rig.directory.places


async def test_a_cluster_that_cannot_be_lent_leaves_its_name(rig: ClusterRig) -> None:
    lending = asyncio.create_task(rig.directory.lend("unlent"))
    await asyncio.sleep(0)
    assert "unlent" in rig.directory.places
    lending.cancel()
    await asyncio.wait([lending])
    assert "unlent" not in rig.directory.places
    await rig.directory.lend("unlent")
    await rig.directory.give_back("unlent")


# Removal


async def test_what_is_removed_while_it_is_opened_leaves_no_rows(rig: ClusterRig) -> None:
    await rig.make("brief")
    uid = rig.directory.places["brief"].uid
    await rig.keep("brief", "kept", n="1")
    await suspended(rig, "brief")
    with slow(rig, 2):
        waking = asyncio.create_task(rig.call("GET", MAPS, cluster="brief"))
        await asyncio.sleep(0.003)
        await rig.delete("brief")
        assert (await waking).status in (200, 404, 503)

    async def gone() -> bool:
        records = await rig.directory.journal.range(f"/clusters/{uid}")
        pairs = await rig.directory.journal.range(f"/keyspaces/{uid}")
        return not records.items and not pairs.items

    await aeventually(gone, "the rows to be gone")
    await rig.settle()
    assert await gone()
    assert "brief" not in rig.directory.open


async def test_nothing_is_opened_without_an_object(rig: ClusterRig) -> None:
    with pytest.raises(errors.NotFound):
        await rig.directory.wake("never-made")
    with pytest.raises(errors.NotFound):
        await rig.directory.provision("never-made")


async def test_a_place_that_changed_hands_is_not_opened(rig: ClusterRig) -> None:
    """The object is deleted and made again while the cluster comes into memory."""
    await rig.make("hands")
    uid = rig.directory.places["hands"].uid
    rig.journal.open.clear()
    waking = asyncio.create_task(rig.directory.wake("hands"))
    await aeventually(lambda: rig.journal.given[uid], "the first write of the cluster")
    rig.directory.places["hands"] = ClusterPlace("another-uid")
    rig.journal.open.set()
    with pytest.raises(errors.NotFound):
        await waking
    assert "hands" not in rig.directory.open
    del rig.directory.places["hands"]


# Over a restart


async def test_what_was_left_of_a_removal_is_swept_at_the_start(directory: pathlib.Path) -> None:
    async with running(directory, backend="sqlite") as rig:
        for name in ("stays", "base"):
            await rig.make(name)
            await rig.keep(name, "kept", n="1")
        await rig.make("copied", copyOf="base")
        await rig.delete("base")
        record = await rig.directory.records.read(rig.directory.places["copied"].uid)
        assert record is not None
        half = "interrupted-uid"
        await rig.directory.records.write(half, record)
        for number in range(3):
            await rig.directory.journal.create(f"/keyspaces/{half}/registry/{number}", b"x" * 24)
        unused, _ = await rig.directory.records.add_base([], 7)
    async with running(directory, backend="sqlite") as rig:
        journal = rig.directory.journal
        assert {uid async for uid, _ in rig.directory.records.each()} == {
            rig.directory.places[name].uid for name in ("stays", "copied")
        }
        assert not (await journal.range(f"/keyspaces/{half}")).items
        assert await journal.get(f"/bases/{unused}") is None
        for name in ("stays", "copied"):
            assert (await rig.ok("GET", f"{MAPS}/kept", cluster=name))["data"] == {"n": "1"}


async def test_an_interrupted_removal_is_ended_by_the_next_start(directory: pathlib.Path) -> None:
    """The process dies after some of a cluster's rows have gone, and before its object has."""
    async with running(directory, backend="sqlite") as rig:
        await rig.make("dying")
        uid = rig.directory.places["dying"].uid
        for number in range(5):
            await rig.keep("dying", f"kept-{number}", n="1")
        refused = 0

        def refuses(ops: list[Op]) -> bool:
            nonlocal refused
            refused += (last := any(op.key == f"/clusters/{uid}" for op in ops))
            return last

        rig.journal.refuses = refuses
        await rig.ok("DELETE", f"{CLUSTERS}/dying")
        await aeventually(lambda: refused, "the interruption")
        assert (await rig.call("GET", "/version", cluster="dying")).status == 404
        assert await rig.directory.records.read(uid) is not None
    async with running(directory, backend="sqlite") as rig:
        await rig.gone("dying")
        assert not (await rig.directory.journal.range(f"/keyspaces/{uid}")).items
        assert await rig.directory.records.read(uid) is None


async def test_clusters_and_their_keys_are_there_after_a_restart(directory: pathlib.Path) -> None:
    async with running(directory, backend="sqlite") as rig:
        await rig.make("lasting")
        made = await rig.keep("lasting", "kept", n="1")

        async def account() -> Any:
            path = "/api/v1/namespaces/default/serviceaccounts/default"
            return (await rig.call("GET", path, cluster="lasting")).status == 200

        await aeventually(account, "the service account")
        token = await rig.token("lasting")
        identity = (await rig.ok("GET", SYSTEM, cluster="lasting"))["metadata"]["uid"]
    async with running(directory, backend="sqlite", port=rig.port) as rig:
        assert rig.directory.open == {}
        found = await rig.ok("GET", f"{MAPS}/kept", cluster="lasting")
        assert found["metadata"] == made["metadata"]
        answer = await rig.call("GET", "/api", cluster="lasting", authorization=bearer(token))
        assert answer.status == 200
        assert (await rig.ok("GET", SYSTEM, cluster="lasting"))["metadata"]["uid"] == identity
        later = await rig.keep("lasting", "kept", n="2")
        assert int(later["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


async def test_the_one_that_was_asked_the_longest_time_ago_makes_room(directory: pathlib.Path) -> None:
    async with running(directory, "--clusters-awake-max=2") as rig:
        for name in ("one", "two", "three"):
            await rig.make(name)
        await rig.keep("one", "kept", n="1")
        await rig.keep("two", "kept", n="2")
        await rig.call("GET", MAPS, cluster="one")
        await rig.keep("three", "kept", n="3")
        assert set(rig.directory.open) == {"one", "three"}
        watch = (await rig.call("GET", f"{MAPS}?watch=1", cluster="one")).stream
        assert watch is not None
        assert (await rig.ok("GET", f"{MAPS}/kept", cluster="two"))["data"] == {"n": "2"}
        assert set(rig.directory.open) == {"one", "two"}, "one that is watched stays"
        assert not watch.closed

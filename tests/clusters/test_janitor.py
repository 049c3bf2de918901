"""Clusters leave memory when nobody asks them, and what was written is compacted."""

import asyncio

import pytest
from clusters.rig import MAPS, ClusterRig, running
from eventually import aeventually

from pilothouse.clusters.janitor import Janitor


async def test_idle_clusters_leave_memory(rig: ClusterRig) -> None:
    await rig.make("idle")
    await rig.call("GET", "/version", cluster="idle")
    task = Janitor(rig.directory, 0.1, period=0.01)
    task.start()
    assert "idle" in rig.directory.open
    await aeventually(lambda: "idle" not in rig.directory.open, "the cluster to leave memory")
    assert (await rig.call("GET", "/version", cluster="idle")).status == 200
    await task.close()


async def test_those_that_are_to_be_suspended_go_early(rig: ClusterRig) -> None:
    await rig.make("early", suspend=True)
    await rig.make("stays")
    for name in ("early", "stays"):
        await rig.call("GET", "/version", cluster=name)
    task = Janitor(rig.directory, 0, period=0.01, grace=0.05)
    task.start()
    await aeventually(lambda: "early" not in rig.directory.open, "the cluster to leave memory")
    assert "stays" in rig.directory.open
    await task.close()


async def test_a_request_that_has_no_answer_keeps_a_cluster(rig: ClusterRig) -> None:
    await rig.make("asked")
    await rig.call("GET", "/version", cluster="asked")
    rig.journal.open.clear()
    write = asyncio.create_task(rig.keep("asked", "kept", n="1"))
    await asyncio.sleep(0.01)
    look = Janitor(rig.directory, 1e-9)
    await look._suspend(float("inf"))
    assert "asked" in rig.directory.open
    rig.journal.open.set()
    await write
    await look._suspend(float("inf"))
    assert "asked" not in rig.directory.open


async def test_history_is_compacted_one_period_later(rig: ClusterRig) -> None:
    await rig.make("compacted")
    first = int((await rig.keep("compacted", "one", n="1"))["metadata"]["resourceVersion"])
    look = Janitor(rig.directory, 0)
    await look._compact()
    second = int((await rig.keep("compacted", "one", n="2"))["metadata"]["resourceVersion"])
    assert rig.open("compacted").storage.compacted < first
    await look._compact()
    assert first <= rig.open("compacted").storage.compacted < second
    answer = await rig.call("GET", f"{MAPS}?watch=1&resourceVersion=1", cluster="compacted")
    assert answer.status == 410 or answer.stream is not None


async def test_caches_are_halved_when_they_take_too_much(rig: ClusterRig) -> None:
    await rig.make("remembers")
    for _ in range(5):
        await rig.call("GET", f"{MAPS}/kube-root-ca.crt", cluster="remembers")
    caches = rig.open("remembers").host.caches
    before = caches.used
    assert before > 0
    Janitor(rig.directory, 0)._look(0.0)
    assert caches.used == before
    Janitor(rig.directory, 0, caches=1)._look(0.0)
    assert caches.used < before


async def test_an_idle_server_has_one_timer_for_all(
    runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Tasks and timers do not grow with the clusters in memory."""
    async with running(tmp_path_factory.mktemp("timers")) as rig:
        await rig.make("t0")
        await rig.call("GET", "/version", cluster="t0")
        await rig.settle()
        before = len(asyncio.all_tasks())
        for number in range(1, 9):
            await rig.make(f"t{number}")
            await rig.call("GET", "/version", cluster=f"t{number}")
        await rig.settle()
        per_cluster = (len(asyncio.all_tasks()) - before) / 8
        assert per_cluster <= 8

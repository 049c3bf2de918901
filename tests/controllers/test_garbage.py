"""Dependents whose owners are deleted."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from complexity import assert_linear
from eventually import aeventually
from example_scale import SCALE
from harness import CONFIG_MAPS, PODS, Rig, config_map, pod
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.controllers.garbage import GarbageCollector

MERGE = {"Content-Type": "application/merge-patch+json"}


pytestmark = pytest.mark.usefixtures("virtual")


class Collector(GarbageCollector):
    """Counts the owners that it reads."""

    owners_read = 0

    def _owner(self, *args: Any) -> Any:
        self.owners_read += 1
        return super()._owner(*args)


@pytest.fixture
def collector(rig: Rig, runner: asyncio.Runner) -> Iterator[Any]:
    collector = Collector(rig.client("garbage-collector"))

    async def start() -> None:
        collector.start()
        await rig.settle()

    runner.run(start())
    yield collector
    runner.run(stop(rig, collector))


async def stop(rig: Rig, collector: Any) -> None:
    await collector.close()
    await rig.settle()


def ref(owner: Any, block: bool = False, **changes: Any) -> dict[str, Any]:
    out = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return {**out, **({"blockOwnerDeletion": True} if block else {}), **changes}


async def owned(rig: Rig, name: str, *refs: Any, **members: Any) -> Any:
    return await rig.config_map(name, ownerReferences=list(refs), **members)


async def left(rig: Rig) -> list[Any]:
    """Names of the config maps that are there."""
    return [i["metadata"]["name"] for i in (await rig.ok("GET", CONFIG_MAPS))["items"]]


async def metadata(rig: Rig, name: str) -> Any:
    return (await rig.ok("GET", f"{CONFIG_MAPS}/{name}"))["metadata"]


async def delete(rig: Rig, name: str, policy: Any = None) -> None:
    await rig.ok("DELETE", f"{CONFIG_MAPS}/{name}", {"propagationPolicy": policy} if policy else None)
    await rig.settle()


@pytest.mark.parametrize("policy", [None, "Background"])
async def test_background(rig: Rig, collector: Any, policy: str | None) -> None:
    owner = await rig.config_map("owner")
    child = await owned(rig, "child", ref(owner))
    await owned(rig, "grandchild", ref(child))
    await rig.config_map("other")
    await rig.settle()
    assert await left(rig) == ["child", "grandchild", "other", "owner"]
    await delete(rig, "owner", policy)
    assert await left(rig) == ["other"]


async def test_orphan(rig: Rig, collector: Any) -> None:
    owner = await rig.config_map("owner")
    child = await owned(rig, "child", ref(owner))
    await owned(rig, "grandchild", ref(child))
    await delete(rig, "owner", "Orphan")
    assert await left(rig) == ["child", "grandchild"]
    assert "ownerReferences" not in await metadata(rig, "child")
    assert "ownerReferences" in await metadata(rig, "grandchild")


async def until(rig: Rig, names: Any) -> None:
    """A poll of the collector may lie between."""

    async def reached() -> bool:
        return await left(rig) == names

    await aeventually(reached, f"only {names} are left")


async def test_foreground_waits_for_dependents_that_block(rig: Rig, collector: Any) -> None:
    owner = await rig.config_map("owner")
    await owned(rig, "blocking", ref(owner, block=True), finalizers=["example.com/f"])
    await owned(rig, "free", ref(owner), finalizers=["example.com/f"])
    await delete(rig, "owner", "Foreground")
    assert await left(rig) == ["blocking", "free", "owner"]
    assert (await metadata(rig, "owner"))["finalizers"] == ["foregroundDeletion"]
    assert (await metadata(rig, "blocking"))["deletionTimestamp"]
    await rig.ok("PATCH", CONFIG_MAPS + "/blocking", {"metadata": {"finalizers": None}}, headers=MERGE)
    await until(rig, ["free"])
    assert (await metadata(rig, "free"))["deletionTimestamp"]


async def test_foreground_without_dependents(rig: Rig, collector: Any) -> None:
    await rig.config_map("owner")
    await delete(rig, "owner", "Foreground")
    assert await left(rig) == []


async def test_foreground_goes_down_the_tree(rig: Rig, collector: Any) -> None:
    owner = await rig.config_map("owner")
    child = await owned(rig, "child", ref(owner, block=True))
    await owned(rig, "grandchild", ref(child, block=True), finalizers=["example.com/f"])
    await delete(rig, "owner", "Foreground")
    assert await left(rig) == ["child", "grandchild", "owner"]
    assert (await metadata(rig, "child"))["finalizers"] == ["foregroundDeletion"]
    await rig.ok("PATCH", CONFIG_MAPS + "/grandchild", {"metadata": {"finalizers": None}}, headers=MERGE)
    await until(rig, [])


async def test_an_owner_that_stays_keeps_its_dependents(rig: Rig, collector: Any) -> None:
    """Only the reference to the one that went is dropped."""
    stays, goes = await rig.config_map("stays"), await rig.config_map("goes")
    await owned(rig, "child", ref(stays), ref(goes))
    await delete(rig, "goes")
    assert (await metadata(rig, "child"))["ownerReferences"] == [ref(stays)]
    await delete(rig, "stays")
    assert await left(rig) == []


async def test_an_owner_that_waits_is_dropped_beside_a_solid_one(rig: Rig, collector: Any) -> None:
    stays, goes = await rig.config_map("stays"), await rig.config_map("goes")
    await owned(rig, "child", ref(stays), ref(goes, block=True))
    await delete(rig, "goes", "Foreground")
    await until(rig, ["child", "stays"])
    assert (await metadata(rig, "child"))["ownerReferences"] == [ref(stays)]


async def test_references_to_nothing(rig: Rig, collector: Any) -> None:
    gone = {"metadata": {"name": "none", "uid": "u1"}}
    await owned(rig, "child", ref(gone))
    await rig.settle()
    assert await left(rig) == []


async def test_another_object_of_the_same_name_is_no_owner(rig: Rig, collector: Any) -> None:
    owner = await rig.config_map("owner")
    await owned(rig, "child", ref(owner, uid="another"))
    await rig.settle()
    assert await left(rig) == ["owner"]


@pytest.mark.parametrize(
    "changes", [{"kind": "Unknown"}, {"apiVersion": "example.com/v1"}, {"apiVersion": "v9"}, {"kind": ""}]
)
async def test_owners_of_kinds_that_are_not_served_are_let_be(
    rig: Rig, collector: Any, changes: dict[str, Any]
) -> None:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u", **changes}
    answer = await rig.call("POST", CONFIG_MAPS, config_map("child", ownerReferences=[reference]))
    await rig.settle()
    assert await left(rig) == (["child"] if answer.status == 201 else [])


async def test_an_owner_of_the_cluster(rig: Rig, collector: Any) -> None:
    node = await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
    await owned(rig, "child", ref(node, kind="Node"))
    await rig.settle()
    assert await left(rig) == ["child"]
    await rig.ok("DELETE", "/api/v1/nodes/n")
    await rig.settle()
    assert await left(rig) == []


async def test_an_owner_in_a_namespace_of_something_in_none(rig: Rig, collector: Any) -> None:
    """The collector cannot know whether such an owner exists, so it does nothing."""
    owner = await rig.config_map("owner")
    await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n", "ownerReferences": [ref(owner)]}})
    await delete(rig, "owner")
    assert (await rig.call("GET", "/api/v1/nodes/n")).status == 200


async def test_a_reference_that_is_added_later(rig: Rig, collector: Any) -> None:
    await rig.config_map("child")
    gone = {"metadata": {"name": "none", "uid": "u1"}}
    await rig.ok("PUT", CONFIG_MAPS + "/child", config_map("child", ownerReferences=[ref(gone)]))
    await rig.settle()
    assert await left(rig) == []


async def test_a_dependent_with_finalizers_is_marked(rig: Rig, collector: Any) -> None:
    owner = await rig.config_map("owner")
    await owned(rig, "child", ref(owner), finalizers=["example.com/f"])
    await delete(rig, "owner")
    assert (await metadata(rig, "child"))["deletionTimestamp"]
    assert await left(rig) == ["child"]


async def test_pods_of_an_owner_end_gracefully(rig: Rig, collector: Any) -> None:
    owner = await rig.config_map("owner")
    await rig.ok("POST", PODS, pod("p", spec={"nodeName": "n"}, ownerReferences=[ref(owner)]))
    await delete(rig, "owner")
    assert (await rig.ok("GET", PODS + "/p"))["metadata"]["deletionGracePeriodSeconds"] == 30


async def test_what_stood_there_at_the_start_counts(rig: Rig) -> None:
    owner = await rig.config_map("owner")
    await owned(rig, "child", ref(owner))
    await owned(rig, "lost", ref({"metadata": {"name": "none", "uid": "u1"}}))
    collector = GarbageCollector(rig.client())
    collector.start()
    await rig.settle()
    assert await left(rig) == ["child", "owner"]
    await delete(rig, "owner")
    assert await left(rig) == []
    await stop(rig, collector)


async def test_the_index_is_empty_when_all_is_gone(rig: Rig, collector: Any) -> None:
    owner = await rig.config_map("owner")
    await owned(rig, "a", ref(owner))
    await owned(rig, "b", ref(owner))
    await delete(rig, "owner")
    assert collector.dependents == {} and collector.owners == {}


@settings(max_examples=12 * SCALE)
@given(
    st.dictionaries(st.integers(1, 7), st.sets(st.integers(0, 6), max_size=3), max_size=7),
    st.lists(st.integers(0, 7), max_size=3, unique=True),
)
def test_what_is_left_is_what_somebody_owns_or_nobody_owned(parents: Any, deleted: Any) -> None:
    """An object of any graph goes when it had owners and all are gone."""
    owners = {n: {p for p in parents.get(n, ()) if p < n} for n in range(8)}

    async def main() -> None:
        async with Rig() as rig:
            collector = GarbageCollector(rig.client())
            collector.start()
            made: list[Any] = []
            for n in range(8):
                refs = [ref(made[p]) for p in sorted(owners[n])]
                made.append(await owned(rig, f"n{n}", *refs))
            await rig.settle()
            for n in deleted:
                await rig.call("DELETE", f"{CONFIG_MAPS}/n{n}")
                await rig.settle()
            alive: Any = set()
            for n in range(8):
                if n not in deleted and (not owners[n] or owners[n] & alive):
                    alive.add(n)
            assert await left(rig) == [f"n{n}" for n in sorted(alive)]
            for n in alive:
                have = {r["name"] for r in (await metadata(rig, f"n{n}")).get("ownerReferences", ())}
                assert have == {f"n{p}" for p in owners[n] & alive}
            await stop(rig, collector)

    asyncio.run(main())


def test_owners_are_indexed_in_linear_time(collector: Any) -> None:
    def index(n: Any) -> None:
        collector._index("/k", tuple(f"a{i}" for i in range(n)))
        collector._index("/k", tuple(f"b{i}" for i in range(n)))
        collector._index("/k", ())

    assert_linear(index, lambda n: n, 500, 40.0)
    assert not collector.dependents


async def test_an_owner_is_read_once_however_often_it_is_named(rig: Rig, collector: Any) -> None:
    owner = await rig.config_map("owner")
    refs = [ref(owner, uid=f"u{i}") for i in range(200)]
    await owned(rig, "dependent", ref(owner), *refs)
    await rig.settle()
    assert len((await metadata(rig, "dependent"))["ownerReferences"]) == 1
    assert 1 <= collector.owners_read <= 4

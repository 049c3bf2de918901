"""The index of objects by controller and namespace."""

from typing import Any

from harness import Rig, config_map

from pilothouse.simulate.workloads.index import Indexed, ObjectIndex, plain_facts

OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1-2"}
CONTROLLER = {**OWNER, "controller": True}
MAPS = "/api/v1/namespaces/default/configmaps"


def index_of(rig: Rig) -> ObjectIndex[Indexed]:
    client = rig.client()
    return ObjectIndex(client, client.resource("", "v1", "configmaps"), plain_facts)


def names(found: Any) -> list[str]:
    return sorted(one.name for one in found)


async def test_objects_move_between_their_groups(rig: Any) -> None:
    index = index_of(rig)
    await rig.ok("POST", MAPS, config_map("a", ownerReferences=[CONTROLLER]))
    await rig.ok("POST", MAPS, config_map("b", ownerReferences=[OWNER]))
    index.follow()
    assert (names(index.owned("1-2")), names(index.strays("default"))) == (["a"], ["b"])
    await rig.ok("PUT", f"{MAPS}/b", config_map("b", ownerReferences=[CONTROLLER]))
    assert (names(index.owned("1-2")), names(index.strays("default"))) == (["a", "b"], [])
    await rig.ok("DELETE", f"{MAPS}/a")
    assert names(index.among("default")) == ["b"] and index.find("default", "a") is None
    assert names(index.strays("kube-system")) == []


async def test_listeners_are_told_of_what_is_there_and_of_changes(rig: Any) -> None:
    index = index_of(rig)
    await rig.ok("POST", MAPS, config_map("a"))
    seen: list[tuple[str, str]] = []
    stop = index.listen(lambda new, old: seen.append((new.name if new else "", old.name if old else "")))
    await rig.ok("POST", MAPS, config_map("b"))
    await rig.ok("PUT", f"{MAPS}/b", config_map("b", labels={"x": "y"}))
    await rig.ok("DELETE", f"{MAPS}/b")
    assert seen == [("a", ""), ("b", ""), ("b", "b"), ("", "b")]
    stop()
    await rig.ok("POST", MAPS, config_map("c"))
    assert len(seen) == 4


async def test_an_index_that_nobody_follows_is_empty(rig: Any) -> None:
    index = index_of(rig)
    await rig.ok("POST", MAPS, config_map("a"))
    first, second = index.follow(), index.follow()
    first()
    assert names(index.all()) == ["a"]
    second()
    await rig.ok("POST", MAPS, config_map("b"))
    assert names(index.all()) == names(index.among("default")) == []
    index.follow()
    assert names(index.all()) == ["a", "b"]

"""Readers over the watch cache."""

from functools import partial
from typing import Any

from harness import CONFIG_MAPS, PODS, Rig, config_map, pod

from pilothouse.registry.cached import CachedReaders


async def test_objects_are_those_of_the_cache(rig: Rig) -> None:
    made = await rig.config_map("a", data={"k": "v"})
    found = rig.readers.get("configmaps", "default", "a")
    assert found == made
    assert rig.readers.get("configmaps", "default", "a") is found, "decoded once for each version"
    changed = await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "w"}))
    assert rig.readers.get("configmaps", "default", "a") == changed
    assert rig.readers.get("configmaps", "default", "b") is None
    assert rig.readers.get("nothings.example.com", "", "a") is None


async def test_lists_are_in_the_order_of_keys(rig: Rig) -> None:
    for name in "ba":
        await rig.config_map(name)
    await rig.ok("POST", "/api/v1/namespaces/kube-system/configmaps", config_map("c"))

    def names(*args: Any) -> list[Any]:
        return [o["metadata"]["name"] for o in rig.readers.list(*args)]

    assert names("configmaps") == ["a", "b", "c"]
    assert names("configmaps", "default") == ["a", "b"] and names("configmaps", "def") == []
    assert names("namespaces") == names("namespaces", "ignored") == ["default", "kube-system"]
    assert names("nothings.example.com") == []


async def test_a_revision_changes_with_the_resource_alone(rig: Rig) -> None:
    await rig.config_map("a")
    before = rig.readers.revision("configmaps")
    await rig.ok("POST", PODS, pod("p"))
    assert rig.readers.revision("configmaps") == before
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    assert rig.readers.revision("configmaps") > before
    assert rig.readers.revision("nothings.example.com") == 0


async def test_subscribers_see_what_is_there_and_what_comes(rig: Rig) -> None:
    await rig.config_map("a")
    seen = []

    def note(key: str, new: Any, old: Any) -> None:
        name = key.rpartition("/")[2]
        seen.append((name, *(o and (o.get("data") or {}).get("k", "") for o in (new, old))))

    rig.readers.subscribe("configmaps", note)
    rig.readers.subscribe("nothings.example.com", note)
    await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "v"}))
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    assert seen == [("a", "", None), ("a", "v", ""), ("a", None, "v")]


async def test_subscribers_share_what_they_are_told_of(rig: Rig) -> None:
    told: list[list[Any]] = [[], []]

    def note(each: list[Any], key: str, new: Any, old: Any) -> None:
        each.extend((new, old))

    for each in told:
        rig.readers.subscribe("configmaps", partial(note, each))
    await rig.config_map("a")
    await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "v"}))
    assert [one and one["metadata"]["name"] for one in told[0]] == ["a", None, "a", "a"]
    assert all(one is other for one, other in zip(*told, strict=True))
    assert told[0][3] is told[0][0], "what was new is old by now"


async def test_a_resource_that_is_served_later_is_found(rig: Rig) -> None:
    resource = rig.catalog.remove("", "v1", "configmaps")
    assert rig.readers.get("configmaps", "default", "a") is None
    rig.catalog.add(resource)
    made = await rig.config_map("a")
    assert rig.readers.get("configmaps", "default", "a") == made


async def test_another_version_is_read_in_the_stored_one(rig: Rig) -> None:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}, "maxReplicas": 3}
    path = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
    await rig.ok("POST", path, {"metadata": {"name": "h"}, "spec": spec})
    readers = CachedReaders(rig.store, rig.catalog)
    found = readers.get("horizontalpodautoscalers.autoscaling", "default", "h")
    assert found["apiVersion"] == "autoscaling/v2"

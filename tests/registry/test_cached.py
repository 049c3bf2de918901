"""Readers over the watch cache."""

from functools import partial
from typing import Any

from harness import CONFIG_MAPS, PODS, Rig, config_map, pod

from pilothouse.registry.cached import CachedReaders
from pilothouse.storage.base_state import BaseState


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


async def test_objects_of_a_base_state_are_decoded_once_for_all(rig: Rig) -> None:
    made = await rig.config_map("a", data={"k": "v"})
    entry = rig.store.get(rig.catalog.get("", "v1", "configmaps"), "/registry/configmaps/default/a")
    assert entry is not None
    base = BaseState((), int(made["metadata"]["resourceVersion"]))
    base.entries[entry.key] = entry
    one, two = [CachedReaders(rig.store, rig.catalog, base) for _ in range(2)]
    assert one.get("configmaps", "default", "a") is two.get("configmaps", "default", "a")
    [listed] = [obj for obj in two.list("configmaps") if obj["metadata"]["name"] == "a"]
    assert listed is one.get("configmaps", "default", "a") is base.decoded[entry.key]
    told: list[Any] = []
    two.subscribe("configmaps", lambda key, new, old: told.append((new, old)))
    assert told[0][0] is listed
    changed = await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "w"}))
    assert one.get("configmaps", "default", "a") == changed == told[1][0]
    assert told[1][1] is listed
    assert listed == made  # and what it was is as it was for the others
    assert one.get("configmaps", "default", "a") is not two.get("configmaps", "default", "a")
    assert base.decoded == {entry.key: made}


class Texts:
    """An index: what config maps say, by their keys."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.puts = 0

    def put(self, resource: str, key: str, new: Any, old: Any) -> None:
        self.puts += 1
        name = key.rpartition("/")[2]
        if new is None:
            assert old["metadata"]["name"] == name
            del self.texts[name]
        else:
            self.texts[name] = new["data"]["k"]

    def copy(self) -> "Texts":
        out = Texts()
        out.texts = dict(self.texts)
        return out


async def test_indexes_of_a_base_state_are_copied_and_follow_what_has_changed(rig: Rig) -> None:
    maps = rig.catalog.get("", "v1", "configmaps")
    base = BaseState((), 1 << 40)
    await rig.config_map("own", data={"k": "own"})
    for name in "abc":
        await rig.config_map(name, data={"k": name})
        entry = rig.store.get(maps, f"/registry/configmaps/default/{name}")
        assert entry is not None
        base.entries[entry.key] = entry

    def index() -> Texts:
        return CachedReaders(rig.store, rig.catalog, base).indexed("texts", ("configmaps",), Texts)

    one = index()
    assert one.texts == {"a": "a", "b": "b", "c": "c", "own": "own"} and one.puts == 1
    await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "changed"}))
    await rig.ok("DELETE", CONFIG_MAPS + "/b")
    two = index()
    assert one.texts == two.texts == {"a": "changed", "c": "c", "own": "own"} and two.puts == 3
    await rig.config_map("d", data={"k": "d"})
    assert one.texts == two.texts == {"a": "changed", "c": "c", "own": "own", "d": "d"}
    assert base.indexes["texts"][0].texts == {"a": "a", "b": "b", "c": "c"}
    assert CachedReaders(rig.store, rig.catalog).indexed("texts", ("configmaps", "nothings"), Texts).puts == 4


async def test_followers_are_told_of_changes_alone(rig: Rig) -> None:
    await rig.config_map("a", data={"k": "v"})
    readers, told = CachedReaders(rig.store, rig.catalog), []
    [there] = readers.follow("configmaps", lambda key, new, old: told.append((key, new, old)))
    assert there["metadata"]["name"] == "a" and told == []
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    assert told == [("/registry/configmaps/default/a", None, there)]
    assert list(readers.follow("nothings.example.com", lambda key, new, old: None)) == []

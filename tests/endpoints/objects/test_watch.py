"""Watches: start, events and end."""

import asyncio
from typing import Any

import pytest
from example_scale import SCALE
from harness import CONFIG_MAPS, PODS, Rig, config_map, pod
from hypothesis import given, settings
from hypothesis import strategies as st

END = {"k8s.io/initial-events-end": "true"}
TABLE = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}


async def change(rig: Rig, name: str, **members: Any) -> Any:
    return await rig.ok("PUT", f"{CONFIG_MAPS}/{name}", config_map(name, **members))


async def test_events_are_the_objects_as_they_are_read(rig: Rig) -> None:
    before = rig.storage.revision
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=true&resourceVersion={before}")
    made = await rig.config_map("a")
    changed = await change(rig, "a", data={"k": "v"})
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    added, modified, deleted = stream.events()
    assert added == {"type": "ADDED", "object": made}
    assert modified == {"type": "MODIFIED", "object": changed}
    assert deleted["type"] == "DELETED"
    revision = deleted["object"]["metadata"]["resourceVersion"]
    assert int(revision) == rig.storage.revision, "the revision of the delete, not of the last write"
    changed["metadata"]["resourceVersion"] = revision
    assert deleted["object"] == changed


async def test_nothing_is_lost_between_a_list_and_a_watch(rig: Rig) -> None:
    listed = await rig.ok("GET", CONFIG_MAPS)
    await rig.config_map("a")
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={listed['metadata']['resourceVersion']}")
    assert stream.seen() == [("ADDED", "a"), ("DELETED", "a")]


async def test_a_watch_sees_its_namespace_and_resource_alone(rig: Rig) -> None:
    here = await rig.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={rig.storage.revision}")
    everywhere = await rig.watch(f"/api/v1/configmaps?watch=1&resourceVersion={rig.storage.revision}")
    await rig.ok("POST", "/api/v1/namespaces/kube-system/configmaps", config_map("other"))
    await rig.ok("POST", PODS, pod("p"))
    await rig.config_map("mine")
    assert here.seen() == [("ADDED", "mine")]
    assert everywhere.seen() == [("ADDED", "other"), ("ADDED", "mine")]


@pytest.mark.parametrize("query", ["", "&resourceVersion=0", "&resourceVersion="])
async def test_without_a_version_what_is_there_comes_first(rig: Rig, query: str) -> None:
    await rig.config_map("b")
    await rig.config_map("a")
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=1{query}")
    assert stream.seen() == [("ADDED", "a"), ("ADDED", "b")]
    await rig.config_map("c")
    assert stream.seen() == [("ADDED", "c")]


async def test_an_object_enters_and_leaves_a_selection(rig: Rig) -> None:
    await rig.config_map("a", labels={"on": "no"})
    selector = f"labelSelector=on%3Dyes&resourceVersion={rig.storage.revision}"
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=1&{selector}")
    await change(rig, "a", labels={"on": "no", "n": "1"})
    assert stream.seen() == []
    entered = await change(rig, "a", labels={"on": "yes"})
    assert stream.events() == [{"type": "ADDED", "object": entered}]
    await change(rig, "a", labels={"on": "yes", "n": "2"})
    assert stream.seen() == [("MODIFIED", "a")]
    left = await change(rig, "a", labels={"on": "no"})
    (event,) = stream.events()
    assert event["type"] == "DELETED"
    assert event["object"]["metadata"]["labels"] == {"on": "yes", "n": "2"}, (
        "as it was when it was still selected"
    )
    assert event["object"]["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    assert stream.seen() == []


async def test_one_object(rig: Rig) -> None:
    await rig.config_map("a")
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Da")
    await rig.config_map("b")
    await change(rig, "a", data={"k": "v"})
    assert stream.seen() == [("ADDED", "a"), ("MODIFIED", "a")]


async def test_initial_events_end_with_a_bookmark(rig: Rig) -> None:
    await rig.config_map("a")
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    stream = await rig.watch(f"{CONFIG_MAPS}?{query}")
    added, bookmark = stream.events()
    assert (added["type"], added["object"]["metadata"]["name"]) == ("ADDED", "a")
    assert bookmark["type"] == "BOOKMARK"
    metadata = bookmark["object"]["metadata"]
    assert (bookmark["object"]["kind"], bookmark["object"]["apiVersion"]) == ("ConfigMap", "v1")
    assert metadata["annotations"] == END and int(metadata["resourceVersion"]) == rig.storage.revision
    stream = await rig.watch(f"{CONFIG_MAPS}?{query.replace('&allowWatchBookmarks=true', '')}")
    assert stream.seen() == [("ADDED", "a")]


async def test_initial_events_may_be_declined(rig: Rig) -> None:
    await rig.config_map("a")
    query = "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    stream = await rig.watch(f"{CONFIG_MAPS}?{query}")
    await rig.config_map("b")
    assert stream.seen() == [("ADDED", "b")]


async def test_initial_events_of_the_future(rig: Rig) -> None:
    asked, now = rig.storage.revision + 9, rig.storage.revision
    query = f"watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion={asked}"
    stream = await rig.watch(f"{CONFIG_MAPS}?{query}")
    (event,) = stream.events()
    assert event["type"] == "ERROR" and event["object"]["code"] == 504
    assert event["object"]["message"] == f"Timeout: Too large resource version: {asked}, current: {now}"
    assert stream.closed


async def test_a_watch_of_the_future_waits(rig: Rig) -> None:
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={rig.storage.revision + 1}")
    await rig.config_map("a")
    assert stream.seen() == [], "it asked for what comes after this one"
    await rig.config_map("b")
    assert stream.seen() == [("ADDED", "b")]


async def test_a_version_that_is_too_old(rig: Rig) -> None:
    old = rig.storage.revision
    await rig.config_map("a")
    rig.store.cache(rig.catalog.get("", "v1", "configmaps")).forget_history(rig.storage.revision)
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={old - 1}")
    (event,) = stream.events()
    status = event["object"]
    assert event["type"] == "ERROR" and stream.closed
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert status["message"] == f"too old resource version: {old - 1} ({rig.storage.revision})"


async def test_a_version_that_is_none(rig: Rig) -> None:
    message = await rig.fail(500, "GET", CONFIG_MAPS + "?watch=1&resourceVersion=x")
    assert message == 'resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax'


async def test_selectors_that_are_none(rig: Rig) -> None:
    await rig.fail(400, "GET", CONFIG_MAPS + "?watch=1&fieldSelector=data%3Dx")
    await rig.fail(400, "GET", CONFIG_MAPS + "?watch=1&labelSelector=%3D")


@pytest.mark.parametrize(
    ("query", "least", "most"), [("&timeoutSeconds=5", 5, 5), ("&timeoutSeconds=-5", 0, 0), ("", 1800, 3600)]
)
async def test_a_watch_ends_after_its_time(rig: Rig, virtual: Any, query: str, least: int, most: int) -> None:
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=1{query}")
    if least:
        await virtual.advance(least - 0.1)
        assert not stream.closed
    await virtual.advance(most - least + 0.2)
    assert stream.closed and not stream.aborted


async def test_a_peer_that_goes_away_ends_its_watch(rig: Rig) -> None:
    cache = rig.store.cache(rig.catalog.get("", "v1", "configmaps"))
    stream = await rig.watch(CONFIG_MAPS + "?watch=1")
    assert cache.watchers == 1
    stream.close()
    assert cache.watchers == 0
    await rig.config_map("a")
    assert stream.seen() == []


async def test_watches_end_cleanly_with_the_server(rig: Rig) -> None:
    stream = await rig.watch(CONFIG_MAPS + "?watch=1")
    rig.cacher.end_watches()
    assert stream.closed and not stream.aborted


async def test_metadata_alone(rig: Rig) -> None:
    answer = await rig.call("GET", CONFIG_MAPS + "?watch=1", headers=PARTIAL)
    made = await rig.config_map("a", data={"k": "v"})
    (event,) = answer.stream.events()
    assert event["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": made["metadata"],
    }
    assert answer.headers["content-type"].startswith("application/json")


async def test_the_first_table_alone_has_columns(rig: Rig) -> None:
    stream = await rig.watch(CONFIG_MAPS + "?watch=1", headers=TABLE)
    made = await rig.config_map("a", data={"k": "v"})
    await change(rig, "a")
    await rig.ok("DELETE", CONFIG_MAPS + "/a")
    events = stream.events()
    assert [e["type"] for e in events] == ["ADDED", "MODIFIED", "DELETED"]
    first, *others = [e["object"] for e in events]
    assert first["kind"] == "Table" and first["rows"][0]["cells"][:2] == ["a", 1]
    assert first["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert [c["name"] for c in first["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert all(not o.get("columnDefinitions") for o in others)


async def test_a_table_of_unknown_contents(rig: Rig) -> None:
    answer = await rig.call("GET", CONFIG_MAPS + "?watch=1&includeObject=x", headers=TABLE)
    assert answer.status == 400


async def test_events_in_another_version(rig: Rig) -> None:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}, "maxReplicas": 3}
    path = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    stream = await rig.watch(path.format("v1") + "?watch=1")
    await rig.ok("POST", path.format("v2"), {"metadata": {"name": "h"}, "spec": spec})
    (event,) = stream.events()
    assert event["object"] == await rig.ok("GET", path.format("v1") + "/h")


async def test_an_error_of_a_table_is_a_status(rig: Rig) -> None:
    await rig.config_map("a")
    rig.store.cache(rig.catalog.get("", "v1", "configmaps")).forget_history(rig.storage.revision)
    stream = await rig.watch(CONFIG_MAPS + "?watch=1&resourceVersion=1", headers=TABLE)
    (event,) = stream.events()
    assert (event["type"], event["object"]["kind"]) == ("ERROR", "Status")


ACTION = st.tuples(st.sampled_from(["create", "on", "off", "delete"]), st.sampled_from("abc"))


@settings(max_examples=12 * SCALE)
@given(st.lists(ACTION, max_size=12), st.integers(0, 12), st.booleans())
def test_a_client_that_follows_has_what_is_listed(actions: Any, begin: Any, selected: Any) -> None:
    """An informer's mirror, begun anywhere among the writes, equals the list at the end."""
    selector = "&labelSelector=on%3Dyes" if selected else ""

    async def act(rig: Rig, action: Any, name: str) -> None:
        if action == "create":
            await rig.call("POST", CONFIG_MAPS, config_map(name, labels={"on": "yes"}))
        elif action == "delete":
            await rig.call("DELETE", f"{CONFIG_MAPS}/{name}")
        else:
            labels = {"on": "yes" if action == "on" else "no"}
            await rig.call("PUT", f"{CONFIG_MAPS}/{name}", config_map(name, labels=labels))

    async def main() -> None:
        async with Rig() as rig:
            for action, name in actions[:begin]:
                await act(rig, action, name)
            listed = await rig.ok("GET", f"{CONFIG_MAPS}?{selector}")
            mirror = {o["metadata"]["name"]: o for o in listed["items"]}
            revision = listed["metadata"]["resourceVersion"]
            for action, name in actions[begin : begin + 3]:
                await act(rig, action, name)
            stream = await rig.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={revision}{selector}")
            for action, name in actions[begin + 3 :]:
                await act(rig, action, name)
            for event in stream.events():
                obj = event["object"]
                del obj["kind"], obj["apiVersion"]
                name = obj["metadata"]["name"]
                assert (name in mirror) == (event["type"] != "ADDED")
                assert int(obj["metadata"]["resourceVersion"]) > int(revision)
                revision = obj["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    del mirror[name]
                else:
                    mirror[name] = obj
            now = await rig.ok("GET", f"{CONFIG_MAPS}?{selector}")
            assert list(dict(sorted(mirror.items())).values()) == now["items"]

    asyncio.run(main())

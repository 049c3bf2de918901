"""Watches that faults slow down, cut, or end with an ERROR event."""

from faults.conftest import FaultyRig
from harness import CONFIG_MAPS, Stream
from virtual_time import VirtualLoop


async def revision(rig: FaultyRig) -> str:
    return str((await rig.ok("GET", CONFIG_MAPS))["metadata"]["resourceVersion"])


async def begun(rig: FaultyRig) -> Stream:
    """A watch of what comes from now on."""
    return await rig.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={await revision(rig)}")


async def test_a_watch_that_is_too_old(rig: FaultyRig) -> None:
    await rig.fault("old", verb="watch", code=410, times=1)
    since = await revision(rig)
    answer = await rig.call("GET", f"{CONFIG_MAPS}?watch=1&resourceVersion={since}")
    assert answer.status == 200 and answer.headers["x-pilothouse-fault"] == "old"
    stream = answer.stream
    assert stream is not None
    await rig.settle()
    [event] = stream.events()
    assert stream.closed and not stream.aborted
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"] == f"too old resource version: {since} ({since})"
    audit_id = answer.headers["audit-id"]
    [found] = (await rig.ok("GET", f"/debug/requests/{audit_id}"))["requests"]
    assert found["why"] == 'The fault "old" ended its watch with an ERROR event.'
    assert found["answer"]["reason"] == "Expired"
    assert not (await begun(rig)).closed


async def test_a_watch_without_a_version_is_never_too_old(rig: FaultyRig) -> None:
    await rig.fault(verb="watch", code=410)
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=1")
    await rig.settle()
    assert not stream.closed and await rig.hits() == 0


async def test_a_watch_that_is_refused(rig: FaultyRig) -> None:
    await rig.fault(verb="watch", code=503)
    assert (await rig.call("GET", f"{CONFIG_MAPS}?watch=1")).status == 503


async def test_a_watch_is_cut_after_some_events(rig: FaultyRig) -> None:
    await rig.fault(verb="watch", drop=True, afterEvents=2, times=1)
    stream = await begun(rig)
    for name in ("a", "b", "c"):
        await rig.config_map(name)
    await rig.settle()
    assert stream.seen() == [("ADDED", "a"), ("ADDED", "b")] and stream.aborted
    assert not (await begun(rig)).closed


async def test_a_running_watch_is_cut(rig: FaultyRig) -> None:
    stream, other = await begun(rig), await rig.watch("/api/v1/pods?watch=1")
    await rig.config_map("a")
    await rig.fault(resource="configmaps", verb="watch", drop=True, times=1)
    await rig.settle()
    await rig.config_map("b")
    assert stream.aborted and stream.seen() == [("ADDED", "a")]
    assert not other.closed and await rig.hits() == 1
    assert not (await begun(rig)).closed, "it was meant once"


async def test_a_running_watch_gets_too_old(rig: FaultyRig) -> None:
    stream = await begun(rig)
    await rig.fault(verb="watch", code=410)
    await rig.settle()
    [event] = stream.events()
    assert event["object"]["code"] == 410 and stream.closed


async def test_events_come_late(rig: FaultyRig, virtual: VirtualLoop) -> None:
    await rig.fault("slow", verb="watch", delay=5)
    stream = await begun(rig)
    await rig.config_map("a")
    await virtual.advance(4.9)
    await rig.config_map("b")
    assert stream.seen() == []
    await virtual.advance(0.2)
    assert stream.seen() == [("ADDED", "a")]
    await rig.ok("DELETE", "/faults/slow")
    assert stream.seen() == [("ADDED", "b")], "what waits goes out with the fault"
    await rig.config_map("c")
    assert stream.seen() == [("ADDED", "c")]


async def test_late_events_are_sent_before_the_end(rig: FaultyRig, virtual: VirtualLoop) -> None:
    stream = await begun(rig)
    await rig.fault("slow", verb="watch", delay=5)
    await rig.config_map("a")
    rig.cacher.end_watches()
    assert not stream.closed
    await virtual.advance(6)
    assert stream.seen() == [("ADDED", "a")] and stream.closed


async def test_no_watch_is_kept_beyond_its_end(rig: FaultyRig, virtual: VirtualLoop) -> None:
    faults = rig.handlers.faults
    assert faults is not None
    await rig.fault(verb="watch", delay=5)
    stream = await begun(rig)
    await rig.config_map("a")
    assert len(faults.watches) == 1
    stream.close()
    assert not faults.watches
    await virtual.advance(6)
    assert stream.seen() == []


async def test_a_watch_of_tables(rig: FaultyRig) -> None:
    await rig.fault(verb="watch", code=410)
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    path = f"{CONFIG_MAPS}?watch=1&resourceVersion={await revision(rig)}"
    stream = await rig.watch(path, headers=accept)
    await rig.settle()
    assert stream.events()[0]["object"]["kind"] == "Status"

"""Long lists in slices have the same bytes as lists made at once."""

import asyncio
import gzip
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from eventually import aeventually
from harness import CONFIG_MAPS, Rig

from pilothouse.api.protobuf import writer
from pilothouse.endpoints.answers import list_stream
from pilothouse.endpoints.answers.list_stream import ABOVE, takes_gzip
from pilothouse.offload import Offload
from pilothouse.server.request import Response
from pilothouse.storage._entry import Entry

COUNT = 40
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
PROTOBUF = "application/vnd.kubernetes.protobuf"
FORMS = (
    TABLE,
    PARTIAL,
    "application/yaml",
    PROTOBUF,
    PROTOBUF + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    TABLE.replace("json", "yaml", 1),
    PARTIAL.replace("json", "yaml", 1),
)


class Peer:
    """A client that takes what it is sent when `drain` is called, or at once."""

    def __init__(self, *, slow: bool = False) -> None:
        self.data = b""
        self.slow = slow
        self.waiting = 0
        self.most = 0
        self.ended = asyncio.Event()
        self.clean = False
        self._drain: Any = None
        self._closed: Any = None

    def write(self, data: bytes) -> None:
        self.data += data
        if self.slow:
            self.waiting += len(data)
            self.most = max(self.most, self.waiting)

    def buffered(self) -> int:
        return self.waiting

    def close(self) -> None:
        self.clean = True
        self.ended.set()

    def abort(self, error: BaseException | None = None) -> None:
        self.ended.set()

    def leave(self) -> None:
        self._closed()

    def drain(self) -> None:
        self.waiting = 0
        self._drain()

    def on_close(self, callback: Any) -> None:
        self._closed = callback

    def on_drain(self, callback: Any) -> None:
        self._drain = callback


async def fill(rig: Rig, size: int = 8000) -> None:
    """Config maps that are so old that their age, which a table shows, stays the same during a test."""
    metadata = {"namespace": "default", "uid": "u", "creationTimestamp": "2020-01-01T00:00:00Z"}
    for i in range(COUNT):
        name, data = f"m{i:03}", {"text": "é<&>\n" * (size // 7), "n": str(i)}
        obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, **metadata}, "data": data}
        await rig.storage.create(f"/registry/configmaps/default/{name}", orjson.dumps(obj))


async def answer(rig: Rig, target: str, accept: str, **headers: str) -> Response:
    return await rig.respond("GET", target, headers={"Accept": accept, **headers})


async def streamed(rig: Rig, target: str, accept: str, **headers: str) -> bytes:
    return await received(await answer(rig, target, accept, **headers))


async def received(response: Response) -> bytes:
    """The whole body of an answer that is streamed and ends cleanly."""
    assert response.start is not None
    peer = Peer()
    response.start(peer)
    await peer.ended.wait()
    assert peer.clean
    return peer.data


async def whole(rig: Rig, target: str, accept: str) -> bytes:
    """The list as it is made at once."""
    rig.responder.stream_above = 1 << 40
    response = await answer(rig, target, accept)
    rig.responder.stream_above = ABOVE
    assert isinstance(response.body, bytes)
    return response.body


@pytest.mark.parametrize("accept", FORMS)
async def test_a_long_list_is_what_it_is_at_once(rig: Rig, accept: str) -> None:
    await fill(rig)
    assert await streamed(rig, CONFIG_MAPS, accept) == await whole(rig, CONFIG_MAPS, accept)


async def test_pretty_and_other_versions(rig: Rig) -> None:
    await fill(rig)
    target = CONFIG_MAPS + "?pretty=true"
    assert await streamed(rig, target, "application/json") == await whole(rig, target, "application/json")


async def test_kinds_of_other_versions_and_ordered_tables(rig: Rig) -> None:
    for i in range(COUNT):
        event = {
            "metadata": {"name": f"e{i}", "annotations": {"a": "x" * 8000}},
            "involvedObject": {"namespace": "default"},
            "reason": "r",
            "message": "m",
        }
        await rig.ok("POST", "/api/v1/namespaces/default/events", event)
    target = "/apis/events.k8s.io/v1/namespaces/default/events"
    assert await streamed(rig, target, "application/json") == await whole(rig, target, "application/json")
    assert await streamed(rig, target, TABLE) == await whole(rig, target, TABLE)


async def test_compressed_when_asked_for(rig: Rig) -> None:
    await fill(rig)
    response = await answer(rig, CONFIG_MAPS, TABLE, **{"Accept-Encoding": "br, gzip;q=1"})
    assert ("Content-Encoding", "gzip") in response.headers
    packed = await streamed(rig, CONFIG_MAPS, TABLE, **{"Accept-Encoding": "br, gzip;q=1"})
    assert gzip.decompress(packed) == await whole(rig, CONFIG_MAPS, TABLE)


@pytest.mark.parametrize("accept", [TABLE, PROTOBUF, "application/yaml"])
async def test_a_slow_client_is_waited_for(rig: Rig, accept: str) -> None:
    await fill(rig, 60_000)
    response = await answer(rig, CONFIG_MAPS + "?includeObject=Object", accept)
    assert response.start is not None
    peer = Peer(slow=True)
    response.start(peer)
    while not peer.ended.is_set():
        await aeventually(lambda: peer.waiting or peer.ended.is_set(), "a part of the list, or its end")
        if peer.waiting:
            peer.drain()
    assert peer.clean
    assert peer.most < list_stream.AHEAD + list_stream.LONGEST + 2 * list_stream.SLICE


class Items:
    """The messages of objects, which are counted as they are made; only their sizes are remembered."""

    def __init__(self) -> None:
        text = orjson.dumps("x" * 60_000)
        self.entries: Sequence[Entry] = [
            Entry(f"/a/{i}", b'{"kind":"A","apiVersion":"v1","metadata":{"a":%s}}' % text, 7)
            for i in range(COUNT)
        ]
        self.sizes: dict[str, int] = {}
        self.made = 0

    def known(self, entry: Entry) -> bytes | None:
        return None

    def size(self, entry: Entry) -> int:
        return self.sizes.get(entry.key, 0)

    def make(self, value: bytes) -> bytes:
        self.made += 1
        return value

    def keep(self, entry: Entry, message: bytes) -> None:
        self.sizes[entry.key] = len(message)


async def test_messages_whose_sizes_are_known_are_made_once(runner: asyncio.Runner) -> None:
    offload = Offload()
    lists, items = list_stream.Lists(offload), Items()
    lists._held = list_stream.HELD  # there is no room for what is made to know the length

    async def listed() -> bytes:
        return await received(lists.protobuf("jane", PROTOBUF, items, b"", ("v1", "AList"), compress=False))

    first = await listed()
    assert items.made == 2 * COUNT
    assert await listed() == first and items.made == 3 * COUNT
    whole = writer.list_items(entry.value for entry in items.entries)
    assert first == writer.frame(whole, "v1", "AList")
    offload.close()


def test_slices_are_longer_when_they_take_little_work() -> None:
    pace = list_stream.SlicePace()
    for _ in range(9):
        pace.learn(0.0001)
    assert pace.size == list_stream.LONGEST
    pace.learn(0.002)
    assert pace.size == list_stream.LONGEST
    for _ in range(9):
        pace.learn(0.01)
    assert pace.size == list_stream.SLICE


async def test_a_client_that_leaves_gives_back_what_was_kept(rig: Rig) -> None:
    await fill(rig, 60_000)
    response = await answer(rig, CONFIG_MAPS, PROTOBUF)
    assert response.start is not None
    peer = Peer(slow=True)
    response.start(peer)
    await aeventually(lambda: peer.waiting, "the beginning of the list")
    lists = rig.responder._lists
    assert lists._held > 0
    running = len(asyncio.all_tasks())
    peer.leave()
    await aeventually(lambda: len(asyncio.all_tasks()) < running, "the end of the task that makes the list")
    assert lists._held == 0


async def test_short_lists_have_a_length(rig: Rig) -> None:
    await rig.config_map("one")
    assert (await answer(rig, CONFIG_MAPS, TABLE)).start is None


def test_who_takes_gzip() -> None:
    assert takes_gzip("gzip") and takes_gzip("br, gzip;q=0.5")
    assert not takes_gzip("") and not takes_gzip("identity, xgzip")

"""Values that cannot be read, temporarily or permanently, are never treated as deleted."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from eventually import aeventually
from logged import pairs
from storage.cached_pods import JSON, P, Sink, fields, pod
from virtual_time import VirtualLoop

from pilothouse.storage import watchcache
from pilothouse.storage.encryption.errors import DecryptionError
from pilothouse.storage.interface import Compacted, KeyValue
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.watchcache import Cacher, Entry, ResourceCache, UnreadableError

A, B, C = P + "n/a", P + "n/b", P + "n/c"
SECRET = b"secret:"


class Vault:
    """Values that begin with `secret:` can be read once they were prepared,
    and that works when it is `open`."""

    def __init__(self) -> None:
        self.open = False
        self.broken = False
        self.known: set[bytes] = set()
        self.asked = 0

    def transform(self, key: str, value: bytes) -> bytes:
        if not value.startswith(SECRET):
            return value
        if value not in self.known:
            raise DecryptionError("no key")
        return value.removeprefix(SECRET)

    async def prepare(self, pairs: Sequence[KeyValue]) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.broken:
            raise RuntimeError("a bug")
        if self.open:
            self.known.update(kv.value for kv in pairs)


def sealed(name: str, node: str = "") -> bytes:
    return SECRET + pod(name, node)


class Rig:
    def __init__(self, store: MemoryStorage) -> None:
        self.store = store
        self.vault = Vault()
        self.cacher = Cacher(store, self.vault.transform, self.vault.prepare)
        self.pods: ResourceCache = self.cacher.resource(P, fields, ("spec.nodeName",))
        self.heard: list[tuple[str, str]] = []
        self.pods.subscribe(self._changed)

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        entry = new or old
        assert entry is not None
        self.heard.append(("+" if new else "-", entry.key.rpartition("/")[2]))

    def watch(self, since: int | None = None) -> Sink:
        sink = Sink()
        self.pods.watch(P, "", None, since, JSON, sink)
        return sink

    async def healed(self) -> None:
        await aeventually(
            lambda: not self.cacher.unreadable, "everything can be read", 2 * watchcache.RETRY[1]
        )


@asynccontextmanager
async def rig(*pairs: tuple[str, bytes]) -> AsyncIterator[Rig]:
    store = MemoryStorage()
    await store.start()
    for key, value in pairs:
        await store.create(key, value)
    rig = Rig(store)
    await rig.cacher.start()
    rig.heard.clear()
    yield rig
    await rig.cacher.close()
    await store.close()


async def test_known_at_the_start_and_read_later(
    virtual: VirtualLoop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with rig((A, pod("a")), (B, sealed("b", "x")), (C, b"garbage")) as r:
        assert r.pods.keys == [A] and sorted(r.cacher.unreadable) == [B, C]
        assert str(r.cacher.unreadable[B]) == "no key"
        assert str(r.cacher.unreadable[B].in_list()) == f'unable to transform key "{B}": no key'
        assert "can not be decoded" in str(r.cacher.unreadable[C])
        known = r.cacher.revision
        sink = r.watch()
        r.vault.open = True
        await aeventually(lambda: B not in r.cacher.unreadable, "b can be read")
        assert r.pods.keys == [A, B] and r.heard == [("+", "b")]
        assert [e.key for e in r.pods.list(P, None).entries] == [A, B]
        entry = r.pods.get(B)
        assert entry is not None and entry.rev == 3 and entry.create_rev == 3
        assert list(r.cacher.unreadable) == [C]
        assert sink.events == []
        with pytest.raises(Compacted):  # who knew of the others only has to list anew
            r.watch(known - 1)
        await r.store.create(P + "n/d", pod("d"))
        assert r.watch(known).events == [("ADDED", "d", 5)]
    assert [pairs(r) for r in caplog.records if "again" in r.getMessage()] == [{"prefix": P}]


async def test_a_change_that_can_not_be_read_leaves_what_was_known(virtual: VirtualLoop) -> None:
    async with rig((A, pod("a", "x")), (B, pod("b"))) as r:
        sink = r.watch()
        await r.store.update(A, sealed("a", "y"), 2)
        assert sink.closed and sink.events == []
        assert r.heard == []
        stale = r.pods.get(A)
        assert stale is not None and stale.rev == 2 and A in r.cacher.unreadable
        assert r.cacher.revision == 4
        await r.store.update(B, pod("b", "z"), 3)
        r.vault.open = True
        await r.healed()
        assert r.heard == [("+", "b"), ("+", "a")]
        entry = r.pods.get(A)
        assert entry is not None and entry.rev == 4 and b'"y"' in entry.value
        with pytest.raises(Compacted):
            r.watch(4)
        assert r.watch(5).events == []


async def test_written_again_so_that_it_can_be_read(virtual: VirtualLoop) -> None:
    async with rig((A, sealed("a"))) as r:
        await r.store.update(A, pod("a"), 2)
        assert not r.cacher.unreadable and r.heard == [("+", "a")]
        with pytest.raises(Compacted):
            r.watch(2)
        assert r.watch(3).events == []


async def test_deleted_while_it_can_not_be_read(virtual: VirtualLoop) -> None:
    async with rig((A, sealed("a")), (B, pod("b"))) as r:
        await r.store.update(B, sealed("b"), 3)
        assert sorted(r.cacher.unreadable) == [A, B]
        await r.store.delete(A, 2)
        await r.store.delete(B, 4)
        assert not r.cacher.unreadable and r.pods.keys == []
        assert r.heard == [("-", "b")]
        with pytest.raises(Compacted):
            r.watch(5)


async def test_a_lost_watch(virtual: VirtualLoop) -> None:
    async with rig((A, sealed("a")), (B, pod("b")), (C, sealed("c"))) as r:
        r.cacher._subscription.close()
        await r.store.delete(A, 2)
        await r.store.update(B, sealed("b"), 3)
        r.cacher._on_error(Compacted(1))
        await aeventually(lambda: r.cacher.ready, "the cache is filled again")
        assert sorted(r.cacher.unreadable) == [B, C]
        r.vault.open = True
        await r.healed()
        assert r.pods.keys == [B, C]
        await r.store.create(A, pod("a"))
        assert r.pods.keys == [A, B, C]


async def test_attempts_grow_rarer_and_survive_errors(
    virtual: VirtualLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig((A, sealed("a"))) as r:
        r.vault.broken = True
        before, asked = r.vault.asked, []
        for _ in range(42):
            await virtual.advance(1)
            asked.append(r.vault.asked - before)
        assert "Stored values that could not be read were not tried again" in caplog.text
        # after 1 second, then 2, 4, 8, 10 and 10
        assert [asked.index(n) + 1 for n in range(1, 7)] == [1, 3, 7, 15, 25, 35]
        r.vault.broken, r.vault.open = False, True
        await r.healed()
        assert r.pods.keys == [A]


async def test_values_of_the_past_are_no_error(
    virtual: VirtualLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """A start reads what was there some revisions ago, then what has changed."""
    store = MemoryStorage()
    await store.start()
    await store.create(A, pod("old"))
    for n in range(watchcache.HISTORY + 10):
        await store.create(f"{P}n/{n}", sealed("x") if n < 20 else pod("y"))
    for n in range(20):
        await store.update(f"{P}n/{n}", pod("z"), 3 + n)
    rig = Rig(store)
    await rig.cacher.start()
    assert not rig.cacher.unreadable and not caplog.records
    await rig.cacher.close()
    await store.close()


async def test_no_more_keys_in_the_log_than_help(
    virtual: VirtualLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig(*((f"{P}n/{n}", sealed(str(n))) for n in range(50))) as r:
        assert len(r.cacher.unreadable) == 50
        assert sum("cannot be read" in record.getMessage() for record in caplog.records) == watchcache.LOGGED


def test_an_entry_of_what_can_not_be_read() -> None:
    cacher = Cacher(MemoryStorage(), Vault().transform)
    with pytest.raises(UnreadableError, match=r"^no key$") as caught:
        cacher.entry(KeyValue(A, sealed("a"), 5))
    assert caught.value.kv.mod == 5

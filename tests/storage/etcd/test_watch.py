import asyncio
import itertools
import signal
from pathlib import Path

import pytest
from eventually import aeventually
from storage.contract import Recorder

from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.etcd.watch import EtcdWatch
from pilothouse.storage.interface import Compacted, Op, Unavailable
from pilothouse.storage.watchcache import Cacher
from pilothouse.testing.etcd import BINARY, EtcdCluster

pytestmark = pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")

P = "/registry/pods/"


def run(directory: Path, test: object, members: int = 1, *flags: str) -> None:
    with EtcdCluster(directory, members, *flags) as cluster:

        async def main() -> None:
            store = EtcdStorage(cluster.urls)
            await store.start()
            try:
                await test(store, cluster)  # type: ignore[operator]
            finally:
                await store.close()

        asyncio.run(main())


def test_progress_without_events(tmp_path: Path) -> None:
    async def check(store: EtcdStorage, cluster: EtcdCluster) -> None:
        other = EtcdStorage(cluster.urls, prefix="/elsewhere")
        await other.start()
        told: list[int] = []
        recorder = Recorder()
        store.watch("", 1, recorder.on_events, recorder.on_error, on_progress=told.append)
        kv = await other.create(P + "a", b"1")
        assert await store.current_revision() == kv.mod
        assert told[-1] == kv.mod
        assert recorder.events == []
        await other.close()

    run(tmp_path, check)


def test_a_cache_starts_where_the_last_writes_were_elsewhere(tmp_path: Path) -> None:
    async def check(store: EtcdStorage, cluster: EtcdCluster) -> None:
        other = EtcdStorage(cluster.urls, prefix="/elsewhere")
        await other.start()
        kept = await store.create(P + "a", b'{"metadata":{}}')
        last = await other.create(P + "b", b"1")
        cacher = Cacher(store)
        await asyncio.wait_for(cacher.start(), 2)
        assert cacher.revision == last.mod
        entry = cacher.resource(P, lambda obj: {}).get(P + "a")
        assert entry is not None and entry.rev == kept.mod
        await cacher.close()
        await other.close()

    run(tmp_path, check)


def test_another_process_is_seen_once_the_revision_was_read(tmp_path: Path) -> None:
    async def check(store: EtcdStorage, cluster: EtcdCluster) -> None:
        other = EtcdStorage(cluster.urls)
        await other.start()
        recorder = Recorder()
        store.watch("", 1, recorder.on_events, recorder.on_error)
        for i in range(50):
            kv = await other.create(f"{P}{i}", b"1")
            assert await store.current_revision() == kv.mod
            assert recorder.events[-1].kv == kv
        await other.close()

    run(tmp_path, check)


def test_readers_share_one_read(tmp_path: Path) -> None:
    async def check(store: EtcdStorage, cluster: EtcdCluster) -> None:
        calls = 0
        read = store._read_revision

        async def counted(timeout: float = 1.0) -> int:
            nonlocal calls
            calls += 1
            return await read(timeout)

        store._read_revision = counted  # type: ignore[method-assign]
        await asyncio.gather(*(store.current_revision() for _ in range(500)))
        assert calls == 1

    run(tmp_path, check)


def test_big_transactions_come_in_one_piece(tmp_path: Path) -> None:
    async def check(store: EtcdStorage, cluster: EtcdCluster) -> None:
        first = await store.create(P + "a", b"1")
        value = b"x" * 300_000
        for turn in range(3):
            await store.txn([Op(f"{P}{turn}-{i}", value) for i in range(4)])
        recorder = Recorder()
        store.watch(P, first.mod, recorder.on_events, recorder.on_error)
        await recorder.wait(13)
        for batch in recorder.batches:
            for _, events in itertools.groupby(batch, lambda e: e.kv.mod):
                assert len(list(events)) in (1, 4)

    run(tmp_path, check, 1, "--max-request-bytes=1500000")


@pytest.mark.slow
def test_goes_on_after_a_restart_without_loss_or_double(tmp_path: Path) -> None:
    async def check(store: EtcdStorage, cluster: EtcdCluster) -> None:
        recorder = Recorder()
        store.watch("", store.revision + 1, recorder.on_events, recorder.on_error)
        written = [await store.create(f"{P}0", b"1")]
        for i in range(1, 4):
            cluster.kill(0)
            with pytest.raises(Unavailable):  # a write takes its whole time-out
                await (store.create(f"{P}x", b"1") if i == 1 else store.probe(0.5))
            cluster.start(0)
            await asyncio.to_thread(cluster.wait)
            written.append(await store.create(f"{P}{i}", b"1"))
        assert [e.kv for e in recorder.events] == written
        assert recorder.errors == []

    run(tmp_path, check)


@pytest.mark.slow
def test_members_are_paused_and_killed_under_writes(tmp_path: Path) -> None:
    async def check(store: EtcdStorage, cluster: EtcdCluster) -> None:
        recorder, acknowledged, going = Recorder(), [], True
        store.watch("", store.revision + 1, recorder.on_events, recorder.on_error)

        async def write(writer: int) -> None:
            for i in itertools.count():
                if not going:
                    return
                try:
                    kv = await store.create(f"{P}{writer}-{i}", b"1")
                    acknowledged.append((kv.mod, kv.key, False))
                    assert (kv.mod, kv.key, False) in recorder.seen[-200:]
                except Unavailable:
                    pass
                await asyncio.sleep(0.005)

        async def more() -> None:
            """Wait until every writer has gone on for a while."""
            enough = len(acknowledged) + 100
            await aeventually(lambda: len(acknowledged) >= enough, "a hundred writes", 30)

        writers = [asyncio.ensure_future(write(n)) for n in range(4)]
        for index in range(3):
            await more()
            cluster.signal(index, signal.SIGSTOP)
            await more()
            cluster.signal(index, signal.SIGCONT)
            await more()
            cluster.kill(index)
            await more()
            cluster.start(index)
            await asyncio.to_thread(cluster.wait)
        going = False
        await asyncio.gather(*writers)
        await store.current_revision()
        seen = recorder.seen
        assert seen == sorted(set(seen))
        assert set(acknowledged) <= set(seen)
        everything = await store.range(P)
        assert [(kv.mod, kv.key) for kv in sorted(everything.items, key=lambda kv: kv.mod)] == [
            (mod, key) for mod, key, _ in seen
        ]
        assert len(acknowledged) > 200

    run(tmp_path, check, 3)


def test_compacted_while_away(tmp_path: Path) -> None:
    async def check(store: EtcdStorage, cluster: EtcdCluster) -> None:
        other = EtcdStorage(cluster.urls)
        await other.start()
        for i in range(5):
            kv = await other.create(f"{P}{i}", b"1")
        await other.compact(kv.mod)
        recorder = Recorder()
        store.watch("", 2, recorder.on_events, recorder.on_error)
        await recorder.wait(1)
        assert [type(e) for e in recorder.errors] == [Compacted]
        await other.close()
        late = EtcdStorage(cluster.urls)
        await late.start()
        assert late.compacted == kv.mod - 1
        await late.close()

    run(tmp_path, check)


def test_closing_frees_who_waits(tmp_path: Path) -> None:
    async def check(store: EtcdStorage, cluster: EtcdCluster) -> None:
        recorder = Recorder()
        subscription = store.watch("", 1, recorder.on_events, recorder.on_error)
        watch: EtcdWatch = next(iter(store._watches))
        waiting = asyncio.ensure_future(watch.reached(10**6, 60))
        await aeventually(lambda: watch._waiters, "somebody waits")
        subscription.close()
        assert await asyncio.wait_for(waiting, 1) is False

    run(tmp_path, check)

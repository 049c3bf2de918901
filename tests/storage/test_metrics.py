"""The metrics show what the watch caches hold, and what they were told and could not read."""

import asyncio
from collections.abc import Sequence

from metric_samples import samples
from storage.cached_pods import P, Sink, fields, pod

from pilothouse.api._json import JsonEncoder
from pilothouse.api.values._selectors import Selector
from pilothouse.api.values.selectors import parse
from pilothouse.storage.encryption.errors import DecryptionError
from pilothouse.storage.interface import KeyValue
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.metrics import WatchCacheMetrics
from pilothouse.storage.watchcache import Cacher

KIND = 'group="",resource="pods"'


def transform(key: str, value: bytes) -> bytes:
    if value == b"sealed":
        raise DecryptionError("no key")
    return value


async def prepare(pairs: Sequence[KeyValue]) -> None:
    return None


def test_lists_bytes_and_progress_are_counted() -> None:
    async def main() -> None:
        storage = MemoryStorage()
        await storage.start()
        for name in ("a", "b", "c"):
            await storage.create(f"{P}n/{name}", pod(name))
        cacher = Cacher(storage, transform, prepare)
        await cacher.start()
        cache = cacher.resource(P, fields, ("spec.nodeName",))
        metrics = WatchCacheMetrics(cacher, lambda key: "pods" if key.startswith(P) else "")
        cache.count_list(cache.list(P, None, limit=2))
        cache.count_list(cache.list(P, Selector(fields=[("metadata.name", "=", "none")])))
        cache.count_store(3, 1)
        await storage.create(f"{P}n/d", b"sealed")
        cacher._on_progress(cacher.revision)
        found = samples(metrics)
        for name, value in (
            ("apiserver_storage_list_total", "2"),
            ("apiserver_storage_list_fetched_objects_total", "6"),
            ("apiserver_storage_list_evaluated_objects_total", "6"),
            ("apiserver_storage_list_returned_objects_total", "4"),
            ("apiserver_storage_decode_errors_total", "1"),
            ("etcd_bookmark_total", "1"),
            ("apiserver_cache_list_returned_objects_total", "2"),
            ("apiserver_resource_size_estimate_bytes", str(cache.stored_bytes)),
        ):
            assert found[f"{name}{{{KIND}}}"] == value, name
        lists = 'apiserver_cache_list{}_total{{group="",index="",resource="pods"}}'
        assert found[lists.format("")] == "2" and int(found[lists.format("_fetched_objects")]) >= 2
        assert found["pilothouse_watch_cache_object_bytes"] == str(cache.stored_bytes)
        await cacher.close()
        await storage.close()

    asyncio.run(main())


def test_an_index_is_told() -> None:
    async def main() -> None:
        storage = MemoryStorage()
        await storage.start()
        await storage.create(f"{P}n/a", pod("a"))
        cacher = Cacher(storage)
        await cacher.start()
        cache = cacher.resource(P, fields, ("spec.nodeName",))
        cache.count_list(cache.list(P, Selector(fields=[("spec.nodeName", "=", "m")])))
        cache.count_list(cache.list(P, parse("app=x", "")))
        assert set(cache.listed) == {"f:spec.nodeName", "l:"}
        await cacher.close()
        await storage.close()

    asyncio.run(main())


def test_deliveries_are_timed() -> None:
    async def main() -> None:
        storage = MemoryStorage()
        await storage.start()
        cacher = Cacher(storage)
        await cacher.start()
        cache = cacher.resource(P, fields)
        await storage.create(f"{P}n/a", pod("a"))
        assert cache.delays.count == 0, "nobody watches"
        cache.watch(P, "", None, None, JsonEncoder("Pod", "v1"), Sink())
        await storage.create(f"{P}n/b", pod("b"))
        assert cache.delays.count == 1 and cache.delays.sum < 1
        await cacher.close()
        await storage.close()

    asyncio.run(main())

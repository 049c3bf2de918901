"""Lists and fan-out of the watch cache against plain Python: `pytest benchmarks/bench_watchcache.py`."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import orjson
import pytest

from pilothouse.api._json import JsonEncoder
from pilothouse.api.values._selectors import Requirement, Selector
from pilothouse.metrics._instruments import Distribution
from pilothouse.storage._entry import Entry
from pilothouse.storage._watchcache import ResourceCache
from pilothouse.storage._watchers import DELAYS

P = "/registry/pods/"
COUNT = 5000


class Owner:
    revision = COUNT
    delays = Distribution(DELAYS)
    ties: ClassVar[list[object]] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def joined(self, watcher: object) -> None: ...
    def left(self, watcher: object) -> None: ...


class Sink:
    written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def buffered(self) -> int:
        return 0

    def close(self) -> None: ...
    def abort(self, error: BaseException | None = None) -> None: ...
    def on_close(self, callback: Callable[[], None]) -> None: ...
    def on_drain(self, callback: Callable[[], None]) -> None: ...


def pod(i: int) -> bytes:
    return orjson.dumps(
        {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": f"pod-{i}", "namespace": "default", "labels": {"app": f"a{i % 100}"}},
            "spec": {
                "nodeName": f"node-{i % 500}",
                "containers": [
                    {"name": "c", "env": [{"name": f"E{n}", "value": "x" * 40} for n in range(90)]}
                ],
            },
        }
    )


def fields(obj: dict[str, Any]) -> dict[str, str]:
    return {"metadata.name": obj["metadata"]["name"], "spec.nodeName": obj["spec"]["nodeName"]}


@pytest.fixture(scope="module")
def cache() -> ResourceCache:
    made = ResourceCache(Owner(), P, fields, ("spec.nodeName",), 0)
    made.load([Entry(f"{P}default/pod-{i:05}", pod(i), i + 1, i + 1) for i in range(COUNT)])
    return made


APP = Selector([Requirement("app", "=", ("a7",))])
NODE = Selector(fields=[("spec.nodeName", "=", "node-7")])
NOT = Selector([Requirement("app", "!=", ("a7",))])


def plain_label_list(cache: ResourceCache) -> list[Entry]:
    return [
        e for e in cache.list(P).entries if orjson.loads(e.value)["metadata"]["labels"].get("app") == "a7"
    ]


def test_list_all(benchmark: Any, cache: ResourceCache) -> None:
    assert len(benchmark(cache.list, P).entries) == COUNT


@pytest.mark.parametrize(
    ("selector", "count"), [(APP, 50), (NODE, 10), (NOT, COUNT - 50)], ids=["label", "node", "not"]
)
def test_list_selected(benchmark: Any, cache: ResourceCache, selector: Selector, count: int) -> None:
    assert len(benchmark(cache.list, P, selector).entries) == count


def test_list_label_plain(benchmark: Any, cache: ResourceCache) -> None:
    assert len(benchmark(plain_label_list, cache)) == 50


def test_page(benchmark: Any, cache: ResourceCache) -> None:
    assert benchmark(cache.list, P, None, after=f"{P}default/pod-02000", limit=500).more


def updates(cache: ResourceCache) -> Callable[[], None]:
    value = pod(0)
    revision = cache.last_change

    def update() -> None:
        nonlocal revision
        Owner.revision = revision = revision + 1
        cache.apply(f"{P}default/pod-00000", Entry(f"{P}default/pod-00000", value, revision, 1), revision)

    return update


def test_event_to_500_watchers(benchmark: Any, cache: ResourceCache) -> None:
    encoder = JsonEncoder("Pod", "v1")
    watchers = [cache.watch(P, "", None, None, encoder, Sink()) for _ in range(500)]
    benchmark(updates(cache))
    for watcher in watchers:
        watcher.stop()


def test_event_among_5000_kubelets(benchmark: Any, cache: ResourceCache) -> None:
    encoder = JsonEncoder("Pod", "v1")
    watchers = []
    for i in range(5000):
        mine = Selector(fields=[("spec.nodeName", "=", f"node-{i}")])
        watchers.append(cache.watch(P, "", mine, None, encoder, Sink()))
    benchmark(updates(cache))
    for watcher in watchers:
        watcher.stop()


def test_event_to_nobody(benchmark: Any, cache: ResourceCache) -> None:
    benchmark(updates(cache))

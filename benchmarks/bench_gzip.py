"""Compressed lists of 5,000 pods: kept blocks against compressing it all: `pytest benchmarks/bench_gzip.py`.

python benchmarks/bench_gzip.py        # milliseconds of CPU and megabytes of each way
"""

import gzip
import time
import zlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from bench_write_path import pod

from pilothouse.api._gzip import kept
from pilothouse.api._json import Encoded, encoded
from pilothouse.endpoints.answers._listbody import ListBody

PREFIX, SUFFIX = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[', b"]}"
COUNT = 5000


def pods() -> list[Encoded]:
    """Encoded pods of about 6 KB that differ in names and in a few values."""
    return [encoded(value(i), i + 1) for i in range(COUNT)]


def value(i: int) -> bytes:
    obj = pod(f"pod-{i:06}")
    env = [{"name": f"E{n}", "value": f"{i * n % 977:x}" * 8} for n in range(80)]
    obj["spec"]["containers"][0]["env"] = env
    return orjson.dumps({"kind": "Pod", "apiVersion": "v1", "metadata": obj["metadata"], "spec": obj["spec"]})


def blocks(entries: list[Encoded]) -> int:
    """The size of the body as the server writes it; compressed parts that were kept before are used."""
    parts = ListBody(PREFIX, entries, SUFFIX).gzip()
    return sum(len(part if isinstance(part, bytes) else part()) for part in parts)


def level_1(entries: list[Encoded]) -> int:
    """The size when one compressor takes everything, as upstream does."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    size = sum(len(compressor.compress(piece)) for piece in ListBody(PREFIX, entries, SUFFIX))
    return size + len(compressor.flush())


def plain(entries: list[Encoded]) -> int:
    return sum(len(piece) for piece in ListBody(PREFIX, entries, SUFFIX))


@pytest.mark.parametrize("way", [blocks, plain, level_1])
def test_list_of_5000(benchmark: Any, way: Callable[[list[Encoded]], int]) -> None:
    entries = pods()
    way(entries)
    assert benchmark(way, entries)


def test_first_list_of_5000(benchmark: Any) -> None:
    benchmark.pedantic(blocks, setup=lambda: ((pods(),), {}), rounds=3)


def test_list_after_50_writes(benchmark: Any) -> None:
    entries = pods()
    blocks(entries)

    def write() -> tuple[tuple[list[Encoded]], dict[str, Any]]:
        for i in range(0, COUNT, 100):
            entries[i] = encoded(value(i + 1), i + COUNT)
        return (entries,), {}

    benchmark.pedantic(blocks, setup=write, rounds=20)


def timed(way: Callable[[list[Encoded]], int], entries: list[Encoded]) -> str:
    start = time.process_time()
    size = way(entries)
    return f"{(time.process_time() - start) * 1e3:8.2f} ms {size / 1e6:8.2f} MB"


if __name__ == "__main__":
    made = pods()
    print("plain            ", timed(plain, made))
    print("one compressor   ", timed(level_1, made))
    print("blocks, first    ", timed(blocks, made))
    print("blocks, later    ", timed(blocks, made), f"   {kept()[1] / 1e6:.2f} MB kept")
    data = b"".join(p if isinstance(p, bytes) else p() for p in ListBody(PREFIX, made, SUFFIX).gzip())
    assert len(gzip.decompress(data)) == plain(made)

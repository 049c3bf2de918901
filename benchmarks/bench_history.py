"""Measures a history: bytes for a change, and the cost of keeping it and of reading.

    pytest benchmarks/bench_history.py --benchmark-only
    python benchmarks/bench_history.py [--changes 100000]

The program prints bytes on disk for a change of a status and of a spec of a 6 KB pod, the processor time of
keeping one, the growth of memory, and the least processor time of a blame of an object with 1,000 changes,
of reads of the past against those of now, by changes in memory and in the file, and of the parts of a first
one. There are no sockets and no TLS.
--once takes 1,000 changes.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import pathlib
import resource
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import orjson
import pytest
import uvloop

from pilothouse.history.author import HEAD, Author
from pilothouse.history.blame import blame
from pilothouse.history.delta import text_before
from pilothouse.history.file import HistoryFile
from pilothouse.history.places import Place
from pilothouse.history.policy import HistoryPolicy, HistoryRule, Keep
from pilothouse.history.reader import NEVER, HistoryReader
from pilothouse.history.recorder import HistoryRecorder
from pilothouse.history.undoing import CHANGED_BETWEEN, CHANGED_SINCE, Undoing
from pilothouse.storage._entry import Entry
from pilothouse.storage.interface import Op
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.changes import ChangeReader, last_of
from pilothouse.storage.sqlite.file import LAST

PREFIX = "/registry/pods/bench/"
EVERYTHING = HistoryPolicy(max_bytes=1 << 40, rules=(HistoryRule(("*",), (), Keep.EVERYTHING),))
USERS = 5
BATCH = 100
OBJECTS = 500
REPEATS = 20
OTHER = f"{PREFIX}pod-000001"


def container(name: str) -> Any:
    """A container as others have it, with a status of its own."""
    return {
        "name": name,
        "image": f"registry.local/team/{name}:v1.2.3",
        "env": [{"name": f"SETTING_{k}", "value": f"value-{k}"} for k in range(16)],
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m"}},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
        "terminationMessagePath": "/dev/termination-log",
    }


def pod(name: str, number: int) -> Any:
    """A pod of some 6 KB, as it is stored."""
    fields: Any = {"f:spec": {f"f:member-{k}": {".": {}, "f:name": {}} for k in range(30)}}
    managed = [
        {"manager": one, "operation": "Update", "apiVersion": "v1", "time": "2026-11-30T05:00:00Z"}
        | {"fieldsType": "FieldsV1", "fieldsV1": fields}
        for one in ("kubectl", "kubelet")
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "bench",
            "uid": f"6e2a7a3c-5b1f-4a77-9d3e-{number:012}",
            "creationTimestamp": "2026-11-30T05:00:00Z",
            "labels": {"app": f"app-{number % 10}", "tier": "web"},
            "annotations": {"example.com/note": "n" * 200},
            "managedFields": managed,
        },
        "spec": {"containers": [container("main"), container("side")], "nodeName": f"node-{number % 50}"},
        "status": {
            "phase": "Running",
            "podIP": "10.1.2.3",
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": "2026-11-30T05:00:00Z"}
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
        },
    }


def moment(number: int) -> str:
    """A time as objects have it."""
    return f"2026-11-30T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"


def change_status(obj: Any, number: int) -> None:
    """The changes of a kubelet when a pod becomes ready, or unready."""
    for condition in obj["status"]["conditions"][1:3]:
        condition["status"] = ("True", "False")[number % 2]
        condition["lastTransitionTime"] = moment(number)
    obj["status"]["podIP"] = f"10.1.{number // 250 % 250}.{number % 250}"
    obj["metadata"]["managedFields"][1]["time"] = moment(number)


def change_spec(obj: Any, number: int) -> None:
    """The changes of a user: an image, a variable and an annotation."""
    main = obj["spec"]["containers"][0]
    main["image"] = f"registry.local/team/main:v1.2.{number}"
    main["env"][number % 16]["value"] = f"value-of-{number}"
    obj["metadata"]["annotations"]["example.com/revision"] = str(number)
    obj["metadata"]["managedFields"][0]["time"] = moment(number)


CHANGES = {"status": change_status, "spec": change_spec}


def author(number: int, subresource: str) -> bytes:
    """The bytes that tell who has made a write, and when."""
    audit_id = str(uuid.UUID(int=number << 64)).encode()
    user = f"user-{number % USERS}"
    who = Author(user, ("system:authenticated",), "kubectl", "patch", subresource, "10.0.0.1")
    head = HEAD.pack(1_800_000_000_000 + number * 10, len(audit_id))
    return head + audit_id + orjson.dumps(tuple(who))


class Bench:
    """A store with a history; `now` are the objects. subresource: of the writes."""

    subresource = ""

    def __init__(self, storage: SqliteStorage, recorder: HistoryRecorder, reader: HistoryReader) -> None:
        self.storage = storage
        self.recorder = recorder
        self.reader = reader
        self.now: dict[str, Any] = {}
        self._times = 0

    async def write(self, names: list[str], change: Callable[[Any, int], None] | None = None) -> None:
        """Create objects, or change each, in one commit; each has its own revision."""
        ops = []
        for name in names:
            self._times += 1
            if change is None:
                self.now[name] = pod(name, self._times)
            else:
                change(self.now[name], self._times)
            by = author(self._times, self.subresource)
            ops.append(Op(PREFIX + name, orjson.dumps(self.now[name]), None, 0, by))
        await asyncio.gather(*(self.storage.txn([op]) for op in ops))

    async def delete(self, names: list[str]) -> None:
        """Delete objects, in one commit."""
        ops = []
        for name in names:
            self._times += 1
            ops.append(Op(PREFIX + name, None, None, 0, author(self._times, self.subresource)))
        await asyncio.gather(*(self.storage.txn([op]) for op in ops))

    async def move(self) -> float:
        """Move all changes, and compact the store; the processor time of the process that it took."""
        began = time.process_time()
        while await self.recorder.step(last_of(self.storage.revision)):
            pass
        took = time.process_time() - began
        await self.storage.compact(self.storage.revision)
        return took


@contextlib.asynccontextmanager
async def bench(folder: str, policy: HistoryPolicy = EVERYTHING) -> AsyncIterator[Bench]:
    """A store with a history in a folder; the bench moves changes itself."""
    storage = SqliteStorage(folder, authors=True)
    await storage.start()
    file = HistoryFile(folder)
    recorder = HistoryRecorder(
        ChangeReader(storage.directory),
        file,
        policy,
        place_of=lambda key: Place("pods", "bench", key.rpartition("/")[2]),
        to_json=lambda key, value: value,
        revision=lambda: storage.revision,
    )
    await recorder.open()
    storage.compactable = recorder.compactable
    reader = HistoryReader(recorder, file.path, storage, to_json=lambda key, value: value)
    await reader.open()
    try:
        yield Bench(storage, recorder, reader)
    finally:
        await reader.close()
        await recorder.close()
        await storage.close()


def disk(folder: str) -> int:
    """Bytes of the history's file, the log that goes before it excepted."""
    return (pathlib.Path(folder) / "history.db").stat().st_size


def memory() -> int:
    """The most memory that the process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def least(call: Callable[[], Awaitable[object]], times: int = REPEATS) -> float:
    """The least milliseconds of processor time of several calls, those of other threads included."""
    found = []
    for _ in range(times):
        began = time.process_time()
        await call()
        found.append(time.process_time() - began)
    return min(found) * 1000


async def keep(kind: str, count: int) -> dict[str, float]:
    """The bytes that so many changes of a kind take; 500 objects change in turn."""
    with tempfile.TemporaryDirectory() as folder:
        async with bench(folder) as one:
            names = [f"pod-{number:06}" for number in range(OBJECTS)]
            await one.write(names)
            await one.move()
            empty, before, took = disk(folder), memory(), 0.0
            for first in range(0, count, BATCH):
                await one.write([names[(first + at) % OBJECTS] for at in range(BATCH)], CHANGES[kind])
                if first % 5000 == 0:
                    took += await one.move()
            took += await one.move()
            await one.recorder.run(lambda: one.recorder._file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
            size = len(orjson.dumps(one.now[names[0]]))
            return {
                "object bytes": size,
                "bytes a change": (disk(folder) - empty) / count,
                "microseconds to keep": took / count * 1e6,
                "MB of memory more": (memory() - before) / 1e6,
            }


async def parts(one: Bench, past: int, name: str) -> dict[str, float]:
    """The parts of a first read: of the thread that reads the file, and of the loop that waits for it."""
    run, db = one.reader._thread.run, one.reader._db
    ids = {"after": last_of(past), "upto": last_of(one.recorder.recorded)}
    key, times = PREFIX + name, 50
    get = {"first": key, "end": key + "\0", **ids}
    whole = {"first": PREFIX, "end": PREFIX + LAST, **ids}
    texts = {f"{PREFIX}{name}": orjson.dumps(obj) for name, obj in one.now.items()}
    now = {key: Entry(key, text, one.storage.revision) for key, text in texts.items()}
    kept = [row[4] for row in db.execute(CHANGED_SINCE, get).fetchall()]
    deltas = [delta for delta in reversed(kept) if delta is not None]

    async def calls() -> None:
        for _ in range(times):
            await run(int)

    async def short_calls() -> None:
        for _ in range(times):
            await one.reader._thread.run_short(int)

    def statements() -> None:
        for _ in range(times):
            db.execute(CHANGED_SINCE, get).fetchall()

    def undone() -> None:
        for _ in range(times):
            text_before(texts[key], deltas)

    def states() -> object:
        span = ids["after"], ids["upto"]
        return Undoing(db, now.get, (PREFIX, PREFIX + LAST), span, 0, changed=len(now)).all()

    return {
        "us of a call on the thread": await least(calls) * 1000 / times,
        "us of a call for which the loop waits": await least(short_calls) * 1000 / times,
        "us of the statement of a get": await least(lambda: run(statements)) * 1000 / times,
        f"us of undoing {len(deltas)} changes": await least(lambda: run(undone)) * 1000 / times,
        "ms of the statement of a list": await least(
            lambda: run(lambda: db.execute(CHANGED_BETWEEN, whole).fetchall())
        ),
        "ms of a list's states": await least(lambda: run(states)),
    }


async def past_reads(one: Bench, past: int, source: str) -> dict[str, float]:
    """The least milliseconds of reads of the past; first ones are made while no state is remembered."""
    reader = one.reader
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "a list of then": lambda: reader.range(PREFIX, revision=past),
        "a get as of then": lambda: reader.get(OTHER, past),
        "a get before 1,000 changes": lambda: reader.get(f"{PREFIX}pod-000000", past),
    }
    found = {}
    for name, call in calls.items():

        async def first(call: Callable[[], Awaitable[object]] = call) -> None:
            reader.forget()
            await call()

        found[f"ms of {name}{source}"] = await least(first)
        found[f"ms of {name}, again{source}"] = await least(call)
    return found


async def read() -> dict[str, float]:
    """The time that reads of the past take, against those of now."""
    with tempfile.TemporaryDirectory() as folder:
        async with bench(folder) as one:
            names = [f"pod-{number:06}" for number in range(OBJECTS)]
            await one.write(names)
            past = one.storage.revision
            for number in range(5):
                await one.write(names, CHANGES["status" if number % 2 else "spec"])
            for number in range(1000):
                await one.write(["pod-000000"], CHANGES["status" if number % 2 else "spec"])
            await one.move()
            before = memory()
            key = f"{PREFIX}pod-000000"
            changes = await one.reader.changes(key, key + "\0")
            obj = one.now["pod-000000"]

            async def blamed() -> None:
                blame(obj, changes)

            async def read_and_blamed() -> None:
                blame(obj, await one.reader.changes(key, key + "\0"))

            in_memory = await past_reads(one, past, "")
            one.recorder.recent.begin(last_of(one.recorder.recorded), NEVER)
            return {
                "changes of the object": len(changes),
                "ms of a blame": await least(blamed),
                "ms of a blame with its changes read": await least(read_and_blamed),
                "ms of a list now, from the store": await least(lambda: one.storage.range(PREFIX)),
                "ms of a get now, from the store": await least(lambda: one.storage.get(OTHER)),
                **in_memory,
                **await past_reads(one, past, ", from the file"),
                **await parts(one, past, "pod-000001"),
                "MB of memory more": (memory() - before) / 1e6,
            }


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.mark.parametrize("kind", CHANGES)
def test_keep(benchmark: Any, runner: asyncio.Runner, kind: str) -> None:
    """1,000 changes, written, moved and compacted. The empty file takes some 130 bytes of each."""
    found = benchmark.pedantic(lambda: runner.run(keep(kind, 1000)), rounds=1)
    assert 5_000 < found["object bytes"] < 7_000 and found["bytes a change"] < 500


def test_read(benchmark: Any, runner: asyncio.Runner) -> None:
    """A blame of 1,000 changes, a list and gets of the past."""
    found = benchmark.pedantic(lambda: runner.run(read()), rounds=1)
    assert found["changes of the object"] == 1006


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--once", action="store_const", const=1000, dest="changes")
    args = parser.parse_args()
    out: dict[str, Any] = {}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        out["read"] = runner.run(read())
        for kind in CHANGES:
            gc.collect()
            out[f"{kind} changes"] = runner.run(keep(kind, args.changes))
    print(
        json.dumps({name: {k: round(v, 3) for k, v in each.items()} for name, each in out.items()}, indent=2)
    )


if __name__ == "__main__":
    main()

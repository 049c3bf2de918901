"""Workers that share a port show their metrics together, whichever of them is asked.

The supervisor makes a directory that only its user may enter, and names each worker a path in it: PATH/0,
PATH/1 and so on. A worker listens on the socket PATH/0.sock. When it is asked to, and whenever it is scraped
itself, it writes what it has counted to the file PATH/0.metrics. The worker that is scraped asks the others
and adds up the files. So nothing that was ever shown is lost: the counts of a worker that is dead or slow are
read from what it wrote last, and the one that takes its place goes on from there.
"""

import asyncio
import contextlib
import os
import pathlib
import time
from collections.abc import Iterator, Mapping

import orjson

from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.metrics._instruments import Distribution
from pilothouse.metrics.exposition import Family, Labels, Value
from pilothouse.metrics.instruments import Gauge, Group, Joined, MetricsRegistry
from pilothouse.process.metrics import resident_memory
from pilothouse.waiting import Pace, in_task

log = Logger(__name__)

ENVIRONMENT = "PILOTHOUSE_WORKER"
"""The variable by which the supervisor tells a worker its path."""

PATIENCE = 0.8
"""Seconds in which another worker has to answer."""

ROWS = 100
"""Series in one line of a file."""

RESET = b"reset"
DONE = b"done"


class WorkerMetrics(Group):
    """The metrics that differ from worker to worker; all else is shown for all of them together."""

    def __init__(self, worker: str = "0") -> None:
        label = ("worker",)
        self.up = Gauge(
            "pilothouse_worker_up", "[ALPHA] Whether a worker has answered this scrape.", label, joined=max
        )
        self.started = Gauge(
            "pilothouse_worker_start_time_seconds",
            "[ALPHA] When a worker was started, in seconds since the epoch.",
            label,
        )
        self.resident = Gauge(
            "pilothouse_worker_resident_memory_bytes",
            "[ALPHA] Resident memory of a worker.",
            label,
            lambda: {(worker, *none): value for none, value in resident_memory().items()},
        )
        self.up.set(1, worker)
        self.started.set(time.time(), worker)


class Workers(BackgroundTask):
    """One worker's place among the others:
    answers them, and asks them when `registries`, by name, are scraped."""

    def __init__(self, path: pathlib.Path, registries: Mapping[str, MetricsRegistry]) -> None:
        self._socket = path.with_name(f"{path.name}.sock")
        self._shares = {name: _Share(path, name, registry) for name, registry in registries.items()}

    def start(self) -> None:
        """Go on from what this worker's predecessor has counted, and answer the others."""
        for share in self._shares.values():
            share.inherit()
        super().start()

    async def _run(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()
        try:
            server = await asyncio.start_unix_server(self._answer, self._socket)
        except OSError as error:
            log.warning("Other workers cannot ask this one for its metrics", err=str(error))
            return
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            verb, _, name = (await reader.readline()).decode().strip().partition(" ")
            share = self._shares.get(name)
            if share is not None:
                await (share.forget() if verb == "reset" else share.tell(Pace()))
                writer.write(DONE)
        writer.close()


class _Share:
    """The counts of the workers in one registry each."""

    def __init__(self, path: pathlib.Path, name: str, registry: MetricsRegistry) -> None:
        self._path = path
        self._name = name
        self._file = path.with_name(f"{path.name}.{name}")
        self._registry = registry
        self._before: dict[str, Family] = {}
        self._writing = asyncio.Lock()
        registry.others = self

    def inherit(self) -> None:
        """Take over the counts of the process that had this place before."""
        for family, rows in _lines(_content(self._file)):
            if family.kind != "gauge":
                _merge(self._before, family, rows, sum)

    async def gather(self, pace: Pace) -> dict[str, Family]:
        """The metrics of all workers together, by name."""
        await in_task()
        others = self._others()
        asking = asyncio.gather(*(self._ask(path, "tell") for path in others))
        own = await self.tell(pace)
        answers = await asking
        joined = self._joined()
        for path, answered in zip(others, answers, strict=True):
            content = await asyncio.to_thread(_content, path.with_name(f"{path.name}.{self._name}"))
            for family, rows in _lines(content):
                if answered or family.kind != "gauge":
                    _merge(own, family, rows, joined.get(family.name, sum))
                await pace.pause()
            if not answered and "pilothouse_worker_up" in own:
                own["pilothouse_worker_up"].add((path.name,), 0, max)
        return own

    async def tell(self, pace: Pace) -> dict[str, Family]:
        """The metrics of this worker; they have been written to the file when this returns."""
        async with self._writing:
            families = await self._registry.gather(pace)
            joined = self._joined()
            for before in self._before.values():
                for labels, value in before.series.items():
                    _merge(families, before, [(labels, value)], joined.get(before.name, sum))
                    await pace.pause()
            lines = []
            for family in families.values():
                rows = list(family.series.items())
                for at in range(0, len(rows), ROWS):
                    lines.append(_line(family, rows[at : at + ROWS]))
                    await pace.pause()
            await asyncio.to_thread(_write, self._file, lines)
            return families

    async def reset(self) -> None:
        """Have all workers forget what they have counted."""
        await in_task()
        await asyncio.gather(self.forget(), *(self._ask(path, "reset") for path in self._others()))

    async def forget(self) -> None:
        """Forget what this worker, and those before it, have counted."""
        async with self._writing:
            self._registry.reset()
            self._before.clear()
            await asyncio.to_thread(self._file.unlink, missing_ok=True)

    def _joined(self) -> dict[str, Joined]:
        """The way in which several numbers of a metric become one, by its name."""
        return {metric.name: metric.joined for metric in self._registry.metrics()}

    def _others(self) -> list[pathlib.Path]:
        """The paths of the other workers that have ever been there."""
        names = {found.name.partition(".")[0] for found in self._path.parent.iterdir()}
        return [self._path.with_name(name) for name in sorted(names - {self._path.name})]

    async def _ask(self, path: pathlib.Path, verb: str) -> bool:
        """Whether a worker has done what it was asked to, in time."""
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_unix_connection(path.with_name(f"{path.name}.sock"))
                try:
                    writer.write(f"{verb} {self._name}\n".encode())
                    return await reader.read() == DONE
                finally:
                    writer.close()
        except OSError:  # TimeoutError is one
            return False


def _merge(
    families: dict[str, Family], family: Family, rows: list[tuple[Labels, Value]], joined: Joined
) -> None:
    """Add series to the family of the same name; those that do not fit into it are left out."""
    into = families.get(family.name)
    if into is None:
        into = families[family.name] = Family(
            family.name, family.kind, family.help, family.labels, family.bounds
        )
    if (into.labels, into.bounds) == (family.labels, family.bounds):
        for labels, value in rows:
            into.add(labels, value, joined)


def _line(family: Family, rows: list[tuple[Labels, Value]]) -> bytes:
    """Some series of a family as a line of JSON."""
    shown = [
        (labels, (value.sum, value.buckets()) if isinstance(value, Distribution) else value)
        for labels, value in rows
    ]
    return orjson.dumps((family.name, family.kind, family.help, family.labels, family.bounds, shown))


def _lines(content: bytes) -> Iterator[tuple[Family, list[tuple[Labels, Value]]]]:
    """The series in a file, in parts."""
    for line in content.splitlines():
        name, kind, help, names, bounds, shown = orjson.loads(line)
        family = Family(name, kind, help, tuple(names), tuple(bounds))
        rows: list[tuple[Labels, Value]] = []
        for labels, value in shown:
            if isinstance(value, list):
                counted = Distribution(family.bounds)
                counted.put(value[1], value[0])
                value = counted
            if value is not None:  # JSON has no infinite numbers
                rows.append((tuple(labels), value))
        yield family, rows


def _content(file: pathlib.Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def _write(file: pathlib.Path, lines: list[bytes]) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(b"\n".join(lines))
    os.replace(new, file)

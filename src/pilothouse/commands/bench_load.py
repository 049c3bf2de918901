"""The load of `pilothouse bench`: requests for config maps over HTTP/1.1,
what they take, and what the server takes for them.

The client is a single process, so rates and latencies contain its own share; the server's processor time for
an operation does not.
"""

import asyncio
import itertools
import json
import math
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from pilothouse.commands import samples
from pilothouse.commands.api import Api, ApiError
from pilothouse.commands.readings import ClusterReadings
from pilothouse.process.frozen import frozen
from pilothouse.process.record import record

TOGETHER = 16
"""Connections that send at the same time."""
FEW, OBJECTS = 200, 1000
"""Objects that are created and deleted one after the other, and all of them."""
WATCHES, CHANGES = 100, 20
"""Watches that are open, and changes a second that each of them is told of."""
IDLE = 200
"""Connections whose memory is measured."""
SECONDS = 60.0
"""The time after which an answer is given up."""

_SENT = re.compile(rb'"sent":"(\d+)"')


class Server(Protocol):
    """The server's process, as far as it can be measured."""

    def processor(self) -> float:
        """Seconds of processor time that it has used."""

    def memory(self) -> float:
        """Resident bytes."""


class Own:
    """A process of this machine."""

    def __init__(self, pid: int) -> None:
        self._clock = ~pid << 3 | 2  # as clock_getcpuclockid(3) makes it
        self._pages = Path(f"/proc/{pid}/statm")

    def processor(self) -> float:
        """User and system time of all threads, exact to the nanosecond."""
        return time.clock_gettime(self._clock)

    def memory(self) -> float:
        """The pages that are in memory."""
        return int(self._pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Scraped:
    """The servers of a cluster together, by their /metrics. What a scrape itself takes is taken off."""

    def __init__(self, cluster: ClusterReadings) -> None:
        self._cluster = cluster
        self._cost, self._scrapes = 0.0, 0
        first, second, third = (self._read("process_cpu_seconds_total") for _ in range(3))
        self._cost, self._scrapes = min(second - first, third - second), 0

    def processor(self) -> float:
        """The processor time that the servers count, without the scrapes so far."""
        read = self._read("process_cpu_seconds_total")
        self._scrapes += 1
        return read - self._cost * self._scrapes

    def memory(self) -> float:
        """The resident memory that the servers report."""
        self._scrapes += 1
        return self._read("process_resident_memory_bytes")

    def _read(self, name: str) -> float:
        readings = self._cluster.read().values()
        return sum(samples.total(reading.families, name) for reading in readings)


@frozen
class Figure:
    """The seconds that one operation takes;
    `rate` is in operations a second, `processor` is the server's time for one."""

    name: str
    together: int
    count: int
    rate: float
    p50: float
    p99: float
    processor: float


@record
class Memory:
    """Resident bytes of the server."""

    empty: float = 0.0
    filled: float = 0.0
    last: float = 0.0
    connection: float = 0.0
    watch: float = 0.0


def quantile(share: float, times: Sequence[float]) -> float:
    """The smallest of these times that such a share of them does not exceed."""
    return sorted(times)[max(0, math.ceil(share * len(times)) - 1)]


class Load:
    """Measures a server step by step in a namespace of its own.
    `seconds` is how long a step takes that has no fixed count."""

    def __init__(self, api: Api, server: Server, seconds: float, namespace: str) -> None:
        self._api = api
        self._server = server
        self._seconds = seconds
        self._namespace = namespace
        self._maps = f"/api/v1/namespaces/{namespace}/configmaps"
        self._created, self._deleted, self._turn = itertools.count(), itertools.count(), itertools.count()
        self._tls = api.config.trust.context()
        self._session: aiohttp.ClientSession
        self.figures: list[Figure] = []
        self.memory = Memory()

    async def run(self, tell: Callable[[str], None]) -> None:
        """Take all steps; `tell` is told the name of each when it begins.
        ApiError when the server refuses a request."""
        self.memory.empty = self._server.memory()
        body = {"metadata": {"name": self._namespace}}
        await asyncio.to_thread(self._api.ensure, "/api/v1/namespaces", body)
        try:
            async with self._open() as self._session:
                for name, step in STEPS.items():
                    tell(name)
                    await step(self)
            self.memory.last = self._server.memory()
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(f"{self._api.config.server}: {error or type(error).__name__}") from None
        finally:
            with suppress(ApiError):
                await asyncio.to_thread(self._api.call, "DELETE", f"/api/v1/namespaces/{self._namespace}")

    @asynccontextmanager
    async def _open(self, *, keep: bool = True) -> AsyncIterator[aiohttp.ClientSession]:
        """A client; with `keep` its connections are used again."""
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0, force_close=not keep)
        headers = [*self._api.config.headers, ("Accept", "application/json"), ("Accept-Encoding", "identity")]
        timeout = aiohttp.ClientTimeout(SECONDS)
        async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
            yield session

    @asynccontextmanager
    async def _asked(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        body: Any = None,
        kind: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A good answer whose body has not been read; ApiError otherwise."""
        config = self._api.config
        data = None if body is None else json.dumps(body).encode()
        async with session.request(
            method,
            config.server.rstrip("/") + path,
            data=data,
            headers={"Content-Type": kind} if data else None,
            server_hostname=config.trust.server_name or None,
        ) as answer:
            if answer.status >= 300:
                raise ApiError(f"{method} {path}: {(await answer.text())[:500]}", answer.status)
            yield answer

    async def _ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> None:
        async with self._asked(self._session, method, path, body, kind) as answer:
            await answer.read()

    # --- steps

    async def _create(self) -> None:
        async def one() -> None:
            await self._ask("POST", self._maps, _config_map(f"m{next(self._created)}"))

        await self._measure("create", one, 1, count=FEW)
        await self._measure("create", one, TOGETHER, count=OBJECTS - FEW)
        self.memory.filled = self._server.memory()

    async def _get(self) -> None:
        async def one() -> None:
            await self._ask("GET", f"{self._maps}/m{next(self._turn) % OBJECTS}")

        await self._measure("get", one, 1)
        await self._measure("get", one, TOGETHER)

    async def _list(self) -> None:
        await self._measure(f"list {OBJECTS}", lambda: self._ask("GET", self._maps), 1)

    async def _patch(self) -> None:
        async def one() -> None:
            await self._change(next(self._turn))

        await self._measure("patch", one, 1)
        await self._measure("patch", one, TOGETHER)

    async def _change(self, turn: int) -> None:
        body = {"data": {"sent": str(time.perf_counter_ns())}}
        await self._ask("PATCH", f"{self._maps}/m{turn % OBJECTS}", body, "application/merge-patch+json")

    async def _watch(self) -> None:
        """The time from the sending of a change until a watch has its event."""
        times: list[float] = []
        before, opened = self._server.memory(), asyncio.Semaphore(0)
        path = f"{self._maps}?watch=1&resourceVersion=0&fieldSelector=metadata.name%3Dm0"

        async def follow() -> None:
            async with self._asked(self._session, "GET", path) as answer:
                async for line in answer.content:
                    if (sent := _SENT.search(line)) is not None and b'"MODIFIED"' in line[:40]:
                        times.append((time.perf_counter_ns() - int(sent[1])) / 1e9)
                    elif b'"ADDED"' in line[:40]:
                        opened.release()

        watching = [asyncio.create_task(follow()) for _ in range(WATCHES)]
        try:
            async with asyncio.timeout(SECONDS):
                for _ in range(WATCHES):
                    await _or_failed(opened.acquire(), watching)
            self.memory.watch = max(0.0, self._server.memory() - before) / WATCHES
            used, began = self._server.processor(), time.perf_counter()
            changes = max(1, round(self._seconds * CHANGES))
            for turn in range(changes):
                await asyncio.sleep(began + turn / CHANGES - time.perf_counter())
                await self._change(0)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds + 1):
                    while len(times) < changes * WATCHES:
                        await asyncio.sleep(0.01)
            self._add(
                "watch event", WATCHES, times, time.perf_counter() - began, self._server.processor() - used
            )
        finally:
            for one in watching:
                one.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _connect(self) -> None:
        """Requests on connections of their own, then the memory of connections that rest."""
        async with self._open(keep=False) as session:

            async def one() -> None:
                async with self._asked(session, "GET", "/version") as answer:
                    await answer.read()

            await self._measure("connect", one, 1)
        before = self._server.memory()
        async with self._open() as session:

            async def rest() -> None:
                async with self._asked(session, "GET", "/version") as answer:
                    await answer.read()
                    await every.wait()  # else another request would get this connection

            every = asyncio.Barrier(IDLE)
            await _all([rest() for _ in range(IDLE)])
            self.memory.connection = max(0.0, self._server.memory() - before) / IDLE

    async def _delete(self) -> None:
        async def one() -> None:
            await self._ask("DELETE", f"{self._maps}/m{next(self._deleted)}")

        await self._measure("delete", one, 1, count=FEW)
        await self._measure("delete", one, TOGETHER, count=OBJECTS - FEW)

    # --- measuring

    async def _measure(
        self, name: str, one: Callable[[], Awaitable[None]], together: int, *, count: int = 0
    ) -> None:
        """Do something `count` times, or for half of a step's time, from so many tasks;
        the first goes uncounted."""
        if not count:
            await _all([one() for _ in range(together)])  # opens the connections
        times: list[float] = []
        left = iter(range(count)) if count else itertools.count()
        used, began = self._server.processor(), time.perf_counter()
        end = math.inf if count else began + self._seconds / 2

        async def work() -> None:
            for _ in left:
                start = time.perf_counter()
                await one()
                now = time.perf_counter()
                times.append(now - start)
                if now > end:
                    return

        await _all([work() for _ in range(together)])
        self._add(name, together, times, time.perf_counter() - began, self._server.processor() - used)

    def _add(self, name: str, together: int, times: list[float], seconds: float, used: float) -> None:
        if not times:
            raise ApiError(f"{name}: there was none in {seconds:.0f} s")
        count, low, high = len(times), quantile(0.5, times), quantile(0.99, times)
        self.figures.append(
            Figure(
                name,
                together,
                count,
                rate=count / seconds,
                p50=low,
                p99=high,
                processor=max(0.0, used) / count,
            )
        )


STEPS: dict[str, Callable[[Load], Awaitable[None]]] = {
    "create": Load._create,
    "get": Load._get,
    "list": Load._list,
    "patch": Load._patch,
    "watch": Load._watch,
    "connect": Load._connect,
    "delete": Load._delete,
}
"""The steps of a load by what they measure, in their order."""


async def _all(works: Sequence[Awaitable[None]]) -> None:
    """Do all of these at the same time; the first error ends the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _or_failed(wanted: Awaitable[object], others: Sequence[asyncio.Task[None]]) -> None:
    """Wait for something, or for the error of a task that should go on."""
    waiting = asyncio.ensure_future(wanted)
    done, _ = await asyncio.wait({waiting, *others}, return_when=asyncio.FIRST_COMPLETED)
    if waiting not in done:
        waiting.cancel()
        for one in done:
            one.result()
        raise ApiError("a watch has ended")


def _config_map(name: str) -> dict[str, Any]:
    """A config map of 1 KiB."""
    return {"metadata": {"name": name, "labels": {"app": "bench"}}, "data": {"text": "x" * 900, "sent": "0"}}

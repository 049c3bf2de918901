"""Clients and watchers of servers that are told to stop:
they count every request that fails and every watch that is cut."""

import asyncio
import itertools
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field

from e2e.http_client import Connection, Lost
from eventually import aeventually

MAPS = "/api/v1/namespaces/default/configmaps"
WRITES = 5
"""One of so many requests is a write."""


@dataclass
class Outcome:
    """The clients' observations: how many requests were answered, what failed, how often a connection was
    refused before anything was sent, refusals with 429, watches by how they ended, and events."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    refused: int = 0
    told_to_wait: int = 0
    watches: Counter[str] = field(default_factory=Counter)
    events: int = 0

    def __str__(self) -> str:
        return (
            f"{self.answered} answered, {len(self.failed)} failed, {self.refused} refused,"
            f" {self.told_to_wait} times 429; watches {dict(self.watches)}, {self.events} events"
        )


class Load:
    """`clients` connections that send `rate` requests a second in all,
    and `watches` watches, against one port.

    A refused connection ends a client unless `stays`:
    then it tries again, as behind a balancer; so do watches.
    """

    def __init__(
        self, port: int, context: ssl.SSLContext, clients: int, rate: float, watches: int, *, stays: bool
    ) -> None:
        self.port = port
        self.context = context
        self.rate = rate
        self.clients = clients
        self.watches = watches
        self.stays = stays
        self.over = False
        self.outcome = Outcome()
        self._tasks: list[asyncio.Task[None]] = []
        self._connections: list[Connection] = []

    async def start(self) -> None:
        """Create what is written to and begin;
        returns when every client and every watch has been answered."""
        setup = self._connection()
        for number in range(self.clients):
            body = {"metadata": {"name": f"drain-{number}"}, "data": {"n": "0"}}
            status, _ = await setup.request("POST", MAPS, body)
            assert status == 201
        opened = [asyncio.Event() for _ in range(self.watches)]
        for event in opened:
            self._tasks.append(asyncio.ensure_future(self._watch(event)))
        await asyncio.gather(*(event.wait() for event in opened))
        for number in range(self.clients):
            self._tasks.append(asyncio.ensure_future(self._client(number)))

    async def answered(self, more: int) -> None:
        """Wait until so many more requests have been answered: there is load."""
        wanted = self.outcome.answered + more
        await aeventually(lambda: self.outcome.answered >= wanted, f"{more} more answers", 60)

    async def end(self) -> Outcome:
        """Wait until clients and watches have ended; what they saw."""
        self.over = True
        await asyncio.gather(*self._tasks)
        return self.outcome

    async def cancel(self) -> None:
        """End all at once, also after a failure."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._connections:
            connection.close()
        await asyncio.sleep(0.05)

    def _connection(self) -> Connection:
        self._connections.append(Connection(self.port, self.context, 30.0))
        return self._connections[-1]

    async def _client(self, number: int) -> None:
        pause = self.clients / self.rate
        due = time.monotonic() + pause * number / self.clients
        connection = self._connection()
        for count in itertools.count():
            await asyncio.sleep(due - time.monotonic())
            if self.over:
                break
            try:
                await self._request(connection, number, count)
            except ConnectionRefusedError:
                self.outcome.refused += 1
                if not self.stays:
                    break
            due = max(due + pause, time.monotonic() - 1.0)

    async def _request(self, connection: Connection, number: int, count: int) -> None:
        path = f"{MAPS}/drain-{number}"
        body = {"metadata": {"name": f"drain-{number}"}, "data": {"n": str(count)}}
        method, sent = ("GET", None) if count % WRITES else ("PUT", body)
        try:
            status, answer = await connection.request(method, path, sent)
        except Lost as error:
            if isinstance(error.__cause__, ConnectionRefusedError):
                raise error.__cause__ from None
            self.outcome.failed.append(f"{method}: {error}")
        except TimeoutError:
            self.outcome.failed.append(f"{method}: no answer")
        else:
            if status == 200:
                self.outcome.answered += 1
            elif status == 429:
                self.outcome.told_to_wait += 1
            else:
                self.outcome.failed.append(f"{method}: {status} {answer}")

    async def _watch(self, opened: asyncio.Event) -> None:
        connection = self._connection()
        while not self.over:
            try:
                watch = await connection.watch(f"{MAPS}?watch=1&fieldSelector=metadata.name%3Ddrain-0")
                opened.set()
                while await watch.next() is not None:
                    self.outcome.events += 1
                how = "ended"
            except Lost as error:
                how = "refused" if isinstance(error.__cause__, ConnectionRefusedError) else f"cut: {error}"
                await asyncio.sleep(0.1)
            self.outcome.watches[how] += 1
            connection.close()
            if not self.stays:
                break
        opened.set()

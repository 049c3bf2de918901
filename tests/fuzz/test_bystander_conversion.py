"""Conversion webhooks that are slow or hostile fail what needs them, and delay no other client."""

import asyncio
import base64
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from converters import DEFINITIONS, GROUP, V1, box, definition, path
from e2e.http_client import Connection
from eventually import aeventually
from fuzz.siege import Siege
from fuzz.watching import Seen, context
from hostile_conversion import HANG, SORTS, TAKEN, hostile

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NAME = f"{DEFINITIONS}/boxes.{GROUP}"
READERS, BOXES = 2, 20
SECONDS = 0.8
"""How long the readers read."""
TIMES, FLOOR = 2.0, 0.015
"""How much longer a bystander may wait in one of a hundred reads; what is below FLOOR seconds is noise."""
TRIES = 3


@pytest.fixture(scope="module")
def siege() -> Iterator[Siege]:
    with Siege() as siege:
        yield siege


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, bytes]]:
    """The port and the CA of the hostile webhooks, one process for all of them."""
    with hostile(tmp_path_factory.mktemp("hooks")) as served:
        yield served


class Readers:
    """Clients that list boxes, and the statuses of the answers."""

    def __init__(self, siege: Siege) -> None:
        self._siege = siege
        self._tls = context(siege.server.directory)
        self.statuses: set[int] = set()

    async def once(self, method: str, target: str, body: Any = None) -> int:
        connection = Connection(self._siege.server.port, self._tls)
        try:
            return (await connection.request(method, target, body))[0]
        finally:
            connection.close()

    async def run(self, version: str, hangs: bool) -> None:
        """Read for some seconds, and until the first answer of each unless none is to come."""
        await asyncio.gather(*(self._read(version, hangs) for _ in range(READERS)))

    async def _read(self, version: str, hangs: bool) -> None:
        connection = Connection(self._siege.server.port, self._tls)
        until = asyncio.get_running_loop().time() + SECONDS
        with contextlib.suppress(TimeoutError):
            if not hangs:
                self.statuses.add((await connection.request("GET", path(version)))[0])
            async with asyncio.timeout_at(until):
                while True:
                    self.statuses.add((await connection.request("GET", path(version)))[0])
                    await asyncio.sleep(0.01)
        connection.close()


def seen_while(siege: Siege, readers: Readers, version: str, hangs: bool = False) -> Seen:
    """The answers to a bystander while boxes are listed in a version; none in v1 needs the webhook."""
    siege.bystander.seen()
    asyncio.run(readers.run(version, hangs))
    return siege.bystander.seen()


async def define(readers: Readers, port: int, ca: bytes, sort: str) -> None:
    """Boxes that a hostile webhook converts."""
    made = definition()
    client = {"url": f"https://127.0.0.1:{port}{sort}", "caBundle": base64.b64encode(ca).decode()}
    hook = {"clientConfig": client, "conversionReviewVersions": ["v1"]}
    made["spec"]["conversion"] = {"strategy": "Webhook", "webhook": hook}

    async def defined() -> bool:
        return await readers.once("POST", DEFINITIONS, made) == 201

    async def served() -> bool:
        return await readers.once("POST", path("v1"), box("b0", V1)) == 201

    await aeventually(defined, "the end of the boxes before")
    await aeventually(served, "the boxes to be served")
    for n in range(1, BOXES):
        assert await readers.once("POST", path("v1"), box(f"b{n}", V1)) == 201


@pytest.fixture(scope="module")
def quiet() -> list[Seen]:
    """The answers to a bystander while nothing needed the webhook; none at first."""
    return []


@pytest.mark.parametrize("sort", SORTS)
def test_nobody_else_waits(siege: Siege, quiet: list[Seen], hooks: tuple[int, bytes], sort: str) -> None:
    port, ca = hooks
    for attempt in range(TRIES):
        readers = Readers(siege)
        asyncio.run(define(readers, port, ca, sort))
        if attempt or not quiet:
            quiet[:] = [seen_while(siege, Readers(siege), "v1")]
        [before] = quiet
        during = seen_while(siege, readers, "v2", sort == HANG)
        assert asyncio.run(readers.once("DELETE", NAME)) == 200
        print(f"{sort:10} bystander p99 {before.p99 * 1000:5.1f} -> {during.p99 * 1000:5.1f} ms")
        assert readers.statuses == ({200} if sort in TAKEN else set() if sort == HANG else {500})
        if during.p99 < max(TIMES * before.p99, FLOOR):
            return
    raise AssertionError(f"a bystander waited: {before} -> {during}")

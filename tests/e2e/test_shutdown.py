"""The order of a shutdown: readyz, the delay for load balancers, the port, watches, the process."""

import asyncio
import signal
import time
from collections.abc import Iterator

import pytest
from e2e.http_client import Connection, Lost
from eventually import aeventually

from pilothouse.testing.server import Subprocess

pytestmark = pytest.mark.slow

MAPS = "/api/v1/namespaces/default/configmaps"
DELAY = 2.0


@pytest.fixture
def server() -> Iterator[Subprocess]:
    with Subprocess([f"--shutdown-delay-duration={DELAY}s", "--goaway-chance=0.02"]) as running:
        yield running


def test_a_server_goes_step_by_step(server: Subprocess) -> None:
    process = server.process
    assert process is not None

    async def refused() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        except OSError:
            return True
        writer.transport.abort()
        return False

    async def main() -> None:
        watcher, client = (Connection(server.port, server.context()) for _ in range(2))
        watch = await watcher.watch(f"{MAPS}?watch=1&resourceVersion=0")
        assert await watch.next() is not None
        assert (await client.request("GET", "/readyz"))[0] == 200
        process.send_signal(signal.SIGTERM)
        start = time.monotonic()
        while (await client.request("GET", "/readyz"))[0] == 200:
            assert time.monotonic() - start < 0.5, "readyz fails first"
        kept = stayed = closed = 0
        while time.monotonic() - start < DELAY - 0.3:
            assert (await client.request("GET", MAPS))[0] == 200, "it still serves"
            assert (await client.request("GET", "/livez"))[0] == 200, "it is alive"
            if time.monotonic() - start < DELAY / 2 + 0.3:
                kept += client.open
            else:
                closed, stayed = closed + (not client.open), stayed + client.open
            await asyncio.sleep(0.01)
        assert kept > 3, "at first connections are kept"
        assert closed and not stayed, "then each answer sends its client elsewhere"
        assert not await refused() and process.poll() is None
        await aeventually(refused, "nothing is accepted any more", start + DELAY + 1 - time.monotonic())
        assert time.monotonic() - start > DELAY - 0.1
        try:
            while await asyncio.wait_for(watch.next(), 5) is not None:
                pass
        except Lost as error:
            raise AssertionError("the watch was cut") from error
        assert await asyncio.to_thread(process.wait, 5) == 0
        assert time.monotonic() - start < DELAY + 3
        await client.end()
        await watcher.end()

    asyncio.run(main())


def test_now_and_then_a_client_is_sent_elsewhere(server: Subprocess) -> None:
    async def main() -> None:
        client = Connection(server.port, server.context())
        answers = closed = 0
        while closed < 5 and answers < 3000:
            assert (await client.request("GET", "/version"))[0] == 200
            answers += 1
            closed += not client.open
        assert closed == 5, f"{closed} of {answers} connections were closed"
        assert answers > 30, "by far most are kept"
        await client.end()

    asyncio.run(main())

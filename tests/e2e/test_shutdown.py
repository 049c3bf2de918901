"""The order of a shutdown: readyz, the delay for load balancers, the port, watches, the process."""

import asyncio
import contextlib
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
    with Subprocess([f"--shutdown-delay-duration={DELAY}s"]) as running:
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

    async def served(client: Connection) -> bool:
        """The server serves and is alive, a moment later."""
        await asyncio.sleep(0.01)
        assert (await client.request("GET", MAPS))[0] == 200
        return (await client.request("GET", "/livez"))[0] == 200

    async def main() -> None:
        watcher, client = (Connection(server.port, server.context()) for _ in range(2))
        watch = await watcher.watch(f"{MAPS}?watch=1&resourceVersion=0")
        assert await watch.next() is not None
        assert (await client.request("GET", "/readyz"))[0] == 200
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        while (await client.request("GET", "/readyz"))[0] == 200:
            pass  # it fails while the port is open: a refusal would end the test
        kept = closed = 0
        while await served(client) and client.open:
            kept += 1
        assert kept, "at first connections are kept"
        with contextlib.suppress(Lost):
            while await served(client):
                assert not client.open, "then each answer sends its client elsewhere"
                closed += 1
        assert closed
        await aeventually(refused, "nothing is accepted any more")
        assert time.monotonic() - start > DELAY
        try:
            while await asyncio.wait_for(watch.next(), 30) is not None:
                pass
        except Lost as error:
            raise AssertionError("the watch was cut") from error
        assert await asyncio.to_thread(process.wait, 30) == 0
        await client.end()
        await watcher.end()

    asyncio.run(main())


def test_now_and_then_a_client_is_sent_elsewhere() -> None:
    async def main(server: Subprocess) -> None:
        client = Connection(server.port, server.context())
        answers = closed = 0
        while closed < 5 and answers < 3000:
            assert (await client.request("GET", "/version"))[0] == 200
            answers += 1
            closed += not client.open
        assert closed == 5, f"{closed} of {answers} connections were closed"
        assert answers > 15, "by far most are kept: so few fail once in a hundred thousand runs"
        await client.end()

    with Subprocess(["--goaway-chance=0.02"]) as server:
        asyncio.run(main(server))

"""Servers that are told to stop under load: no request fails, and every watch ends with its last chunk.

PILOTHOUSE_DRAIN_RATE sets the requests per second (default 60),
PILOTHOUSE_DRAIN_WATCHES the watches (default 30).
"""

import asyncio
import os
import signal

import pytest
from e2e.draining import Load, Outcome

from pilothouse.testing.ha import MEMBERS, Ha, missing
from pilothouse.testing.server import Subprocess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ETCD_MEMBERS = 1
RATE = float(os.environ.get("PILOTHOUSE_DRAIN_RATE", "60"))
WATCHES = int(os.environ.get("PILOTHOUSE_DRAIN_WATCHES", "30"))
CLIENTS = 30 if RATE > 60 else 15
BEFORE = 4 * CLIENTS
"""Requests that are answered before a server is told to stop."""

DELAY = "--shutdown-delay-duration=2s"
"""The time in which clients learn that they should connect elsewhere. Without it a request can meet the end
of its idle connection, which HTTP/1.1 cannot rule out (RFC 9112, 9.6) and clients repeat."""


@pytest.mark.parametrize("flags", [(DELAY,), (DELAY, "--shutdown-send-retry-after")])
def test_a_server_is_drained(flags: tuple[str, ...]) -> None:
    async def main(server: Subprocess) -> Outcome:
        process = server.process
        assert process is not None
        load = Load(server.port, server.context(), CLIENTS, RATE, WATCHES, stays=False)
        await load.start()
        try:
            await load.answered(BEFORE)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 60) == 0
            return await load.end()
        finally:
            await load.cancel()

    with Subprocess(flags) as server:
        outcome = asyncio.run(main(server))
    print(f"{flags}: {outcome}")
    assert outcome.failed == []
    assert outcome.watches == {"ended": WATCHES}


@pytest.mark.skipif(bool(missing()), reason="needs etcd and haproxy; apt-get install etcd-server haproxy")
def test_servers_are_replaced_one_after_the_other(ha: Ha) -> None:
    """A rolling restart of `make ha`: HAProxy leads clients to the servers that stay."""

    async def main() -> Outcome:
        load = Load(ha.port, ha.context(), CLIENTS, RATE, WATCHES, stays=True)
        await load.start()
        try:
            for index in range(MEMBERS):
                await load.answered(BEFORE)
                process = ha.servers[index]
                assert process is not None
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 60) == 0
                ha.start_server(index)
                await asyncio.to_thread(ha.wait_server, index)
            await load.answered(BEFORE)
            return load.outcome
        finally:
            await load.cancel()

    outcome = asyncio.run(main())
    print(outcome)
    assert outcome.failed == []
    assert outcome.refused == 0
    assert outcome.watches.keys() == {"ended"}
    assert outcome.watches["ended"] >= WATCHES

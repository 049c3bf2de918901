"""Servers that are told to stop under load: no request fails, and every watch ends with its last chunk.

PILOTHOUSE_DRAIN_RATE sets the requests per second (default 300),
PILOTHOUSE_DRAIN_WATCHES the watches (default 200).
"""

import asyncio
import os
import signal
import time

import pytest
from e2e.draining import Load, Outcome

from pilothouse.testing.ha import MEMBERS, Ha, missing
from pilothouse.testing.server import Subprocess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RATE = float(os.environ.get("PILOTHOUSE_DRAIN_RATE", "300"))
WATCHES = int(os.environ.get("PILOTHOUSE_DRAIN_WATCHES", "200"))
CLIENTS = 50
BEFORE = 2.0
"""Seconds of load before a server is told to stop."""


DELAY = "--shutdown-delay-duration=2s"
"""The time in which clients learn that they should connect elsewhere. Without it a request can meet the end
of its idle connection, which HTTP/1.1 cannot rule out (RFC 9112, 9.6) and clients repeat."""


@pytest.mark.parametrize("flags", [(DELAY,), (DELAY, "--shutdown-send-retry-after")])
def test_a_server_is_drained(flags: tuple[str, ...]) -> None:
    async def main(server: Subprocess) -> tuple[Outcome, float]:
        process = server.process
        assert process is not None
        load = Load(server.port, server.context(), CLIENTS, RATE, WATCHES, stays=False)
        await load.start()
        try:
            start = time.monotonic()
            await asyncio.sleep(BEFORE)
            process.send_signal(signal.SIGTERM)
            told = time.monotonic()
            assert await asyncio.to_thread(process.wait, 60) == 0
            print(f"ended after {time.monotonic() - told:.2f} s", end="; ")
            return await load.end(), load.outcome.rate(start, told)
        finally:
            await load.cancel()

    with Subprocess(flags) as server:
        outcome, rate = asyncio.run(main(server))
    print(f"{flags}: {rate:.0f} requests/s; {outcome}")
    assert rate > RATE / 4, "there was load"
    assert outcome.failed == []
    assert outcome.watches == {"ended": WATCHES}


@pytest.mark.skipif(bool(missing()), reason="needs etcd and haproxy; apt-get install etcd-server haproxy")
def test_servers_are_replaced_one_after_the_other(ha: Ha) -> None:
    """A rolling restart of `make ha`: HAProxy leads clients to the servers that stay."""

    async def main() -> tuple[Outcome, float]:
        load = Load(ha.port, ha.context(), CLIENTS, RATE, WATCHES, stays=True)
        await load.start()
        start = time.monotonic()
        try:
            for index in range(MEMBERS):
                await asyncio.sleep(BEFORE)
                process = ha.servers[index]
                assert process is not None
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 60) == 0
                ha.start_server(index)
                await asyncio.to_thread(ha.wait_server, index)
            await asyncio.sleep(BEFORE)
            return load.outcome, load.outcome.rate(start, time.monotonic())
        finally:
            await load.cancel()

    outcome, rate = asyncio.run(main())
    print(f"{rate:.0f} requests/s; {outcome}")
    assert rate > RATE / 4, "there was load"
    assert outcome.failed == []
    assert outcome.refused == 0
    assert outcome.watches.keys() == {"ended"}
    assert outcome.watches["ended"] >= WATCHES

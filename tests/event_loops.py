"""Event loops for tests: what servers have accepted ends with them,
and a connection that somebody has left open fails the test that runs then."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

QUIET = 5
"""Turns of the loop without a new connection after which none is on its way: what the system has accepted is
noticed in one, becomes a task in the next, and a transport in the one after."""


class StrictLoop(asyncio.SelectorEventLoop):
    """A loop that raises when it closes, if a connection is still open.

    The garbage collector would warn of it later, in whatever test runs then.
    """

    def close(self) -> None:
        left = [] if self.is_closed() else [one for one in _transports(self) if one._sock is not None]
        names = [repr(one) for one in left]
        for transport in left:
            transport.abort()
        if left:
            self.run_until_complete(asyncio.sleep(0))
        super().close()
        if left:
            raise ResourceWarning(f"nobody has closed {', '.join(names)}")


@contextmanager
def running(factory: Callable[[], asyncio.AbstractEventLoop] = StrictLoop) -> Iterator[asyncio.Runner]:
    """A runner with a loop of this kind."""
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner
        runner.run(end_accepted())


async def end_accepted() -> None:
    """End the connections that servers of this loop have accepted.

    asyncio's servers leave them open (`close_clients` came with Python 3.13). Connections that a test has
    opened are left to it.
    """
    loop = asyncio.get_running_loop()
    quiet = 0
    while quiet < QUIET:
        quiet += 1
        for transport in _transports(loop):
            if getattr(transport, "_server", None) is not None and not transport.is_closing():
                transport.abort()
                quiet = 0
        await asyncio.sleep(0)


def _transports(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """The transports of sockets; uvloop tells nobody of its own."""
    return list(getattr(loop, "_transports", {}).values())

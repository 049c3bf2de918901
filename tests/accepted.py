"""Ends the connections that servers of a test have accepted."""

import asyncio

QUIET = 5
"""Turns of the loop without a new connection after which none is on its way: what the system has accepted is
noticed in one, becomes a task in the next, and a transport in the one after."""


async def end_accepted() -> None:
    """End them before their loop closes.

    asyncio's servers leave them to the garbage collector (`close_clients` came with Python 3.13), which warns
    of them in whatever test runs then. Connections that were opened are not touched: who leaves one is told.
    """
    loop = asyncio.get_running_loop()
    quiet = 0
    while quiet < QUIET:
        quiet += 1
        for transport in list(getattr(loop, "_transports", {}).values()):
            if getattr(transport, "_server", None) is not None and not transport.is_closing():
                transport.abort()
                quiet = 0
        await asyncio.sleep(0)

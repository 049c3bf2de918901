"""Ends the connections that servers of a test have accepted."""

import asyncio


async def end_accepted() -> None:
    """End them before their loop closes.

    asyncio's servers leave them to the garbage collector (`close_clients` came with Python 3.13), which warns
    of them in whatever test runs then. Connections that were opened are not touched: who leaves one is told.
    """
    loop = asyncio.get_running_loop()
    for _ in range(2):  # one that has just come is there in the next turn
        for transport in list(getattr(loop, "_transports", {}).values()):
            if getattr(transport, "_server", None) is not None:
                transport.abort()
        await asyncio.sleep(0)

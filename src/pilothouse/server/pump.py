"""Writes a body to a stream no faster than its peer takes it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pilothouse.server.request import Stream


async def pump(stream: Stream, parts: AsyncGenerator[bytes, None], ahead: int) -> None:
    """Write parts and end the body; the next part is asked for when at most `ahead` bytes wait for the peer.

    The loop has its turn between two parts. When a part can not be made the connection is cut, as the answer has
    begun, and the error is raised.
    """
    drained = asyncio.Event()
    stream.on_drain(drained.set)
    try:
        async with aclosing(parts):
            async for part in parts:
                drained.clear()
                stream.write(part)
                if stream.buffered() > ahead:
                    await drained.wait()
                else:
                    await asyncio.sleep(0)
        stream.close()
    except BaseException:
        stream.abort()
        raise

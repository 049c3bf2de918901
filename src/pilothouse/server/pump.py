"""Writes a body whose parts are awaited to a stream, no faster than its peer takes it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pilothouse.logs import Logger
from pilothouse.server.request import Stream

log = Logger("pilothouse.server")


async def pump(stream: Stream, parts: AsyncGenerator[bytes, None], ahead: int) -> None:
    """Write parts and end the body; the next part is asked for when at most `ahead` bytes wait for the peer.

    The loop has its turn between two parts. When a part cannot be made the connection is cut, as the answer has
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
    except BaseException as error:
        stream.abort(error)
        raise


def start_pump(stream: Stream, parts: AsyncGenerator[bytes, None], ahead: int) -> None:
    """Run `pump` as a task that is cancelled when the stream ends; the stream keeps it. Errors are logged."""
    task = asyncio.get_running_loop().create_task(pump(stream, parts, ahead))
    task.add_done_callback(_log_failure)

    def cancel() -> None:
        task.cancel()

    stream.on_close(cancel)


def _log_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.exception("A body was not written to its end", err=task.exception())

"""Writes a body from an async generator to a stream, no faster than the peer reads it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pilothouse.logs import Logger
from pilothouse.server.request import Stream

log = Logger("pilothouse.server")


async def pump(stream: Stream, parts: AsyncGenerator[bytes, None], ahead: int) -> None:
    """Write all parts, then end the body.
    Waits before the next part while more than `ahead` bytes are queued.

    Other tasks of the loop run between two parts. If a part raises, the connection is cut, because the answer
    has already begun, and the error is raised again.
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


def start_pump(
    stream: Stream,
    parts: AsyncGenerator[bytes, None],
    ahead: int,
    foreseen: type[Exception] | tuple[type[Exception], ...] = (),
) -> None:
    """Run `pump` as a task that is cancelled when the stream ends and kept alive by it.

    Errors are logged, those that are `foreseen` in one line.
    """
    task = asyncio.get_running_loop().create_task(pump(stream, parts, ahead))
    task.add_done_callback(lambda done: _log_failure(done, foreseen))

    def cancel() -> None:
        task.cancel()

    stream.on_close(cancel)


def _log_failure(task: "asyncio.Task[None]", foreseen: type[Exception] | tuple[type[Exception], ...]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, foreseen):
        log.warning("A body was not written to its end", err=error)
    elif error is not None:
        log.exception("A body was not written to its end", err=error)

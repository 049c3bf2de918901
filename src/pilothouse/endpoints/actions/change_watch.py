"""A watch of changes: each is sent when the store has it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import orjson

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.objects.watch import FrameEncoder
from pilothouse.history.history import History
from pilothouse.history.kept import KeptChange
from pilothouse.logs import Logger
from pilothouse.server.request import Stream
from pilothouse.storage.interface import StorageError, StorageEvent
from pilothouse.storage.sqlite.changes import last_of, revision_of

log = Logger(__name__)

MOST_WAITING = 4 << 20
"""Bytes that a slow client may leave behind before its watch ends."""
MOST_RESUMED, MOST_BYTES = 20_000, 16 << 20
"""Changes, and bytes of their values, that are sent in one go: those that a watch goes on from."""
GATHER = 0.05
"""Seconds for which further changes are waited for, so that many are read at once."""

Show = Callable[[KeptChange], Awaitable[Object | None]]
"""The object that a client is shown of a change; None where it does not ask for it, or may not see it."""


class ChangeWatch:
    """One watch, from the changes after an id on.

    It ends after `seconds`, when the client goes, or when the store closes."""

    def __init__(
        self,
        history: History,
        show: Show,
        encoder: FrameEncoder,
        *,
        keys: tuple[str, str],
        within: str,
        after: int,
        seconds: float,
    ) -> None:
        """keys: between which those of the objects are; `within` is in all of them."""
        self._keys, self._within = keys, within
        self._history = history
        self._show = show
        self._encoder = encoder
        self._sent = after
        self._seconds = seconds
        self._more = asyncio.Event()

    def begin(self, stream: Stream) -> None:
        """Send what is there, and go on beside the request."""
        task = asyncio.get_running_loop().create_task(self._run(stream), name="changes")
        stream.on_close(lambda: _cancel(task))

    async def _run(self, stream: Stream) -> None:
        history = self._history
        try:
            watch = history.follow(self._told, lambda _: stream.close())
        except StorageError as err:
            self._fail(stream, errors.internal(str(err)))
            return
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    while await self._send(stream, last_of(history.revision)):
                        await self._more.wait()
                        await asyncio.sleep(GATHER)
                        self._more.clear()
            stream.close()
        except StorageError as err:
            log.warning("A watch of changes has ended", err=err)
            self._fail(stream, errors.internal(str(err)))
        finally:
            watch.close()

    def _told(self, events: list[StorageEvent]) -> None:
        first, end = self._keys
        if any(first <= event.kv.key < end and self._within in event.kv.key for event in events):
            self._more.set()

    async def _send(self, stream: Stream, upto: int) -> bool:
        """Send the changes up to an id; whether the watch goes on."""
        found: list[KeptChange] = []
        before, size = upto + 1, 0
        while before:
            chunk, before = await self._history.reader.chunk(
                *self._keys, within=self._within, after=self._sent, before=before
            )
            found += chunk
            size += sum(len(change.value) for change in chunk)
            if len(found) > MOST_RESUMED or size > MOST_BYTES:
                self._fail(stream, errors.Expired(f"too old resource version: {revision_of(self._sent)}"))
                return False
        for change in reversed(found):
            shown = await self._show(change)
            if shown is None:
                continue
            stream.write(self._encoder.encode("ADDED", orjson.dumps(shown), None))
            if stream.buffered() > MOST_WAITING:
                stream.abort()
                return False
        self._sent = upto
        return True

    def _fail(self, stream: Stream, err: errors.StatusError) -> None:
        """Tell what is wrong inside the stream, and end it."""
        stream.write(self._encoder.encode("ERROR", orjson.dumps(err.status()), None))
        stream.close()


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()

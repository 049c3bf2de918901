"""The sink of a watch whose objects have to be converted by waiting (a conversion webhook).

The watch cache writes events in their stored form. Here they wait, in order, until they are converted: those
that come in one turn of the loop, or while a conversion runs, make one batch. Other watches are not delayed.
What waits counts as not taken by the client,
so the watch cache holds events back or ends the watch as it does for a slow client.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

import orjson

from pilothouse import errors
from pilothouse.api.types import depth
from pilothouse.api.values.fields import Object
from pilothouse.logs import Logger
from pilothouse.offload import INLINE_WORK, Inline, Work
from pilothouse.registry.conversion import Conversion
from pilothouse.server.request import Stream
from pilothouse.storage._entry import Entry
from pilothouse.storage.watchcache import Listing

log = Logger(__name__)

BATCH = 256 * 1024
"""Stored bytes of one batch: they are decoded and encoded in one go."""

LOW = 512 * 1024
"""Bytes that wait here or for the client, up to which the watch cache is asked for more."""


class EventEncoder(Protocol):
    """The frames that the client gets."""

    def encode(self, type: str, value: bytes, entry: Entry | None) -> bytes:
        """The frame of an ERROR or a BOOKMARK, which are not converted."""

    def event(self, type: str, obj: Object) -> bytes:
        """The frame of an object in the version that is served."""


class StoredEvents:
    """Encodes for ConvertedSink: the type of an event, a newline and the stored bytes.
    All such watches share them."""

    key = "stored"

    def __init__(self, kind: str, api_version: str) -> None:
        self._head = {"kind": kind, "apiVersion": api_version}

    def encode(self, type: str, value: bytes, entry: Entry | None) -> bytes:
        """One event."""
        return b"%s\n%s" % (type.encode(), value)

    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        """A BOOKMARK event in the served version."""
        metadata: Object = {"resourceVersion": str(revision)}
        if annotations:
            metadata["annotations"] = annotations
        return self.encode("BOOKMARK", orjson.dumps({**self._head, "metadata": metadata}), None)


class SelectedObjects:
    """Tells the events of a watch that selects fields of converted objects.

    `chooses` says whether they select an object; `known` are the objects that the client has at the
    beginning. It keeps the UIDs of the objects that the client has, as an event depends on whether it had the
    object before: never more than the watch cache has objects and DELETED events that wait,
    for a deleted object's UID goes with its event.
    """

    def __init__(self, chooses: Callable[[Object], bool], known: Listing) -> None:
        self.revision = known.revision
        self._chooses = chooses
        self._seen = {orjson.loads(entry.value)["metadata"]["uid"] for entry in known.entries}

    def event(self, type: str, obj: Object) -> str:
        """The type of the event that the client gets for one of the watch cache, "" for none.

        An object that is selected no longer is shown as it is now,
        where upstream shows what was selected last.
        """
        uid = obj["metadata"]["uid"]
        before, after = uid in self._seen, type != "DELETED" and self._chooses(obj)
        if not after:
            self._seen.discard(uid)
            return "DELETED" if before else ""
        self._seen.add(uid)
        return "MODIFIED" if before else "ADDED"


class ConvertedSink:
    """Takes events as StoredEvents encodes them and writes them converted to `stream`, in the same order.

    When objects cannot be converted, an ERROR event tells why and the watch ends. `selected` leaves out what
    fields of the converted objects do not select. `work` makes what long steps of one batch run in.
    """

    def __init__(
        self,
        stream: Stream,
        conversion: Conversion,
        encoder: EventEncoder,
        selected: SelectedObjects | None = None,
        work: Callable[[], Work | Inline] = lambda: INLINE_WORK,
    ) -> None:
        self._work = work
        self._selected = selected
        self._stream = stream
        self._conversion = conversion
        self._encoder = encoder
        self._waiting: deque[bytes] = deque()
        self._size = 0  # bytes that wait, and those that are being converted
        self._task: asyncio.Task[None] | None = None
        self._ending = self._ended = False
        self._drainers: list[Callable[[], None]] = []
        stream.on_close(self._stop)
        stream.on_drain(self._drained)

    # Stream

    def write(self, data: bytes) -> None:
        """Have one event wait for its conversion."""
        if self._ended or self._ending:
            return
        self._waiting.append(data)
        self._size += len(data)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def buffered(self) -> int:
        """Bytes of events that are not converted, or not taken by the socket."""
        return self._size + self._stream.buffered()

    def close(self) -> None:
        """End the body once the waiting events were written."""
        self._ending = True
        if self._task is None:
            self._stream.close()

    def abort(self, error: BaseException | None = None) -> None:
        """Cut the connection."""
        self._stream.abort(error)

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the stream is closed."""
        self._stream.on_close(callback)

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Called when there is room again for more events."""
        self._drainers.append(callback)

    # Conversion

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = self._batch()
                await self._send(batch)
                self._size -= sum(map(len, batch))
                self._drained()
        except errors.StatusError as err:
            self._stream.write(self._encoder.encode("ERROR", orjson.dumps(err.status()), None))
            self._ending = True
        except Exception:
            log.exception("A watch ends, its events could not be converted")
            self._ending = True
        self._task = None
        if self._ending:
            self._stream.close()

    def _batch(self) -> list[bytes]:
        """The events that wait, up to the size of a batch."""
        out = [self._waiting.popleft()]
        size = len(out[0])
        while self._waiting and size + len(self._waiting[0]) <= BATCH:
            out.append(self._waiting.popleft())
            size += len(out[-1])
        return out

    async def _send(self, batch: list[bytes]) -> None:
        parted = [data.partition(b"\n") for data in batch]
        events = [(kind.decode(), value) for kind, _, value in parted]
        stored = [depth.outlined(value) for kind, value in events if kind not in ("ERROR", "BOOKMARK")]
        work = self._work()
        try:
            objects = iter(await self._conversion.presented(stored, work))
        finally:
            work.leave()
        for kind, value in events:
            if kind in ("ERROR", "BOOKMARK"):
                self._stream.write(self._encoder.encode(kind, value, None))
                continue
            obj = next(objects)
            if self._selected is not None:
                kind = self._selected.event(kind, obj)
            if kind:
                self._stream.write(self._encoder.event(kind, obj))

    def _drained(self) -> None:
        if not self._ending and self.buffered() <= LOW:
            for callback in self._drainers:
                callback()

    def _stop(self) -> None:
        """The client is gone or the body has ended: what waits is for nobody."""
        self._ended = True
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

"""Long lists in a form other than the stored one:
made slice by slice, off the loop, as the client takes them.

A Table, a list of metadata, YAML, indented JSON, protobuf and the lists of another version are all made of
objects that are decoded first. At any time one slice of a list is decoded,
however long the list and however slow its client.
"""

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

import orjson

from pilothouse.api.protobuf import writer as protobuf_writer
from pilothouse.api.values.fields import Object
from pilothouse.api.yaml import text as yaml
from pilothouse.endpoints.answers.readable import decode_stored
from pilothouse.offload import Offload, Work
from pilothouse.process.frozen import frozen
from pilothouse.registry.conversion import Conversion, converted
from pilothouse.server.pump import start_pump
from pilothouse.server.request import Response, Stream
from pilothouse.storage._entry import Entry, bytes_of

T = TypeVar("T")
Show = Callable[[Object], Any]
Parts = AsyncGenerator[bytes, None]

ABOVE = 128 * 1024
"""Stored bytes of a list from which on it is made in slices; shorter ones are made at once."""

SLICE, LONGEST = 128 * 1024, 512 * 1024
"""Stored bytes of one slice: some 5 ms of work with small objects, much less with large texts.
So slices grow."""

WORTH = 0.001
"""Seconds of work for which handing a slice to a thread is worth while; it costs some 0.3 ms."""

AHEAD = 512 * 1024
"""Bytes that may wait for the client before the next slice is made."""

HELD = 48 << 20
"""Bytes of protobuf items that all lists together keep between counting and sending them."""


@frozen
class Frame:
    """The form of a list's body: the bytes before, between and after the items, and how an item is
    written."""

    head: bytes
    between: bytes
    tail: bytes
    write: Callable[[Any], bytes]


def frame(form: str, around: Object, member: str, *, pretty: bool = False) -> Frame:
    """The frame of a list in JSON or YAML; `around` is the list without the member that holds its items."""
    if form == "yaml":
        return _yaml_frame(around, member)
    if pretty:
        head = orjson.dumps(around, option=orjson.OPT_INDENT_2)[:-2]
        return Frame(head + b',\n  "%s": [\n' % member.encode(), b",\n", b"\n  ]\n}", _indented)
    head = orjson.dumps(around)[:-1]
    return Frame(head + b',"%s":[' % member.encode(), b",", b"]}\n", orjson.dumps)


def _indented(item: Any) -> bytes:
    return b"    " + orjson.dumps(item, option=orjson.OPT_INDENT_2).replace(b"\n", b"\n    ")


def _yaml_frame(around: Object, member: str) -> Frame:
    """YAML's members come in the order of their names; an item is written as the only one of a list."""
    title = yaml.dump({member: [0]})[: -len(b"- 0\n")]
    before, after = yaml.dump({**around, member: None}).split(member.encode() + b": null\n")
    return Frame(before + title, b"", after, lambda item: yaml.dump([item]))


class ItemMessages(Protocol):
    """The protobuf messages of a list's items."""

    entries: Sequence[Entry]

    def known(self, entry: Entry) -> bytes | None:
        """The message of an item, if it is remembered."""

    def size(self, entry: Entry) -> int:
        """The bytes of an item's message, if they are remembered, else 0."""

    @property
    def make(self) -> Callable[[bytes], bytes | None]:
        """The message of a stored value, None to leave it out; called on a thread."""

    def keep(self, entry: Entry, message: bytes) -> None:
        """Remember a message."""


def takes_gzip(accept_encoding: str) -> bool:
    """Whether a client takes compressed answers (apiserver responsewriters/writers.go)."""
    return any(token.partition(";")[0].strip() == "gzip" for token in accept_encoding.split(","))


class SlicePace:
    """How many stored bytes of a list make a slice."""

    def __init__(self) -> None:
        self.size = SLICE

    def learn(self, seconds: float) -> None:
        """Make slices longer while they take little work."""
        if seconds < WORTH:
            self.size = min(2 * self.size, LONGEST)
        elif seconds > 4 * WORTH:
            self.size = max(self.size // 2, SLICE)


def slices(entries: Sequence[Entry], pace: SlicePace) -> Iterator[list[Entry]]:
    """The objects in groups of about as many stored bytes as the pace says at that time."""
    group: list[Entry] = []
    size = 0
    for entry in entries:
        group.append(entry)
        size += len(entry.value)
        if size >= pace.size:
            yield group
            group, size = [], 0
    if group:
        yield group


class Lists:
    """Answers long lists with streams."""

    def __init__(self, offload: Offload) -> None:
        self._offload = offload
        self._held = 0

    def response(
        self,
        user: str,
        content_type: str,
        entries: Sequence[Entry],
        item: Callable[[bytes], bytes | None],
        frame: Frame,
        *,
        compress: bool,
    ) -> Response:
        """The streamed list; `item` makes of a stored value what stands in the body,
        None to leave it out, off the loop."""
        return self._streamed(content_type, lambda: self._parts(user, entries, item, frame), compress)

    def protobuf(
        self,
        user: str,
        content_type: str,
        messages: ItemMessages,
        head: bytes,
        kind: tuple[str, str],
        *,
        compress: bool,
    ) -> Response:
        """The streamed list in protobuf, of API version and kind `kind`;
        `head` is the list's own metadata."""
        return self._streamed(content_type, lambda: self._messages(user, messages, head, kind), compress)

    def _streamed(self, content_type: str, begin: Callable[[], Parts], compress: bool) -> Response:
        headers = [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")] if compress else []

        def start(stream: Stream) -> None:
            parts = _compressed(begin()) if compress else begin()
            start_pump(stream, parts, AHEAD)

        return Response(200, content_type=content_type, headers=headers, start=start)

    def converted(self, content_type: str, slices: "Slices", *, compress: bool) -> Response:
        """The streamed list of objects that are converted slice by slice."""
        return self._streamed(content_type, slices.parts, compress)

    async def _parts(
        self, user: str, entries: Sequence[Entry], item: Callable[[bytes], bytes | None], frame: Frame
    ) -> Parts:
        def make(group: list[Entry]) -> list[bytes]:
            return [one for entry in group if (one := item(entry.value)) is not None]

        before, pace = frame.head, SlicePace()
        for group in slices(entries, pace):
            made = await self.off_loop(user, group, make, pace)
            if made:
                yield before + frame.between.join(made)
                before = frame.between
        yield frame.tail if before is frame.between else frame.head + frame.tail

    async def _messages(self, user: str, messages: ItemMessages, head: bytes, kind: tuple[str, str]) -> Parts:
        """The length of all comes first. So the messages whose sizes nobody knows are made,
        and those of them for which there is no room are made again."""
        kept: list[tuple[list[Entry], bytes | None]] = []
        total = len(head)
        held = 0
        pace = SlicePace()
        try:
            for group in slices(messages.entries, pace):
                sizes = [messages.size(entry) for entry in group]
                part: bytes | None = None
                if all(sizes):
                    total += sum([protobuf_writer.list_item_size(size) for size in sizes])
                    pace.learn(0.0)
                    await asyncio.sleep(0)
                else:
                    part = await self._items(user, messages, group, pace)
                    total += len(part)
                    if self._held + len(part) <= HELD:
                        self._held += len(part)
                        held += len(part)
                    else:
                        part = None
                if part is None and kept and kept[-1][1] is None:
                    kept[-1][0].extend(group)
                else:
                    kept.append((group, part))
            yield protobuf_writer.frame_head(total, *kind) + head
            kept.reverse()
            while kept:
                group, part = kept.pop()
                if part is not None:
                    self._held -= len(part)
                    held -= len(part)
                    yield part
                    continue
                for some in slices(group, pace):
                    yield await self._items(user, messages, some, pace)
            yield protobuf_writer.FRAME_TAIL
        finally:
            self._held -= held

    async def _items(self, user: str, messages: ItemMessages, group: list[Entry], pace: SlicePace) -> bytes:
        """One slice of a list's items; the messages that are remembered need no thread."""
        made = [messages.known(entry) for entry in group]
        missing = [entry for entry, message in zip(group, made, strict=True) if message is None]
        if missing:
            new = await self.off_loop(
                user, missing, lambda entries: [messages.make(e.value) for e in entries], pace
            )
            for entry, message in zip(missing, new, strict=True):
                if message is not None:
                    messages.keep(entry, message)
            fresh = iter(new)
            made = [message if message is not None else next(fresh) for message in made]
        return protobuf_writer.list_items(m for m in made if m is not None)

    async def off_loop(
        self, user: str, entries: list[Entry], make: Callable[[list[Entry]], T], pace: SlicePace | None = None
    ) -> T:
        """Make something of one slice, on a thread; it waits for room and is never told to come again."""

        def timed() -> tuple[T, float]:
            begun = time.thread_time()
            return make(entries), time.thread_time() - begun

        work = Work(self._offload, user)
        await work.enter(SLICE + bytes_of(entries), patient=True)
        try:
            made, seconds = await work.run(timed)
        finally:
            work.leave()
        if pace is not None:
            pace.learn(seconds)
        return made


class Slices:
    """A long list whose objects have to be converted by waiting: each slice in one batch.

    `show` makes of a converted object what `frame` writes.
    """

    def __init__(
        self,
        lists: Lists,
        user: str,
        entries: Sequence[Entry],
        conversion: Conversion,
        show: Show,
        frame: Frame,
    ) -> None:
        self._lists = lists
        self._user = user
        self._slices = slices(entries, SlicePace())
        self._conversion = conversion
        self._show = show
        self._frame = frame
        self._first: bytes | None = None

    async def begin(self) -> None:
        """Make the first slice; StatusError when its objects cannot be converted."""
        self._first = await self._next()

    async def parts(self) -> Parts:
        """The list's bytes, part by part."""
        frame = self._frame
        made, head = self._first, frame.head
        while made is not None:
            yield head + made
            made, head = None, frame.between  # the last slice is let go before the next one is made
            made = await self._next()
        yield frame.tail

    async def _next(self) -> bytes | None:
        """The items of the next slice, None behind the last one."""
        group = next(self._slices, None)
        if group is None:
            return None
        conversion, off_loop = self._conversion, self._lists.off_loop
        stored = await off_loop(
            self._user, group, lambda entries: conversion.completed([decode_stored(e.value) for e in entries])
        )
        assert conversion.converter is not None
        objects = await converted(conversion.converter, stored, conversion.served)
        return await off_loop(self._user, group, lambda entries: self._written(objects))

    def _written(self, objects: Sequence[Object]) -> bytes:
        frame, present, show = self._frame, self._conversion.present, self._show
        return frame.between.join([frame.write(show(present(obj))) for obj in objects])


async def _compressed(parts: Parts) -> Parts:
    """A gzip stream of the parts, level 1 as upstream; zlib leaves the interpreter to others meanwhile."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    async with aclosing(parts):
        async for part in parts:
            packed = await asyncio.to_thread(compressor.compress, part)
            if packed:
                yield packed
    yield compressor.flush()

"""Authors of writes: the bytes that a store keeps with a write, and their meaning.

    8 bytes     milliseconds since 1970, big-endian
    1 byte      the length of the audit ID, which follows
    the rest    a JSON array: user, groups, field manager, verb, subresource, addresses

The rest is the same for many writes of one user, so that history keeps it once.
"""

import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from pilothouse.registry.strategy import WriteContext

HEAD = struct.Struct(">QB")
MOST_KNOWN, LARGEST_KNOWN = 1024, 2048
"""Authors whose bytes are remembered, and the bytes of one: larger ones are made again for each write."""
LONGEST_ID = 255
UNKNOWN = orjson.dumps(("", (), "", "", "", ""))
"""The last of parts() for the write of another server."""


class Author(NamedTuple):
    """The author of a change. addresses: as in an audit event, the client's own last, "," between them."""

    user: str
    groups: tuple[str, ...]
    manager: str
    verb: str
    subresource: str
    addresses: str

    @property
    def is_known(self) -> bool:
        """Whether this server has made the write, and knows who asked for it."""
        return bool(self.verb or self.user)


Sources = Callable[[Mapping[str, str], str], list[str]]


def _peer_alone(headers: Mapping[str, str], peer: str) -> list[str]:
    return [peer]


class Authors:
    """Makes the bytes for the writes of a server (registry/store.py Store.author). `sources` tells the
    addresses that headers and a peer stand for."""

    def __init__(self, clock: Callable[[], float] = time.time, sources: Sources = _peer_alone) -> None:
        self._clock = clock
        self._sources = sources
        self._known: dict[tuple[Any, ...], bytes] = {}

    def __call__(self, context: WriteContext, manager: str) -> bytes:
        audit_id, sources = context.origin
        user = context.user
        said = (user.name, user.groups, manager, context.verb, context.subresource)
        key = (*said, sources)  # PERF: addresses are read once
        known = self._known.get(key)
        if known is None:
            forwarded, real, peer = sources
            addresses = self._sources({"x-forwarded-for": forwarded, "x-real-ip": real}, peer)
            known = orjson.dumps((*said, ",".join(addresses)))
            if len(known) + len(forwarded) + len(real) <= LARGEST_KNOWN:
                if len(self._known) >= MOST_KNOWN:
                    self._known.clear()
                self._known[key] = known
        name = audit_id.encode()[:LONGEST_ID]
        return HEAD.pack(int(self._clock() * 1000), len(name)) + name + known


def bytes_of(time_ms: int, audit_id: str, author: Any) -> bytes:
    """The bytes that a store keeps of an author whom another server has told.
    ValueError, TypeError: it is none."""
    user, groups, manager, verb, subresource, addresses = author
    name = audit_id.encode()
    texts = (user, manager, verb, subresource, addresses, *groups)
    if not all(isinstance(one, str) for one in texts) or len(name) > LONGEST_ID or not 0 <= time_ms < 1 << 62:
        raise ValueError("not the author of a change")
    known = orjson.dumps((user, groups, manager, verb, subresource, addresses))
    return HEAD.pack(time_ms, len(name)) + name + known


def time_of(data: bytes) -> int:
    """The milliseconds alone."""
    return int.from_bytes(data[:8], "big")


def author_of(data: bytes) -> Author:
    """The Author that the last of parts() says."""
    user, groups, manager, verb, subresource, addresses = orjson.loads(data)
    return Author(user, tuple(groups), manager, verb, subresource, addresses)


def subresource_of(data: bytes) -> str:
    """The subresource alone."""
    return str(orjson.loads(data)[4])

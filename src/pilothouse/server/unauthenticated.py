"""Counts connections without an authenticated request by origin, and evicts one when there are too many."""

import ipaddress
from collections.abc import Callable

TRIES = 16
"""Connections of one origin that are examined to find one whose request is not being answered."""


def origin(peer: object) -> str:
    """The origin of a connection: its IPv4 address, or its IPv6 /64 network."""
    if not isinstance(peer, tuple):
        return ""
    text = str(peer[0]).partition("%")[0]
    if ":" not in text:
        return text
    address = ipaddress.IPv6Address(text)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))


class UnauthenticatedConnection:
    """A counted connection. `end` cuts it; `busy` returns whether a request on it is being answered."""

    __slots__ = ("_all", "busy", "end", "origin", "since")

    def __init__(self, all_: "Unauthenticated", origin: str, end: Callable[[], object], since: float) -> None:
        self._all: Unauthenticated | None = all_
        self.origin = origin
        self.end = end
        self.since = since
        self.busy: Callable[[], bool] = _no

    def leave(self) -> None:
        """Stop counting the connection: it was closed, or a request on it was authenticated."""
        all_, self._all = self._all, None
        if all_ is not None:
            all_._remove(self)
            self.end, self.busy = _nothing, _no  # they refer to the connection, which refers to this


class Unauthenticated:
    """All unauthenticated connections by origin. Every operation takes constant time."""

    def __init__(self) -> None:
        self._by_origin: dict[str, dict[UnauthenticatedConnection, None]] = {}
        self._origins: dict[int, dict[str, None]] = {}  # number of connections -> origins with that number
        self.most = 0
        """How many connections the origin with most of them has."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, origin: str, end: Callable[[], object], since: float = 0.0) -> UnauthenticatedConnection:
        """Count one more connection, which was accepted at a time."""
        connection = UnauthenticatedConnection(self, origin, end, since)
        group = self._by_origin.setdefault(origin, {})
        group[connection] = None
        self._moved(origin, len(group) - 1, len(group))
        return connection

    def evict(self, before: float = float("inf")) -> bool:
        """Cut the oldest idle connection of the origin with the most;
        returns False if there is none from before a time.

        If the first TRIES connections of that origin are all being answered, one of those is cut.
        """
        if not self._count:
            return False
        group = self._by_origin[next(iter(self._origins[self.most]))]
        connection = next(iter(group))
        for _ in range(min(TRIES, len(group))):
            connection = next(iter(group))
            if not connection.busy():
                break
            del group[connection]
            group[connection] = None
        if connection.since > before:
            return False
        end = connection.end
        connection.leave()
        end()
        return True

    def _remove(self, connection: UnauthenticatedConnection) -> None:
        group = self._by_origin[connection.origin]
        del group[connection]
        self._moved(connection.origin, len(group) + 1, len(group))
        if not group:
            del self._by_origin[connection.origin]

    def _moved(self, origin: str, before: int, after: int) -> None:
        self._count += after - before
        if before:
            del self._origins[before][origin]
            if not self._origins[before]:
                del self._origins[before]
        if after:
            self._origins.setdefault(after, {})[origin] = None
        if after > self.most or self.most not in self._origins:
            self.most = after


def _no() -> bool:
    return False


def _nothing() -> None:
    """Instead of ending a connection that is no longer counted."""

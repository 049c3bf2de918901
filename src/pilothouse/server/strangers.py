"""Connections on which nobody has been authenticated yet: how many there are, and which of them makes room."""

import ipaddress
from collections.abc import Callable

LOOKS = 16
"""Connections that are looked at for one that is not being answered."""


def origin(peer: object) -> str:
    """Whose connection it is, as far as its address tells: one of IPv6 stands for its network of 64 bits."""
    if not isinstance(peer, tuple):
        return ""
    text = str(peer[0]).partition("%")[0]
    if ":" not in text:
        return text
    address = ipaddress.IPv6Address(text)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))


class Stranger:
    """A connection that has not shown yet whose it is. `end` cuts it, `busy` tells whether it is being answered."""

    __slots__ = ("_among", "busy", "end", "origin")

    def __init__(self, among: "Strangers", origin: str, end: Callable[[], object]) -> None:
        self._among: Strangers | None = among
        self.origin = origin
        self.end = end
        self.busy: Callable[[], bool] = _no

    def leave(self) -> None:
        """It has gone, or somebody was authenticated on it."""
        among, self._among = self._among, None
        if among is not None:
            among._remove(self)


class Strangers:
    """All of them, by origin. Every call takes a time that does not depend on how many there are."""

    def __init__(self) -> None:
        self._by_origin: dict[str, dict[Stranger, None]] = {}
        self._with: dict[int, dict[str, None]] = {}  # number of connections -> origins that have as many
        self._most = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, origin: str, end: Callable[[], object]) -> Stranger:
        """Count one more."""
        stranger = Stranger(self, origin, end)
        group = self._by_origin.setdefault(origin, {})
        group[stranger] = None
        self._moved(origin, len(group) - 1, len(group))
        return stranger

    def evict(self) -> bool:
        """Cut one connection of the origin that has most, the oldest that is not being answered; False without any."""
        if not self._count:
            return False
        group = self._by_origin[next(iter(self._with[self._most]))]
        stranger = next(iter(group))
        for _ in range(min(LOOKS, len(group))):
            stranger = next(iter(group))
            if not stranger.busy():
                break
            del group[stranger]
            group[stranger] = None
        stranger.leave()
        stranger.end()
        return True

    def _remove(self, stranger: Stranger) -> None:
        group = self._by_origin[stranger.origin]
        del group[stranger]
        self._moved(stranger.origin, len(group) + 1, len(group))
        if not group:
            del self._by_origin[stranger.origin]

    def _moved(self, origin: str, before: int, after: int) -> None:
        self._count += after - before
        if before:
            del self._with[before][origin]
            if not self._with[before]:
                del self._with[before]
        if after:
            self._with.setdefault(after, {})[origin] = None
        if after > self._most or self._most not in self._with:
            self._most = after


def _no() -> bool:
    return False

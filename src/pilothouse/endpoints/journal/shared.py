"""The journals of logical clusters in one that all of them share, so that an idle one takes nothing.

Each cluster sees its own requests only. One that has very many leaves less room to those of others.
"""

from collections.abc import Iterator
from typing import Any

from pilothouse.endpoints.journal._journal import Ring
from pilothouse.endpoints.journal.journal import Adding, Journal, Kept


class ClusterJournal(Journal):
    """The requests of one logical cluster. `cluster` tells it from others for ever, as its UID does."""

    def __init__(self, whole: Journal, cluster: str) -> None:
        self.server = ""
        self.ring = _TaggingRing(whole.ring, cluster)
        self.rings = whole.rings
        self._ending = f"\n{cluster}".encode()
        self._users = {}

    def __len__(self) -> int:
        return sum(1 for ring in self.rings for _ in self._numbers(ring))

    def _newest(self, ring: Ring) -> Iterator[Kept]:
        return (Kept._make(found) for number in self._numbers(ring) if (found := ring.get(number)))

    def _numbers(self, ring: Ring) -> Iterator[int]:
        """The numbers of the cluster's records in a ring, the newest first."""
        number = ring.end
        while (number := ring.before(number, self._ending)) >= 0:
            yield number


class _TaggingRing:
    """Adds to the ring of another journal, with the name of a cluster behind the texts of a request."""

    __slots__ = ("_ring", "_tag")

    def __init__(self, ring: Adding, tag: str) -> None:
        self._ring, self._tag = ring, tag

    def add(self, request: tuple[Any, ...]) -> None:
        """Keep a request, in the order of Kept."""
        request[1].append(self._tag)
        self._ring.add(request)

"""The seeds and keys that a KMS provider knows.
Without a limit, a plugin whose key changes at every look would fill the memory."""

from collections.abc import Callable
from sys import getsizeof
from typing import Generic, TypeVar

T = TypeVar("T")

LARGEST = 4 << 20
"""Bytes of the keys of one generation:
some two thousand of a plugin that says little, and more than a hundred of any."""

OVERHEAD = 1024
"""Bytes of a seed or a key with its cipher, about."""


class KnownKeys(Generic[T]):
    """Keys by their sources, in two generations:
    when the younger one is full, what was used in neither is dropped.

    `tell` is called with the number of keys when it has changed.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __contains__(self, source: bytes) -> bool:
        return source in self._young or source in self._old

    def get(self, source: bytes) -> T | None:
        """A key; None when it is not known. One that is used stays."""
        found = self._young.get(source)
        if found is None and (found := self._old.pop(source, None)) is not None:
            self.add(source, found)
        return found

    def add(self, source: bytes, key: T) -> None:
        """Remember a key."""
        if source not in self._young:
            self._size += getsizeof(source) + OVERHEAD
        self._old.pop(source, None)
        self._young[source] = key
        if self._size > LARGEST:
            self._old, self._young, self._size = self._young, {}, 0
        self._tell(len(self))

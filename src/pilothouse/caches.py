"""Caches that are bounded by bytes: those of a server share one budget; memos belong to functions.

A `Cache` belongs to a server and its `CacheBudget`, which all caches of the server share. A memo belongs to a
function whose answer depends on its text alone, so one serves the whole process; its bound is the length of a
text times the number of entries, and follows from its declaration.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from hashlib import blake2b
from sys import getsizeof
from typing import Any, TypeVar

from pilothouse.lifecycle import Background
from pilothouse.metrics.instruments import Gauge, Group, Labels

TOTAL = 64 << 20
"""Bytes of all caches of a server, when nothing else is said (--cache-memory-mb)."""
SHARE = 1 / 8
"""The share of the budget that one cache may take: a client can usually fill only one or two caches."""
LARGEST = 4096
"""Bytes of the largest entry that is kept.
Larger ones are computed each time, so that a few cannot evict many."""
LIFETIME = 600.0
"""Seconds after which an unused entry may be evicted; after twice as many it is gone."""
PERIOD = 5.0
"""Seconds between two sweeps for unused entries."""
ENTRY = 104
"""Bytes that a dict takes for an entry: hash, key, value and index, its free slots included."""
FEW = 16
"""Items, or characters, up to which a part of a key is weighed."""
LONG = 256
"""Characters above which `short` replaces a text by its digest."""
MEMO_ENTRY = 256
"""Bytes that an entry of a memo takes beside its text: a place in the table and a small value."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Answer = TypeVar("Answer")


def weight(value: Any) -> int:
    """The bytes of a value made of texts, numbers, tuples, lists, dicts and objects with slots.

    What several values share is counted for each of them.
    """
    kind, size = type(value), getsizeof(value)
    if kind is str or kind is bytes:
        return size
    if kind is tuple or kind is list or kind is frozenset:
        return size + sum(map(weight, value))
    if kind is dict:
        return size + sum(map(weight, value)) + sum(map(weight, value.values()))
    return size + sum([weight(getattr(value, name)) for name in getattr(kind, "__slots__", ())])


def short(text: str) -> str | bytes:
    """A text as part of a key: itself, or its digest when it is long."""
    return (
        text if len(text) <= LONG else blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()
    )


class CacheBudget(Group, Background):
    """The bytes that all caches of one server may take together.

    When they take more, the largest cache evicts its older generation.
    The budget is also the group of their metrics.
    """

    def __init__(self, total: int = TOTAL, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.clock = clock
        self.caches: list[Cache[Any, Any]] = []
        self._room = total
        """Bytes that may be put until `used` has to be asked; there may be room for more."""
        self._timer: asyncio.TimerHandle | None = None
        labels = ("cache",)
        self._bytes = Gauge(
            "pilothouse_cache_bytes", "[ALPHA] Bytes that a cache takes, at most.", labels, self._sizes
        )
        self._entries = Gauge("pilothouse_cache_entries", "[ALPHA] Entries of a cache.", labels, self._counts)

    @property
    def used(self) -> int:
        """The bytes that the caches take now."""
        total = 0
        for cache in self.caches:
            total += cache.young + cache.old
        return total

    def take(self, size: int) -> None:
        """Note that a cache keeps so many bytes more, and evict until all caches fit the budget."""
        self._room -= size
        if self._room < 0:  # PERF: what was evicted since is found out when the room has been used up
            self._shrink(self.total)
            self._room = self.total - self.used

    def halve(self) -> None:
        """Evict until at most half of what is kept now is left, for memory is short."""
        self._shrink(self.used // 2)

    def _shrink(self, most: int) -> None:
        """Evict the older generation of the largest cache, again and again, until `most` bytes are left."""
        while self.used > most:
            max(self.caches, key=lambda cache: cache.young + cache.old).age()

    def sweep(self) -> None:
        """Evict the entries that were not used during their lifetime."""
        now = self.clock()
        for cache in self.caches:
            cache.sweep(now)

    def start(self) -> None:
        """Sweep every `PERIOD` seconds, on the running loop."""
        self._timer = asyncio.get_running_loop().call_later(PERIOD, self._tick)

    async def close(self) -> None:
        """Stop sweeping."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self.sweep()
        self.start()

    def _sizes(self) -> dict[Labels, float]:
        """The bytes of the caches and of the memos, by name."""
        return _sums(
            [*((c.name, c.young + c.old) for c in self.caches), *((m.name, m.bytes()) for m in MEMOS)]
        )

    def _counts(self) -> dict[Labels, float]:
        """The entries of the caches and of the memos, by name."""
        return _sums([*((c.name, c.entries()) for c in self.caches), *((m.name, m.count()) for m in MEMOS)])


def _sums(values: Iterable[tuple[str, int]]) -> dict[Labels, float]:
    out: dict[Labels, float] = {}
    for name, value in values:
        out[name,] = out.get((name,), 0) + value
    return out


class Cache(dict[K, V | None]):
    """A cache of two generations: `cache[key]` is the value, or None; `put` keeps one.

    The dict is the young generation. When it has half of the bytes, it becomes the old one, and what was old
    and nobody has asked for since goes. `weigh` tells the bytes of an entry, the same ones each time;
    `each` are those of any entry, where all are alike.

    PERF: a hit is the look-up of a dict and runs no Python; only a miss comes to `__missing__`.
    """

    __slots__ = (
        "_aged",
        "_budget",
        "_each",
        "_largest",
        "_lifetime",
        "_limit",
        "_older",
        "_weigh",
        "name",
        "old",
        "young",
    )

    def __init__(
        self,
        name: str,
        budget: CacheBudget,
        *,
        share: float = SHARE,
        largest: int = LARGEST,
        lifetime: float = LIFETIME,
        weigh: Callable[[K, V], int] = lambda key, value: weight(key) + weight(value),
        each: int = 0,
    ) -> None:
        super().__init__()
        self.name = name
        self.young = self.old = 0
        """Bytes of the young and of the old generation."""
        self._older: dict[K, V | None] = {}
        self._budget, self._largest, self._lifetime = budget, largest, lifetime
        self._weigh, self._each = weigh, each
        self._limit = int(budget.total * share)
        self._aged = self._budget.clock()
        budget.caches.append(self)

    def __missing__(self, key: K) -> V | None:
        value = self._older.pop(key, None)
        if value is not None:
            size = self._size(key, value)
            self.old -= size
            self._add(key, value, size)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value, unless it is too large."""
        if key in self or key in self._older:
            self.drop(key)
        size = self._size(key, value)
        if size <= ENTRY + self._largest:
            self._add(key, value, size)
            self._budget.take(size)

    def put_all(self, values: Mapping[K, V]) -> None:
        """Keep several values, without those that are too large."""
        taken, most = 0, ENTRY + self._largest
        for key, value in values.items():
            if key in self or key in self._older:
                self.drop(key)
            size = self._size(key, value)
            if size <= most:
                self._add(key, value, size)
                taken += size
        self._budget.take(taken)

    def _size(self, key: K, value: V) -> int:
        return ENTRY + (self._each or self._weigh(key, value))

    def _add(self, key: K, value: V, size: int) -> None:
        self[key] = value
        self.young += size
        if self.young > self._limit >> 1:
            self.age()

    def drop(self, key: K) -> None:
        """Remove one entry, if it is there."""
        value = self.pop(key, None)
        if value is not None:
            self.young -= self._size(key, value)
        elif self._older and (value := self._older.pop(key, None)) is not None:
            self.old -= self._size(key, value)

    def age(self) -> None:
        """Evict the old generation; the young one becomes the old one."""
        self._older, self.old, self.young = dict(self), self.young, 0
        super().clear()
        self._aged = self._budget.clock()

    def sweep(self, now: float) -> None:
        """Age once in a lifetime."""
        if now - self._aged >= self._lifetime and (self or self._older):
            self.age()

    def clear(self) -> None:
        """Remove all entries."""
        super().clear()
        self._older = {}
        self.young = self.old = 0

    def close(self) -> None:
        """Remove all entries, and take no part in the budget any more."""
        self.clear()
        self._budget.caches = [cache for cache in self._budget.caches if cache is not self]

    def entries(self) -> int:
        """How many entries there are in both generations."""
        return len(self) + len(self._older)


class Memo:
    """How much a memo keeps: at most `most` entries, each of a text no longer than `longest`."""

    def __init__(self, name: str, longest: int, most: int, count: Callable[[], int]) -> None:
        self.name, self.longest, self.most, self.count = name, longest, most, count
        MEMOS.append(self)

    def bytes(self) -> int:
        """The most bytes that its present entries can take."""
        return self.count() * (self.longest + MEMO_ENTRY)


MEMOS: list[Memo] = []
"""All memos of the process; the metrics add up those of one name."""


class _Answers(dict[str, Answer]):
    """The answers of a function of a text; when there are too many, all are forgotten.

    PERF: a known answer is the look-up of a dict and runs no Python.
    """

    __slots__ = ("_function", "_longest", "_most")

    def __init__(self, function: Callable[[str], Answer], longest: int, most: int) -> None:
        super().__init__()
        self._function, self._longest, self._most = function, longest, most

    def __missing__(self, text: str) -> Answer:
        answer = self._function(text)
        if len(text) <= self._longest:
            if len(self) >= self._most:
                self.clear()
            self[text] = answer
        return answer


def memo(
    name: str, longest: int = 128, most: int = 1024
) -> Callable[[Callable[[str], Answer]], Callable[[str], Answer]]:
    """Remember the answers of a function for up to `most` texts of at most `longest` characters."""

    def decorate(function: Callable[[str], Answer]) -> Callable[[str], Answer]:
        known = _Answers(function, longest, most)
        Memo(name, longest, most, known.__len__)
        return known.__getitem__

    return decorate


def _is_light(value: Any) -> bool:
    """Whether a part of a key takes few bytes; a part with many items is refused without weighing it."""
    return (not hasattr(value, "__len__") or len(value) <= FEW) and weight(value) <= LARGEST


class KnownTexts(set[Any]):
    """Texts that have passed a validation rule; when there are too many, all are forgotten."""

    def __init__(self, name: str, longest: int = 128, most: int = 1024) -> None:
        super().__init__()
        self._longest, self._most = longest, most
        Memo(name, longest, most, self.__len__)

    def keep(self, text: str, *context: Any) -> None:
        """Remember a text that passed, together with the context that the rule depends on;
        long ones are not kept."""
        if len(text) <= self._longest and all(map(_is_light, context)):
            if len(self) >= self._most:
                self.clear()
            self.add((text, *context) if context else text)

"""Keeps states of all objects, and puts them back while the server runs.

A restored state is written like any other change: objects have their UIDs again, and resourceVersions go
forward. So watches see all that changes, caches and allocators follow, and nobody has to list anew.
"""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from pilothouse import errors
from pilothouse.registry.store import Store
from pilothouse.storage.interface import KeyValue, Op
from pilothouse.storage.keys import ROOT

MOST = 100
"""States that are kept at once."""
MOST_BYTES = 256 << 20
"""Bytes of all states that are kept, at most. An object that several have is counted once."""
ENTRY = 100
"""Bytes of memory that an object takes in each state beside its value."""
TOGETHER = 1000
"""Writes of one transaction."""
PASSES = 3
"""How often a state is compared with what there is: a controller may have written meanwhile."""

State = Mapping[str, KeyValue]
"""Keys, and what they hold."""


class Checkpoints:
    """The states that are kept, by their names. `time` tells the Unix time, and `settled` waits until the
    controllers of the server have nothing to do."""

    def __init__(
        self,
        store: Store,
        time: Callable[[], float],
        settled: Callable[[], Awaitable[None]],
        most: int = MOST,
        together: int = TOGETHER,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._together = together
        self._store = store
        self._time = time
        self._settled = settled
        self._states: dict[str, State] = {}
        self._holders: Counter[tuple[str, int]] = Counter()
        """How many states have an object, by its key and revision."""
        self._bytes = 0
        self._numbers = itertools.count(1)
        self.restored: list[Callable[[Sequence[str]], None]] = []
        """Called with the keys that were written when a state was put back."""

    async def take(self) -> tuple[str, int]:
        """Keep the state as it is once nothing moves: its name, and the number of its objects."""
        if len(self._states) >= self._most:
            raise errors.BadRequest(f"{self._most} checkpoints are kept, delete some first")
        await self._settled()
        state = await self.current()
        added = len(state) * ENTRY + sum(
            len(kv.value) for kv in state.values() if not self._holders[kv.key, kv.mod]
        )
        if self._bytes + added > self._most_bytes:
            raise errors.BadRequest(
                f"checkpoints may take {self._most_bytes} bytes, {self._bytes} are taken and this one needs"
                f" {added}: delete some first"
            )
        name = str(next(self._numbers))
        self._states[name] = state
        self._bytes += added
        self._holders.update((kv.key, kv.mod) for kv in state.values())
        return name, len(state)

    async def current(self) -> State:
        """The state as it is now."""
        page = await self._store.storage.range(ROOT, counted=False)
        return {kv.key: kv for kv in page.items}

    def clear(self) -> None:
        """Keep no state any more."""
        self._states.clear()
        self._holders.clear()
        self._bytes = 0

    def names(self) -> list[str]:
        """The names of the states that are kept."""
        return list(self._states)

    def drop(self, name: str) -> None:
        """Keep a state no more; NotFound when there is none."""
        state = self._find(name)
        del self._states[name]
        self._bytes -= len(state) * ENTRY
        for kv in state.values():
            place = kv.key, kv.mod
            self._holders[place] -= 1
            if not self._holders[place]:
                del self._holders[place]
                self._bytes -= len(kv.value)

    async def restore(self, name: str) -> int:
        """Put a state back: the number of objects that were written or deleted; NotFound."""
        return await self.put(self._find(name))

    async def put(self, state: State) -> int:
        """Write what makes the objects those of a state; the number of writes."""
        written = 0
        for _ in range(PASSES):
            await self._settled()
            ops = _changes(await self.current(), state, self._time())
            if not ops:
                break
            written += len(ops)
            for at in range(0, len(ops), self._together):
                await self._write(ops[at : at + self._together])
            for listener in self.restored:
                listener([op.key for op in ops])
        return written

    async def _write(self, ops: list[Op]) -> None:
        storage = self._store.storage
        storage = getattr(storage, "inner", storage)  # values that are encrypted stay as they are
        await self._store.cacher.wait_for(await storage.txn(ops))

    def _find(self, name: str) -> State:
        found = self._states.get(name)
        if found is None:
            raise errors.not_found("", "checkpoints", name)
        return found


def _changes(now: State, then: State, time: float) -> list[Op]:
    """The writes that make a state of what there is. What expires does so when it was to expire."""
    ops = [Op(key, None) for key in now if key not in then]
    for key, kv in then.items():
        known = now.get(key)
        if known is None or (known.mod != kv.mod and known.value != kv.value):
            ttl = max(int(kv.lease / 1000 - time), 1) if kv.lease else 0
            ops.append(Op(key, kv.value, None, ttl))
    return ops

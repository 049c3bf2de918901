"""Allocates node ports: a bitmap in the store, as kube-apiserver's, changed by compare-and-set.

Any number of servers of either kind can share a range (registry/core/service/portallocator,
allocator/storage).
"""

import asyncio
import base64
import random
import threading
from collections.abc import Callable, Collection, Iterable

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.registry.allocator_metrics import DYNAMIC, STATIC, PortMetrics
from pilothouse.registry.allocators import AllocationError
from pilothouse.registry.readers import Readers
from pilothouse.storage._entry import Entry
from pilothouse.storage.interface import KeyExists, RevisionConflict, Storage
from pilothouse.storage.keys import ROOT
from pilothouse.storage.watchcache import Cacher

PREFIX = f"{ROOT}ranges/"
KEY = f"{PREFIX}servicenodeports"
TRIES = 32
MISMATCH = "the provided port range does not match the current port range"
TAKEN = "provided port is already allocated"


class NodePortAllocator:
    """The ports of --service-node-port-range. A port is chosen in memory and then claimed in the store.

    Bit n of the bitmap stands for the port `first` + n.
    """

    def __init__(
        self, storage: Storage, cacher: Cacher, readers: Readers, first: int = 30000, last: int = 32767
    ) -> None:
        self.first, self.last = first, last
        size = last - first + 1
        self._mask = (1 << size) - 1
        self._static = min(max(16, size // 32), 128) if size > 16 else 0
        """Ports in the static band at the start of the range,
        preferred for ports that users choose (KEP-3668)."""
        self._storage = storage
        self._cacher = cacher
        self._readers = readers
        self.metrics = PortMetrics(self.usage)
        self._cache = cacher.resource(PREFIX, lambda obj: {})
        self._bits = 0
        self._revision = 0
        self._pending: set[int] = set()
        self._pending_bits = 0
        """The bitmap of `_pending`, which every allocation reads."""
        self._suspects: set[int] = set()
        self._lock = asyncio.Lock()
        self._choosing = threading.Lock()  # large services are prepared on threads

    @property
    def range(self) -> str:
        """The range as it is stored and shown, for example `30000-32767`."""
        return f"{self.first}-{self.last}"

    def __contains__(self, port: int) -> bool:
        """Whether a port is in the range."""
        return self.first <= port <= self.last

    def allocate(self, port: int | None = None, *, dry_run: bool = False) -> int:
        """Choose the given port, or any free one; raises AllocationError.

        Like upstream's, a dry run with a given port does not check whether the port is in the range.
        """
        with self._choosing:
            if dry_run:
                return self._allocate(port, dry_run)
            with self.metrics.allocating(DYNAMIC if port is None else STATIC):
                return self._allocate(port, dry_run)

    def _allocate(self, port: int | None, dry_run: bool) -> int:
        taken = self._known() | self._pending_bits
        if port is None:
            port = self._pick(taken)
            if port is None:
                raise AllocationError("range is full")
        elif port not in self and not dry_run:
            text = "provided port is not in the valid range. The range of valid ports is"
            raise AllocationError(f"{text} {self.range}")
        elif port in self._pending or taken & self.bitmap([port]):
            raise AllocationError(TAKEN)
        self._pending.add(port)
        self._pending_bits |= self.bitmap([port])
        return port

    def usage(self) -> tuple[int, int]:
        """How many ports are taken, and how many are free."""
        taken = (self._known() | self._pending_bits).bit_count()
        return taken, self.last - self.first + 1 - taken

    def release(self, port: int) -> None:
        """Release a port that was chosen but not claimed; does nothing for other ports."""
        self._forget_pending([port])

    def sweep(self) -> None:
        """Release ports that were pending at the previous sweep too: their writes were cancelled."""
        self._forget_pending(self._suspects)
        with self._choosing:
            self._suspects = set(self._pending)

    def _forget_pending(self, ports: Collection[int]) -> None:
        """Remove ports from the pending ones."""
        with self._choosing:
            self._pending.difference_update(ports)
            self._pending_bits &= ~self.bitmap(ports)

    async def claim(self, ports: Collection[int]) -> set[int]:
        """Mark chosen ports in the store, all or none;
        returns those that others have claimed in the meantime.

        Raises StorageError, and AllocationError if the store's bitmap is for another range.
        """
        wanted = self.bitmap(ports)
        lost = 0

        def edit(bits: int) -> int:
            nonlocal lost
            lost = bits & wanted
            return bits if lost else bits | wanted

        await self.change(edit)
        if not lost:
            self._forget_pending(ports)
        return self.ports(lost)

    async def give_back(self, ports: Collection[int]) -> None:
        """Free ports in the store; ports that are free already or out of range are ignored."""
        freed = self.bitmap(ports)
        await self.change(lambda bits: bits & ~freed)

    async def change(self, edit: Callable[[int], int], *, rebuild: bool = False) -> None:
        """Write the bitmap that `edit` returns for the stored one;
        calls `edit` again after a conflicting write.

        A missing bitmap is computed from the services. With `rebuild`, a bitmap for another range is
        converted, else AllocationError is raised.
        """
        async with self._lock:
            entry = self._cache.get(KEY)
            while True:
                if entry is None:
                    before, bits = None, self.bitmap(self._used())
                else:
                    before, bits = decode(entry.value)
                    if before != self.range:
                        if not rebuild:
                            raise AllocationError(MISMATCH)
                        bits = self._shifted(before, bits)
                    self._learn(bits, entry.rev)
                new = edit(bits)
                if before == self.range and new == bits:
                    return
                try:
                    self._learn(new, await self._write(encode(self.range, new), entry))
                except (KeyExists, RevisionConflict) as err:
                    entry = None if err.current is None else self._cacher.entry(err.current)
                else:
                    return

    def bitmap(self, ports: Iterable[int]) -> int:
        """The bitmap of ports; those outside the range are ignored."""
        out = 0
        for port in ports:
            if port in self:
                out |= 1 << port - self.first
        return out

    def ports(self, bits: int) -> set[int]:
        """The ports in a bitmap."""
        return {self.first + n for n in range(bits.bit_length()) if bits >> n & 1}

    async def _write(self, value: bytes, entry: Entry | None) -> int:
        if entry is None:
            return (await self._storage.create(KEY, value)).mod
        return (await self._storage.update(KEY, value, entry.rev)).mod

    def _known(self) -> int:
        """The latest bitmap that this server knows."""
        entry = self._cache.get(KEY)
        if entry is None:
            return self.bitmap(self._used())
        if entry.rev > self._revision:
            spec, bits = decode(entry.value)
            self._learn(bits if spec == self.range else self._shifted(spec, bits), entry.rev)
        return self._bits

    def _learn(self, bits: int, revision: int) -> None:
        if revision > self._revision:
            self._bits, self._revision = bits, revision

    def _shifted(self, spec: str, bits: int) -> int:
        """Convert the bitmap of another range into one of this range."""
        first = spec.partition("-")[0]
        offset = (int(first) if first.isdigit() else self.first) - self.first
        return (bits << offset if offset > 0 else bits >> -offset) & self._mask

    def _used(self) -> set[int]:
        return {port for service in self._readers.list("services") for port in ports_of(service)}

    def _pick(self, taken: int) -> int | None:
        """A random free port, from the static band only if all others are taken;
        None if the range is full."""
        size = self.last - self.first + 1
        for low, high in ((self._static, size), (0, self._static)):
            for _ in range(TRIES if low < high else 0):
                offset = random.randrange(low, high)
                if not taken >> offset & 1:
                    return self.first + offset
            free = [n for n in range(low, high) if not taken >> n & 1]
            if free:
                return self.first + random.choice(free)
        return None


def ports_of(service: Object) -> set[int]:
    """The node ports of a service, including its health check port."""
    spec = service.get("spec") or {}
    ports = {port.get("nodePort", 0) for port in spec.get("ports") or ()}
    return (ports | {spec.get("healthCheckNodePort", 0)}) - {0, None}


def encode(spec: str, bits: int) -> bytes:
    """The stored form: a core/v1 RangeAllocation whose data is the bitmap as a big-endian number."""
    data = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
    obj: Object = {"kind": "RangeAllocation", "apiVersion": "v1", "metadata": {}, "range": spec}
    return orjson.dumps({**obj, "data": base64.b64encode(data).decode()})


def decode(value: bytes) -> tuple[str, int]:
    """Range and bitmap of a stored RangeAllocation."""
    obj = orjson.loads(value)
    return obj.get("range") or "", int.from_bytes(base64.b64decode(obj.get("data") or ""), "big")

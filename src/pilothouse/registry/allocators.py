"""Allocates cluster IPs from memory; IPAddress objects prevent two servers from allocating the same IP.

`WriteContext.undo` releases the IPs of a write that failed; see registry/groups/service_objects.py.
"""

import ipaddress
import random
import threading
from collections import Counter
from collections.abc import Sequence

from pilothouse.api.values import addresses
from pilothouse.api.values.fields import Object
from pilothouse.api.values.networks import Network, networks
from pilothouse.registry.allocator_metrics import DYNAMIC, STATIC, AddressMetrics
from pilothouse.registry.readers import Readers

STATIC_MIN, STATIC_MAX, STATIC_STEP = 16, 256, 16
"""The static band at the start of a range, preferred for IPs that users choose:
1/16 of it, 16 to 256 (KEP-3070)."""
TRIES = 32


class AllocationError(ValueError):
    """An IP address or port cannot be allocated; the message is upstream's."""


class _Pool:
    """The addresses in use in one network: of services, of IPAddress objects, and of writes in progress."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.first, self.last = int(network.network_address) + 1, int(network.broadcast_address)
        if network.version == 4:
            self.last -= 1
        reserved = min(max(STATIC_MIN, network.num_addresses // STATIC_STEP), STATIC_MAX)
        if network.num_addresses <= STATIC_MIN:
            reserved = 0
        self.preferred = min(self.first + reserved, self.last + 1)
        self.of_services: Counter[int] = Counter()
        self.of_objects: set[int] = set()
        self.pending: set[int] = set()
        self.suspects: set[int] = set()

    def taken(self, number: int) -> bool:
        return number in self.of_services or number in self.pending

    def pick(self) -> int | None:
        """A free address, from the static band only if all others are taken; None if the range is full."""
        for low, high in ((self.preferred, self.last), (self.first, self.preferred - 1)):
            number = self._free(low, high)
            if number is not None:
                return number
        return None

    def _free(self, low: int, high: int) -> int | None:
        if low > high:
            return None
        for _ in range(TRIES):
            number = random.randint(low, high)
            if not self._in_use(number):
                return number
        size = high - low + 1
        start = random.randrange(size)
        most = len(self.of_services) + len(self.of_objects) + len(self.pending) + 1
        tried = (low + (start + i) % size for i in range(min(size, most)))
        return next((n for n in tried if not self._in_use(n)), None)

    def _in_use(self, number: int) -> bool:
        return number in self.of_objects or self.taken(number)


class ClusterIPAllocator:
    """The cluster IPs of one or two ranges, one per IP family; the first range's family is the default."""

    def __init__(self, cidrs: Sequence[str]) -> None:
        found = networks(",".join(cidrs))
        self._pools = {f"IPv{network.version}": _Pool(network) for network in found}
        self.metrics = AddressMetrics(self.usage)
        self._choosing = threading.Lock()  # large services are prepared on threads

    @property
    def families(self) -> tuple[str, ...]:
        """The configured IP families, the default one first."""
        return tuple(self._pools)

    def __contains__(self, ip: str) -> bool:
        """Whether an IP address is in one of the ranges."""
        found = self._find(ip)
        return found is not None and found[0].first <= found[1] <= found[0].last

    def follow(self, readers: Readers) -> None:
        """Track the addresses of all services and IPAddress objects,
        now and at every change by any server."""
        readers.subscribe("services", self._service_changed)
        readers.subscribe("ipaddresses.networking.k8s.io", self._object_changed)

    def allocate(self, ip: str | None = None, family: str = "", *, dry_run: bool = False) -> str:
        """Allocate the given address, or any free one of `family`; raises AllocationError.

        Like upstream's, a dry run chooses no free address but names the range, and it does not check whether
        a given one is free.
        """
        with self._choosing:
            if dry_run:
                return self._allocate(ip, family, dry_run)
            with self.metrics.allocating(self._range(ip, family), DYNAMIC if ip is None else STATIC):
                return self._allocate(ip, family, dry_run)

    def _range(self, ip: str | None, family: str) -> str:
        """The range, as 10.96.0.0/12, in which an address is allocated; "" when there is none."""
        if ip is None:
            return str(self._pools[family or self.families[0]].network)
        found = self._find(ip)
        return "" if found is None else str(found[0].network)

    def _allocate(self, ip: str | None, family: str, dry_run: bool) -> str:
        if ip is None:
            pool = self._pools[family or self.families[0]]
            if dry_run:
                return str(pool.network.network_address)
            number = pool.pick()
            if number is None:
                raise AllocationError("range is full")
            pool.pending.add(number)
            return str(ipaddress.ip_address(number.to_bytes(pool.network.max_prefixlen // 8, "big")))
        address, found = addresses.parse_ip(ip), self._find(ip)
        if address is None or found is None or (address not in found[0].network and not dry_run):
            raise AllocationError("the provided network does not match the current range")
        pool, number = found
        if not pool.first <= number <= pool.last:
            text = (
                f"the provided IP ({address}) is not in the valid range. The range of valid IPs is"
                f" {pool.network}"
            )
            raise AllocationError(text)
        if not dry_run:
            if pool.taken(number):
                raise AllocationError("provided IP is already allocated")
            pool.pending.add(number)
        return ip

    def release(self, ip: str) -> None:
        """Release an address whose write failed; does nothing if no write of it is in progress."""
        found = self._find(ip)
        if found is not None:
            found[0].pending.discard(found[1])

    def usage(self) -> dict[str, tuple[int, int]]:
        """How many addresses of each range (as `10.96.0.0/12`) are taken, and how many are free."""
        out = {}
        for pool in self._pools.values():
            taken = len(pool.pending.union(pool.of_services))
            out[str(pool.network)] = (taken, pool.last - pool.first + 1 - taken)
        return out

    def sweep(self) -> None:
        """Release addresses that were pending at the previous sweep too: their writes were cancelled."""
        with self._choosing:
            for pool in self._pools.values():
                pool.pending -= pool.suspects
                pool.suspects = set(pool.pending)

    def _find(self, ip: str) -> tuple[_Pool, int] | None:
        address = addresses.parse_ip(ip)
        pool = self._pools.get(f"IPv{address.version}") if address is not None else None
        return (pool, int(address)) if pool is not None and address is not None else None

    def _service_changed(self, key: str, new: Object | None, old: Object | None) -> None:
        for service, step in ((old, -1), (new, 1)):
            for ip in ((service or {}).get("spec") or {}).get("clusterIPs") or ():
                found = self._find(ip)
                if found is not None:
                    pool, number = found
                    pool.of_services[number] += step
                    if not pool.of_services[number]:
                        del pool.of_services[number]
                    pool.pending.discard(number)

    def _object_changed(self, key: str, new: Object | None, old: Object | None) -> None:
        found = self._find((new or old or {})["metadata"]["name"])
        if found is not None and new is not None:
            found[0].of_objects.add(found[1])
        elif found is not None:
            found[0].of_objects.discard(found[1])

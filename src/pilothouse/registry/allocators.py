"""Cluster IPs and node ports: which are taken, in memory, rebuilt from the services at start.

Both may be used from any thread. What a failed write took is given back through `WriteContext.undo`.
"""

import ipaddress
import random
import threading
from collections.abc import Iterable, Sequence

from pilothouse.api import names
from pilothouse.api.fields import Object

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

STATIC_MIN, STATIC_MAX, STATIC_STEP = 16, 256, 16
"""The lower part of a range is left to users to choose from: a sixteenth of it, 16 to 256 (KEP-3070)."""
TRIES = 32


class AllocationError(ValueError):
    """Why an address or port could not be had, in upstream's words."""


class _Pool:
    """Numbers from `first` to `last`; without a wish they come from above `reserved`, while there are any."""

    def __init__(self, first: int, last: int, reserved: int) -> None:
        self.first, self.last = first, last
        self.preferred = min(first + reserved, last + 1)
        self.taken: set[int] = set()
        self.suspects: set[int] = set()
        self.lock = threading.Lock()

    def take(self, number: int) -> bool:
        with self.lock:
            if number in self.taken:
                return False
            self.taken.add(number)
            return True

    def take_any(self) -> int | None:
        """A free number, None when there is none."""
        with self.lock:
            for low, high in ((self.preferred, self.last), (self.first, self.preferred - 1)):
                number = self._free(low, high)
                if number is not None:
                    self.taken.add(number)
                    return number
        return None

    def _free(self, low: int, high: int) -> int | None:
        if low > high:
            return None
        for _ in range(TRIES):
            number = random.randint(low, high)
            if number not in self.taken:
                return number
        size = high - low + 1
        start = random.randrange(size)
        tried = (low + (start + i) % size for i in range(min(size, len(self.taken) + 1)))
        return next((n for n in tried if n not in self.taken), None)

    def give_back(self, number: int) -> None:
        with self.lock:
            self.taken.discard(number)

    def repair(self, used: set[int]) -> None:
        """Take what is used; free what nobody used at this look and at the one before (a write may be under way)."""
        with self.lock:
            self.taken |= used
            idle = self.taken - used
            self.taken -= idle & self.suspects
            self.suspects = idle - self.suspects


class Addresses:
    """The cluster IPs of one or two ranges, one for each family; the first range's family is the default."""

    def __init__(self, cidrs: Sequence[str]) -> None:
        self._pools: dict[str, tuple[Network, _Pool]] = {}
        for cidr in cidrs:
            network = ipaddress.ip_network(cidr, strict=False)
            first, last = int(network.network_address) + 1, int(network.broadcast_address)
            if network.version == 4:
                last -= 1
            reserved = min(max(STATIC_MIN, network.num_addresses // STATIC_STEP), STATIC_MAX)
            if network.num_addresses <= STATIC_MIN:
                reserved = 0
            self._pools[f"IPv{network.version}"] = (network, _Pool(first, last, reserved))

    @property
    def families(self) -> tuple[str, ...]:
        """The configured families, the default one first."""
        return tuple(self._pools)

    def allocate(self, ip: str | None = None, family: str = "", *, dry_run: bool = False) -> str:
        """Take an address: the one asked for, else any of `family`; AllocationError when it cannot be had.

        A dry run that names its address does not ask whether it is free, as upstream's does not.
        """
        if ip is None:
            network, pool = self._pools[family or self.families[0]]
            number = pool.take_any()
            if number is None:
                raise AllocationError("range is full")
            return str(ipaddress.ip_address(number.to_bytes(network.max_prefixlen // 8, "big")))
        address = names.parse_ip(ip)
        found = self._pools.get(f"IPv{address.version}") if address is not None else None
        if address is None or found is None or address not in found[0]:
            raise AllocationError("the provided network does not match the current range")
        network, pool = found
        if not pool.first <= int(address) <= pool.last:
            text = (
                f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {network}"
            )
            raise AllocationError(text)
        if not dry_run and not pool.take(int(address)):
            raise AllocationError("provided IP is already allocated")
        return ip

    def release(self, ip: str) -> None:
        """Give an address back; one that is of no range or free already is let pass."""
        address = names.parse_ip(ip)
        if address is not None and f"IPv{address.version}" in self._pools:
            self._pools[f"IPv{address.version}"][1].give_back(int(address))

    def take(self, services: Iterable[Object]) -> None:
        """Note what services have that another server gave out."""
        for family, numbers in self._used(services).items():
            for number in numbers:
                self._pools[family][1].take(number)

    def repair(self, services: Iterable[Object]) -> None:
        """Take what stored services have; free what no service has had for two looks in a row."""
        for family, numbers in self._used(services).items():
            self._pools[family][1].repair(numbers)

    def _used(self, services: Iterable[Object]) -> dict[str, set[int]]:
        used: dict[str, set[int]] = {family: set() for family in self._pools}
        for service in services:
            for ip in (service.get("spec") or {}).get("clusterIPs") or ():
                address = names.parse_ip(ip)
                if address is not None and f"IPv{address.version}" in used:
                    used[f"IPv{address.version}"].add(int(address))
        return used


class NodePorts:
    """The node ports of `--service-node-port-range`."""

    def __init__(self, first: int = 30000, last: int = 32767) -> None:
        size = last - first + 1
        reserved = min(max(STATIC_MIN, size // 32), 128) if size > STATIC_MIN else 0
        self._pool = _Pool(first, last, reserved)

    def allocate(self, port: int | None = None, *, dry_run: bool = False) -> int:
        """Take a port: the one asked for, else any; AllocationError when it cannot be had.

        A dry run that names its port does not ask whether it is in the range, as upstream's does not.
        """
        pool = self._pool
        if port is None:
            found = pool.take_any()
            if found is None:
                raise AllocationError("range is full")
            return found
        if not dry_run and not pool.first <= port <= pool.last:
            text = "provided port is not in the valid range. The range of valid ports is"
            raise AllocationError(f"{text} {pool.first}-{pool.last}")
        if not pool.take(port):
            raise AllocationError("provided port is already allocated")
        return port

    def release(self, port: int) -> None:
        """Give a port back; one that is free already is let pass."""
        self._pool.give_back(port)

    def take(self, services: Iterable[Object]) -> None:
        """Note what services have that another server gave out."""
        for port in self._used(services):
            self._pool.take(port)

    def repair(self, services: Iterable[Object]) -> None:
        """Take what stored services have; free what no service has had for two looks in a row."""
        self._pool.repair(self._used(services))

    def _used(self, services: Iterable[Object]) -> set[int]:
        used: set[int] = set()
        for service in services:
            spec = service.get("spec") or {}
            ports = [p.get("nodePort", 0) for p in spec.get("ports") or ()]
            used.update(port for port in (*ports, spec.get("healthCheckNodePort", 0)) if port)
        return used

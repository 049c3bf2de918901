"""Gives pods addresses out of the networks of their nodes."""

import heapq
import ipaddress


class PodAddresses:
    """The addresses of pods; those that are free again come last."""

    def __init__(self) -> None:
        self._free: dict[str, list[tuple[int, int]]] = {}
        self._next: dict[str, int] = {}
        self._count = 0
        self._taken: dict[str, tuple[str, int]] = {}
        self._used: set[tuple[str, int]] = set()

    def take(self, pod: str, cidr: str, known: str = "") -> str:
        """An address for a pod, the one that it has if it has one; "" when there is none left."""
        network = ipaddress.ip_network(cidr)
        if pod in self._taken:
            return str(network.network_address + self._taken[pod][1])
        number = self._known(network, known) or self._following(cidr, network.num_addresses - 1)
        if not number:
            return ""
        self._taken[pod] = cidr, number
        self._used.add((cidr, number))
        return str(network.network_address + number)

    def give_back(self, pod: str) -> None:
        """A pod is gone."""
        if pod in self._taken:
            cidr, number = self._taken.pop(pod)
            self._used.discard((cidr, number))
            self._count += 1
            heapq.heappush(self._free.setdefault(cidr, []), (self._count, number))

    def _known(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network, known: str) -> int:
        if not known or ipaddress.ip_address(known) not in network:
            return 0
        number = int(ipaddress.ip_address(known)) - int(network.network_address)
        return 0 if (str(network), number) in self._used else number

    def _following(self, cidr: str, end: int) -> int:
        """The next number; 0 is the network, 1 its gateway, and the last one is for broadcasts."""
        number = self._next.get(cidr, 2)
        while (cidr, number) in self._used:
            number += 1
        if number < end:
            self._next[cidr] = number + 1
            return number
        free = self._free.get(cidr)
        while free:
            _, number = heapq.heappop(free)
            if (cidr, number) not in self._used:
                return number
        return 0

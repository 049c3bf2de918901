"""The metrics of the allocators of addresses and node ports
(registry/core/service ipallocator, portallocator)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

from pilothouse.metrics.instruments import Counter, Gauge, Group, Histogram, Labels

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
STATIC, DYNAMIC = "static", "dynamic"
"""Scopes of an allocation: what the client asked for by value, and what the server has chosen."""


class AddressMetrics(Group):
    """Allocations of service addresses by range;
    `usage` tells how many addresses of each are in use and free."""

    def __init__(self, usage: Callable[[], Mapping[str, tuple[int, int]]]) -> None:
        name, kinds = "kube_apiserver_clusterip_allocator", ("cidr", "scope")

        def counts(which: int) -> dict[Labels, float]:
            return {(cidr,): numbers[which] for cidr, numbers in usage().items()}

        self.allocated = Gauge(
            f"{name}_allocated_ips",
            "[ALPHA] Service addresses in use.",
            ("cidr",),
            lambda: counts(0),
            joined=max,
        )
        self.available = Gauge(
            f"{name}_available_ips",
            "[ALPHA] Free service addresses.",
            ("cidr",),
            lambda: counts(1),
            joined=max,
        )
        self.allocations = Counter(
            f"{name}_allocation_total", "[ALPHA] Service addresses that were allocated.", kinds
        )
        self.errors = Counter(
            f"{name}_allocation_errors_total", "[ALPHA] Service addresses that could not be allocated.", kinds
        )
        self.seconds = Histogram(
            f"{name}_allocation_duration_seconds",
            "[ALPHA] Seconds to allocate a service address.",
            ("cidr",),
            SECONDS,
        )

    @contextmanager
    def allocating(self, cidr: str, scope: str) -> Iterator[None]:
        """Count what is done within as an allocation in a range, or as one that fails."""
        began = perf_counter()
        try:
            yield
        except ValueError:  # an AllocationError
            self.errors.inc(cidr, scope)
            raise
        self.allocations.inc(cidr, scope)
        self.seconds.observe(perf_counter() - began, cidr)


class PortMetrics(Group):
    """Allocations of node ports; `usage` tells how many are in use and free."""

    def __init__(self, usage: Callable[[], tuple[int, int]]) -> None:
        name = "kube_apiserver_nodeport_allocator"
        self.allocated = Gauge(
            f"{name}_allocated_ports", "[ALPHA] Node ports in use.", (), lambda: {(): usage()[0]}, joined=max
        )
        self.available = Gauge(
            f"{name}_available_ports", "[ALPHA] Free node ports.", (), lambda: {(): usage()[1]}, joined=max
        )
        self.allocations = Counter(
            f"{name}_allocation_total", "[ALPHA] Node ports that were allocated.", ("scope",)
        )
        self.errors = Counter(
            f"{name}_allocation_errors_total",
            "[ALPHA] Node ports that could not be allocated.",
            ("scope",),
        )

    @contextmanager
    def allocating(self, scope: str) -> Iterator[None]:
        """Count what is done within as an allocation, or as one that fails."""
        try:
            yield
        except ValueError:  # an AllocationError
            self.errors.inc(scope)
            raise
        self.allocations.inc(scope)

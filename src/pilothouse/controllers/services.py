"""Repairs the allocations of node ports and cluster IPs (portallocator/controller/repair.go,
ipallocator/.../repairip.go).

Every server compares allocations with services periodically: it allocates what is used, and releases what was
unused at several comparisons.
"""

import asyncio
from collections.abc import Callable

from pilothouse import errors
from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.controllers.metrics import RepairMetrics
from pilothouse.controllers.recorder import Recorder
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.registry.allocators import AllocationError, ClusterIPAllocator
from pilothouse.registry.client import Client
from pilothouse.registry.groups.service_objects import ALLOCATOR, FAMILY, MANAGED_BY, ip_address, ips_of
from pilothouse.registry.node_ports import NodePortAllocator, ports_of
from pilothouse.registry.resource import Resource
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

INTERVAL = 180.0
"""Seconds between two comparisons."""

LEAK_LOOKS = 3
"""Comparisons at which a port must be unused before it is released,
because a write may still be in progress."""

GRACE = 60
"""Seconds that a service may take to appear after its IPAddress was created."""

OBJECTS = "ipaddresses.networking.k8s.io"

_FAULTS = {
    "PortNotAllocated": "repair",
    "PortAlreadyAllocated": "duplicate",
    "PortOutOfRange": "outOfRange",
    "ClusterIPNotAllocated": "repair",
    "ClusterIPAlreadyAllocated": "duplicate",
    "ClusterIPOutOfRange": "outOfRange",
}
"""How the metrics call what an event says."""


class ServiceRepair(BackgroundTask):
    """The loop of one server, over the cluster IPs and the node ports that it allocates.
    `clock` is the Unix time, by default that of the client."""

    def __init__(
        self,
        client: Client,
        addresses: ClusterIPAllocator,
        node_ports: NodePortAllocator,
        clock: Callable[[], float] | None = None,
        metrics: RepairMetrics | None = None,
    ) -> None:
        self.metrics = metrics or RepairMetrics()
        self._clock = clock or client.clock.time
        self._client = client
        self._addresses = addresses
        self._node_ports = node_ports
        self._leaks: dict[int, int] = {}
        self._ports_events = Recorder(client, "portallocator-repair-controller")
        self._address_events = Recorder(client, "ipallocator-repair-controller")

    async def _run(self) -> None:
        while True:
            await self.repair()
            await asyncio.sleep(INTERVAL)

    async def repair(self) -> None:
        """Compare once; errors are logged and retried at the next comparison."""
        self._addresses.sweep()
        self._node_ports.sweep()
        parts = (
            (self._repair_ports, self.metrics.port_failures),
            (self._repair_addresses, self.metrics.address_failures),
        )
        for part, failures in parts:
            try:
                await part()
            except (StorageError, AllocationError, errors.StatusError) as err:
                failures.inc()
                log.warning("The repair of services' ports and addresses failed, it is tried again", err=err)
            except Exception:
                failures.inc()
                log.exception("The repair of services' ports and addresses failed, it is tried again")

    # Node ports

    async def _repair_ports(self) -> None:
        pool = self._node_ports
        owners: dict[int, Object] = {}
        for service in self._services_now():
            for port in sorted(ports_of(service)):
                if port not in pool:
                    note = f"Port {port} is not within the port range {pool.range}; please recreate service"
                    await self._about_port(service, "PortOutOfRange", note)
                elif port in owners:
                    note = f"Port {port} was assigned to multiple services; please recreate service"
                    await self._about_port(service, "PortAlreadyAllocated", note)
                else:
                    owners[port] = service
        used = pool.bitmap(owners)
        leaks: dict[int, int] = {}
        unmarked: set[int] = set()

        def edit(bits: int) -> int:
            leaks.clear()
            leaks.update((port, self._leaks.get(port, 0) + 1) for port in pool.ports(bits & ~used))
            unmarked.clear()
            unmarked.update(pool.ports(used & ~bits))
            return used | pool.bitmap(port for port, looks in leaks.items() if looks < LEAK_LOOKS)

        await pool.change(edit, rebuild=True)
        for port, looks in leaks.items():
            if looks >= LEAK_LOOKS:
                self.metrics.ports.inc("leak")
                log.warning("A node port was marked for no service and is free again", port=port)
        self._leaks = {port: looks for port, looks in leaks.items() if looks < LEAK_LOOKS}
        for port in sorted(unmarked):
            note = f"Port {port} is not allocated; repairing"
            await self._about_port(owners[port], "PortNotAllocated", note)

    async def _about_port(self, service: Object, reason: str, note: str) -> None:
        self.metrics.ports.inc(_FAULTS[reason])
        await self._ports_events.warn(service, reason, "PortAllocation", note)

    # Cluster IPs

    async def _repair_addresses(self) -> None:
        try:
            self._client.resource("networking.k8s.io", "v1", "ipaddresses")
        except KeyError:  # the group is disabled
            return
        for service in self._services_now():
            for ip in ips_of(service):
                await self._repair_address(service, ip)
        for obj in list(self._client.readers.list(OBJECTS)):
            if (obj["metadata"].get("labels") or {}).get(MANAGED_BY) == ALLOCATOR:
                await self._repair_object(obj)

    async def _repair_address(self, service: Object, ip: str) -> None:
        """Create or correct the IPAddress of a service's cluster IP."""
        pool = self._addresses
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        at = f"[{_family(ip)}]: {ip}"
        if ip not in pool:
            note = f"Cluster IP {at} is not within any configured Service CIDR; please recreate service"
            await self._about_address(service, "ClusterIPOutOfRange", note)
            return
        obj = self._client.readers.get(OBJECTS, "", ip)
        if obj is None:
            note = f"Cluster IP {at} is not allocated; repairing"
            await self._about_address(service, "ClusterIPNotAllocated", note)
            await self._create(service, ip)
            return
        parent = (obj.get("spec") or {}).get("parentRef") or {}
        other = self._parent(parent)
        if not _of_service(parent) or other is None:
            note = f"the ClusterIP {at} for Service {namespace}/{name} has a wrong reference; repairing"
            await self._about_address(service, "ClusterIPNotAllocated", note)
            await self._recreate(service, ip)
        elif other["metadata"]["uid"] != service["metadata"]["uid"]:
            if ip in ips_of(other):
                note = (
                    f"Cluster IP [{_family(ip)}]:{ip} was assigned to multiple services; please recreate"
                    " service"
                )
                await self._about_address(service, "ClusterIPAlreadyAllocated", note)
        elif not _labelled(obj):
            await self._recreate(service, ip)

    async def _repair_object(self, obj: Object) -> None:
        """Delete an IPAddress that this controller manages and no service uses."""
        metadata = obj["metadata"]
        ip, parent = metadata["name"], (obj.get("spec") or {}).get("parentRef") or {}
        owner = f"{parent.get('namespace', '')}/{parent.get('name', '')}"
        service = self._parent(parent)
        if not _of_service(parent):
            reason = "IPAddressNotAllocated"
            note = f"IPAddress {ip} appears to have been modified, not referencing a Service: cleaning up"
        elif (service is not None and ip in ips_of(service)) or self._age(metadata) <= GRACE:
            return
        elif service is None:
            reason = "IPAddressNotAllocated"
            note = f"IPAddress: {ip} for Service {owner} appears to have leaked: cleaning up"
        else:
            reason = "IPAddressWrongReference"
            note = f"IPAddress: {ip} for Service {owner} has a wrong reference; cleaning up"
        self.metrics.addresses.inc("leak")
        await self._address_events.warn(obj, reason, "IPAddressAllocation", note)
        await self._client.delete(self._objects(), "", ip, {"preconditions": {"uid": metadata["uid"]}})

    async def _create(self, service: Object, ip: str) -> None:
        await self._client.create(self._objects(), ip_address(service, ip))

    async def _recreate(self, service: Object, ip: str) -> None:
        await self._client.delete(self._objects(), "", ip)
        await self._create(service, ip)

    def _age(self, metadata: Object) -> int:
        """Seconds since an object was made."""
        return int(self._clock()) - times.to_unix(metadata["creationTimestamp"])[0]

    def _objects(self) -> Resource:
        return self._client.resource("networking.k8s.io", "v1", "ipaddresses")

    def _parent(self, reference: Object) -> Object | None:
        return self._client.readers.get("services", reference.get("namespace", ""), reference.get("name", ""))

    def _services_now(self) -> list[Object]:
        return list(self._client.readers.list("services"))

    async def _about_address(self, service: Object, reason: str, note: str) -> None:
        self.metrics.addresses.inc(_FAULTS[reason])
        await self._address_events.warn(service, reason, "ClusterIPAllocation", note)


def _family(ip: str) -> str:
    return "IPv6" if ":" in ip else "IPv4"


def _of_service(reference: Object) -> bool:
    return not reference.get("group") and reference.get("resource") == "services"


def _labelled(obj: Object) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return labels.get(FAMILY) == _family(obj["metadata"]["name"]) and labels.get(MANAGED_BY) == ALLOCATOR

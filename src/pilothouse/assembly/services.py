"""Creates the allocators and policies that a few kinds need for writes."""

from dataclasses import field

from pilothouse.api.validate.pod.policy import PodPolicy
from pilothouse.api.values.fields import Object
from pilothouse.assembly.storage import Registry
from pilothouse.caches import CacheBudget
from pilothouse.configuration.sections.objects import ObjectOptions
from pilothouse.process.record import record
from pilothouse.registry.admission import Admission
from pilothouse.registry.allocators import ClusterIPAllocator
from pilothouse.registry.client import Client, CompanionWriter
from pilothouse.registry.node_ports import NodePortAllocator
from pilothouse.registry.object_metrics import ObjectMetrics


@record(eq=False)
class ServerServices:
    """The services that the hooks of a write find in `ctx.services`;
    implements registry.strategy.HookServices."""

    options: ObjectOptions
    addresses: ClusterIPAllocator
    node_ports: NodePortAllocator
    pod_policy: PodPolicy
    metrics: ObjectMetrics
    companions: CompanionWriter = field(init=False)
    """Set by companions_for(), as they pass the plugins, some of which create objects by these services."""

    async def ensure(self, resource: str, obj: Object) -> None:
        """Call Companions.ensure()."""
        await self.companions.ensure(resource, obj)


def services_for(
    options: ObjectOptions, registry: Registry, caches: CacheBudget | None = None
) -> ServerServices:
    """The services for hooks, over a registry that has been started:
    the allocators of cluster IPs and node ports among them."""
    readers = registry.readers
    addresses = ClusterIPAllocator(options.service_cluster_ip_range.split(","))
    addresses.follow(readers)
    node_ports = NodePortAllocator(
        registry.storage, registry.cacher, readers, *options.service_node_port_range
    )
    pods = PodPolicy(options.allow_privileged, caches)
    return ServerServices(options, addresses, node_ports, pods, registry.store.metrics)


def companions_for(registry: Registry, services: ServerServices, admission: Admission) -> CompanionWriter:
    """The object that creates and deletes the objects that belong to others."""
    return CompanionWriter(
        client_for(registry, services, "kube-apiserver", admission),
        client_for(registry, services, "kube-apiserver"),
    )


def client_for(
    registry: Registry, services: ServerServices, manager: str, admission: Admission | None = None
) -> Client:
    """Reads and writes as the server itself; `manager` is its name in managed fields.

    With `admission` its writes pass the plugins as those of users do.
    """
    return Client(
        registry.store,
        registry.catalog,
        registry.readers,
        services,
        manager=manager,
        admission=admission,
        metrics=registry.client_metrics,
        clock=registry.clock,
    )

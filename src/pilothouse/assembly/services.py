"""What the rules of a few kinds need beside the objects, and the address that this server tells others."""

import ipaddress
import socket
from dataclasses import dataclass

from pilothouse.assembly.storage import Registry
from pilothouse.authz.authorizer import UnionAuthorizer
from pilothouse.config import Config
from pilothouse.registry.allocators import Addresses
from pilothouse.registry.client import Client
from pilothouse.registry.node_ports import NodePorts


@dataclass(slots=True)
class Services:
    """What the hooks of a write find in `ctx.services`, and admission plugins in `attributes.services`."""

    options: Config
    addresses: Addresses
    node_ports: NodePorts
    authorizer: UnionAuthorizer


def services_for(config: Config, registry: Registry, authorizer: UnionAuthorizer) -> Services:
    """The allocators of cluster IPs and node ports over a registry that has been started."""
    readers = registry.readers
    addresses = Addresses([str(network) for network in config.service_networks])
    addresses.follow(readers)
    node_ports = NodePorts(registry.storage, registry.cacher, readers, *config.service_node_port_range)
    return Services(config, addresses, node_ports, authorizer)


def client_for(registry: Registry, services: Services, manager: str) -> Client:
    """Reads and writes for one controller; `manager` is its name in managed fields."""
    return Client(registry.store, registry.catalog, registry.readers, services, manager)


def advertised(config: Config) -> str:
    """The address by which the members of the cluster reach this server: the loopback one only if there is no other."""
    if config.advertise_address:
        return config.advertise_address
    bound = ipaddress.ip_address(config.bind_address or "::")
    if not bound.is_unspecified and not bound.is_loopback:
        return config.bind_address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: the kernel only picks the route's address
            address: str = probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"
    return address

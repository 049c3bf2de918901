"""Objects that belong to a service: node ports, an IPAddress for each cluster IP, and Endpoints.

Ports and IPAddresses are claimed before the service is written, so that two servers cannot allocate the same
ones.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import NoReturn

from pilothouse import errors
from pilothouse.api.values import addresses
from pilothouse.api.values.fields import Errors, Object
from pilothouse.logs import Logger
from pilothouse.registry.allocators import AllocationError
from pilothouse.registry.node_ports import TAKEN, ports_of
from pilothouse.registry.storage_errors import storage_error
from pilothouse.registry.strategy import Raced, WriteContext
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

ADDRESSES = "ipaddresses.networking.k8s.io"
FAMILY = "ipaddress.kubernetes.io/ip-family"
MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
ALLOCATOR = "ipallocator.k8s.io"


async def claim(ctx: WriteContext, service: Object, old: Object | None) -> None:
    """Claim the node ports and addresses that the service did not have before.

    If another service has one of them, raises Invalid if the client chose it and Raced if the server did.
    """
    ports = ports_of(service) - ports_of(old or {})
    if ports:
        await _claim_ports(ctx, service, ports)
    companions = ctx.services.companions
    if not companions.served(ADDRESSES):
        return
    for ip in _difference(service, old):
        try:
            created = await companions.create(ADDRESSES, ip_address(service, ip))
        except errors.Forbidden as err:
            raise _address_fault(ctx, service, ip, err.message) from None
        if created:
            ctx.undo.append(partial(_free_address, ctx, ip))
        elif _parent(ctx, ip) != parent_of(service):
            _refuse_address(ctx, service, ip)


async def release_unused(ctx: WriteContext, service: Object | None, old: Object | None) -> None:
    """Release what the service no longer uses; `service` is None after its deletion.

    The service is written already, so errors are only logged; the repair controller releases the rest.
    """
    for step in _settling(ctx, service, old) if old is not None else ():
        try:
            await step()
        except (StorageError, AllocationError, errors.StatusError) as err:
            log.warning("Ports or addresses of a service were not released, the next repair does it", err=err)


def _settling(
    ctx: WriteContext, service: Object | None, old: Object
) -> Iterator[Callable[[], Awaitable[object]]]:
    """The steps that give back what the service had; none depends on another."""
    ports = ports_of(old) - ports_of(service or {})
    if ports:
        yield partial(ctx.services.node_ports.give_back, ports)
    parent = parent_of(old)
    for ip in _difference(old, service):
        if _parent(ctx, ip) == parent:
            yield partial(_free_address, ctx, ip)
    if service is None:
        companions, namespace, name = ctx.services.companions, parent["namespace"], parent["name"]
        yield partial(companions.delete, "endpoints", namespace, name, direct=True)


async def _free_address(ctx: WriteContext, ip: str) -> None:
    await ctx.services.companions.delete(ADDRESSES, "", ip)


async def _claim_ports(ctx: WriteContext, service: Object, ports: set[int]) -> None:
    node_ports = ctx.services.node_ports
    try:
        lost = await node_ports.claim(ports)
    except AllocationError as err:
        raise errors.internal(f"failed to allocate a nodePort: {err}") from None
    except StorageError as err:
        raise storage_error(ctx.resource, ctx.name, err) from err
    if not lost:
        ctx.undo.append(partial(node_ports.give_back, ports))
    elif lost & ctx.assigned:
        raise Raced(f"Internal error occurred: failed to allocate a nodePort: {TAKEN}")
    else:
        _refuse_ports(service, lost)


def _refuse_ports(service: Object, lost: set[int]) -> NoReturn:
    """Raise the error that prepare_create would have raised for a port that another service has."""
    for i, port in enumerate(service["spec"].get("ports") or ()):
        if port.get("nodePort") in lost:
            errs = Errors()
            errs.invalid(f"spec.ports[{i}].nodePort", port["nodePort"], TAKEN)
            errs.raise_if_any("", "Service", service["metadata"].get("name", ""))
    port = service["spec"].get("healthCheckNodePort")
    raise errors.internal(f"failed to allocate requested HealthCheck NodePort {port}: {TAKEN}")


def _difference(service: Object, other: Object | None) -> list[str]:
    """The cluster IPs of a service that the other one does not have."""
    have = ips_of(other) if other is not None else []
    return [ip for ip in ips_of(service) if ip not in have]


def ips_of(service: Object) -> list[str]:
    """The cluster IPs in canonical form, as they name IPAddress objects."""
    listed = (service.get("spec") or {}).get("clusterIPs") or []
    return [str(address) for address in map(addresses.parse_ip, listed) if address is not None]


def parent_of(service: Object) -> Object:
    metadata = service["metadata"]
    return {"resource": "services", "namespace": metadata["namespace"], "name": metadata["name"]}


def ip_address(service: Object, ip: str) -> Object:
    """The IPAddress object for a cluster IP of a service."""
    labels = {FAMILY: "IPv6" if ":" in ip else "IPv4", MANAGED_BY: ALLOCATOR}
    return {
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {"name": ip, "labels": labels},
        "spec": {"parentRef": parent_of(service)},
    }


def _parent(ctx: WriteContext, ip: str) -> Object | None:
    """The parentRef of the IPAddress object for an address; None if there is none."""
    found = ctx.readers.get(ADDRESSES, "", ip)
    parent: Object | None = (found.get("spec") or {}).get("parentRef") if found is not None else None
    return parent


def _refuse_address(ctx: WriteContext, service: Object, ip: str) -> NoReturn:
    """Raise what is said of an address that another service has."""
    fault = _address_fault(ctx, service, ip, "provided IP is already allocated")
    if ip in ctx.assigned:
        raise Raced(fault.message)
    raise fault


def _address_fault(ctx: WriteContext, service: Object, ip: str, why: str) -> errors.StatusError:
    """The error about an address that cannot be had:
    the 422 of one that was asked for, or the 500 of a chosen one."""
    if ip in ctx.assigned:
        return errors.internal(f"failed to allocate a serviceIP: {why}")
    errs = Errors()
    errs.invalid("spec.clusterIPs", service["spec"].get("clusterIPs"), f"failed to allocate IP {ip}: {why}")
    return errors.invalid("", "Service", service["metadata"].get("name", ""), errs.causes)

"""What comes and goes with a service: its node ports, an IPAddress for each cluster IP, and its Endpoints.

A port is marked and an IPAddress exists before the service has them, so that no two servers can give them out.
"""

from dataclasses import replace
from functools import partial
from typing import NoReturn

from pilothouse import errors
from pilothouse.api import managed, names
from pilothouse.api.fields import Errors, Object
from pilothouse.logs import Logger
from pilothouse.registry import deletion
from pilothouse.registry.allocators import AllocationError
from pilothouse.registry.node_ports import TAKEN, NodePorts, ports_of
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store, decode, storage_error
from pilothouse.registry.strategy import Raced, WriteContext
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

MANAGER = "kube-apiserver"
FAMILY = "ipaddress.kubernetes.io/ip-family"
MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
ALLOCATOR = "ipallocator.k8s.io"


async def claim(store: Store, ctx: WriteContext, service: Object, old: Object | None) -> None:
    """Take the node ports and addresses that the service did not have.

    One that somebody else has is Invalid when the client asked for it, and Raced when it was our choice.
    """
    ports = ports_of(service) - ports_of(old or {})
    if ports:
        await _claim_ports(ctx, service, ports)
    addresses = _resource(ctx, "networking.k8s.io", "IPAddress")
    if addresses is None:
        return
    for ip in _missing(service, old):
        write = _context(ctx, addresses, "create", ip)
        obj = _tracked(write, ip_address(service, ip))
        try:
            await store.create(write, obj, None)
        except errors.AlreadyExists:
            if _parent(store, addresses, ip) != obj["spec"]["parentRef"]:
                _refuse_address(ctx, service, ip)
            continue
        ctx.undo.append(partial(_remove, store, _context(ctx, addresses, "delete", ip)))


async def settle(store: Store, ctx: WriteContext, service: Object | None, old: Object | None) -> None:
    """Let go of what the service no longer needs; `service` is None once it is gone.

    What can not be let go of at the moment is left to the repair of the pools, as the write has been done.
    """
    if old is None:
        return
    try:
        await _settle(store, ctx, service, old)
    except (StorageError, AllocationError, errors.StatusError) as err:
        log.warning("Ports or addresses of a service were not released, the next repair does it", err=err)


async def _settle(store: Store, ctx: WriteContext, service: Object | None, old: Object) -> None:
    ports = ports_of(old) - ports_of(service or {})
    if ports:
        node_ports: NodePorts = ctx.services.node_ports
        await node_ports.give_back(ports)
    addresses = _resource(ctx, "networking.k8s.io", "IPAddress")
    if addresses is not None:
        parent = parent_of(old)
        for ip in _missing(old, service):
            if _parent(store, addresses, ip) == parent:
                await _remove(store, _context(ctx, addresses, "delete", ip))
    if service is None:
        endpoints = _resource(ctx, "", "Endpoints")
        if endpoints is not None:
            namespace = old["metadata"]["namespace"]
            name = old["metadata"]["name"]
            await _remove(store, _context(ctx, endpoints, "delete", name, namespace))


async def _claim_ports(ctx: WriteContext, service: Object, ports: set[int]) -> None:
    node_ports: NodePorts = ctx.services.node_ports
    try:
        lost = await node_ports.claim(ports)
    except AllocationError as err:
        raise _failed(f"failed to allocate a nodePort: {err}") from None
    except StorageError as err:
        raise storage_error(ctx.resource, ctx.name, err) from err
    if not lost:
        ctx.undo.append(partial(node_ports.give_back, ports))
    elif lost & ctx.chosen:
        raise Raced(f"Internal error occurred: failed to allocate a nodePort: {TAKEN}")
    else:
        _refuse_ports(service, lost)


def _refuse_ports(service: Object, lost: set[int]) -> NoReturn:
    """What prepare_create() would have said, had it known."""
    for i, port in enumerate(service["spec"].get("ports") or ()):
        if port.get("nodePort") in lost:
            errs = Errors()
            errs.invalid(f"spec.ports[{i}].nodePort", port["nodePort"], TAKEN)
            errs.raise_if_any("", "Service", service["metadata"].get("name", ""))
    port = service["spec"].get("healthCheckNodePort")
    raise _failed(f"failed to allocate requested HealthCheck NodePort {port}: {TAKEN}")


def _failed(text: str) -> errors.InternalError:
    return errors.InternalError(f"Internal error occurred: {text}", details={"causes": [{"message": text}]})


def _missing(service: Object, other: Object | None) -> list[str]:
    """The cluster IPs of a service that another one has not."""
    have = ips_of(other) if other is not None else []
    return [ip for ip in ips_of(service) if ip not in have]


def ips_of(service: Object) -> list[str]:
    """Cluster IPs in the form in which they are names."""
    listed = (service.get("spec") or {}).get("clusterIPs") or []
    return [str(address) for address in map(names.parse_ip, listed) if address is not None]


def parent_of(service: Object) -> Object:
    metadata = service["metadata"]
    return {"resource": "services", "namespace": metadata["namespace"], "name": metadata["name"]}


def ip_address(service: Object, ip: str) -> Object:
    """The object that stands for a cluster IP of a service."""
    labels = {FAMILY: "IPv6" if ":" in ip else "IPv4", MANAGED_BY: ALLOCATOR}
    return {
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {"name": ip, "labels": labels},
        "spec": {"parentRef": parent_of(service)},
    }


def _tracked(ctx: WriteContext, obj: Object) -> Object:
    assert ctx.resource.type_of is not None
    managed.update(
        None,
        obj,
        type=ctx.resource.type_of(),
        manager=MANAGER,
        api_version=ctx.resource.api_version,
        now=ctx.now,
    )
    return obj


def _parent(store: Store, addresses: Resource, ip: str) -> Object | None:
    """What holds an address."""
    entry = store.entry(addresses, "", ip)
    parent: Object | None = (decode(entry).get("spec") or {}).get("parentRef") if entry is not None else None
    return parent


def _refuse_address(ctx: WriteContext, service: Object, ip: str) -> None:
    if ip in ctx.chosen:
        raise Raced(
            "Internal error occurred: failed to allocate a serviceIP: provided IP is already allocated"
        )
    errs = Errors()
    why = f"failed to allocate IP {ip}: provided IP is already allocated"
    errs.invalid("spec.clusterIPs", service["spec"].get("clusterIPs"), why)
    errs.raise_if_any("", "Service", service["metadata"].get("name", ""))


def _resource(ctx: WriteContext, group: str, kind: str) -> Resource | None:
    by_kind = ctx.resource.by_kind
    return by_kind(group, "v1", kind) if by_kind is not None else None


def _context(
    ctx: WriteContext, resource: Resource, verb: str, name: str, namespace: str = ""
) -> WriteContext:
    """The context of a write that is part of another one."""
    return replace(
        ctx,
        resource=resource,
        verb=verb,
        name=name,
        namespace=namespace,
        subresource="",
        warnings=[],
        undo=[],
        annotations={},
        chosen=set(),
    )


async def _remove(store: Store, ctx: WriteContext) -> None:
    try:
        await deletion.delete(store, ctx, {}, None)
    except errors.NotFound:
        pass

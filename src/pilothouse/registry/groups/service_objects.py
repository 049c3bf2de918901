"""Objects that come and go with a service: an IPAddress for each cluster IP, and its Endpoints.

An IPAddress exists before the service has the address, so that no two servers can give it out.
"""

from dataclasses import replace
from functools import partial

from pilothouse import errors
from pilothouse.api import managed, names
from pilothouse.api.fields import Errors, Object
from pilothouse.registry import deletion
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store, decode
from pilothouse.registry.strategy import WriteContext

MANAGER = "kube-apiserver"
FAMILY = "ipaddress.kubernetes.io/ip-family"
MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
ALLOCATOR = "ipallocator.k8s.io"


async def claim(store: Store, ctx: WriteContext, service: Object, old: Object | None) -> None:
    """Create the IPAddress of each address that the service did not have; Invalid when somebody else holds one."""
    addresses = _resource(ctx, "networking.k8s.io", "IPAddress")
    if addresses is None:
        return
    for ip in _missing(service, old):
        write = _context(ctx, addresses, "create", ip)
        obj = _ip_address(write, service, ip)
        try:
            await store.create(write, obj, None)
        except errors.AlreadyExists:
            if _parent(store, addresses, ip) != obj["spec"]["parentRef"]:
                _refuse(service, ip)
            continue
        ctx.undo.append(partial(_remove, store, _context(ctx, addresses, "delete", ip)))


async def settle(store: Store, ctx: WriteContext, service: Object | None, old: Object | None) -> None:
    """Delete what the service no longer needs; `service` is None once it is gone."""
    if old is None:
        return
    addresses = _resource(ctx, "networking.k8s.io", "IPAddress")
    if addresses is not None:
        parent = _parent_of(old)
        for ip in _missing(old, service):
            if _parent(store, addresses, ip) == parent:
                await _remove(store, _context(ctx, addresses, "delete", ip))
    if service is None:
        endpoints = _resource(ctx, "", "Endpoints")
        if endpoints is not None:
            namespace = old["metadata"]["namespace"]
            name = old["metadata"]["name"]
            await _remove(store, _context(ctx, endpoints, "delete", name, namespace))


def _missing(service: Object, other: Object | None) -> list[str]:
    """The cluster IPs of a service that another one has not."""
    have = _ips(other) if other is not None else []
    return [ip for ip in _ips(service) if ip not in have]


def _ips(service: Object) -> list[str]:
    """Cluster IPs in the form in which they are names."""
    listed = (service.get("spec") or {}).get("clusterIPs") or []
    return [str(address) for address in map(names.parse_ip, listed) if address is not None]


def _parent_of(service: Object) -> Object:
    metadata = service["metadata"]
    return {"resource": "services", "namespace": metadata["namespace"], "name": metadata["name"]}


def _ip_address(ctx: WriteContext, service: Object, ip: str) -> Object:
    labels = {FAMILY: "IPv6" if ":" in ip else "IPv4", MANAGED_BY: ALLOCATOR}
    obj: Object = {
        "kind": ctx.resource.kind,
        "apiVersion": ctx.resource.api_version,
        "metadata": {"name": ip, "labels": labels},
        "spec": {"parentRef": _parent_of(service)},
    }
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


def _refuse(service: Object, ip: str) -> None:
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
    )


async def _remove(store: Store, ctx: WriteContext) -> None:
    try:
        await deletion.delete(store, ctx, {}, None)
    except errors.NotFound:
        pass

"""Gives services of type LoadBalancer and ingresses the addresses that a cloud or an ingress
controller would.

They are from ranges for documentation: nobody answers there.
"""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
RANGES = "203.0.113.0/24", "2001:db8:1::/112"
INGRESS = "198.51.100.1"


class LoadBalancers(Reconciler):
    """Keeps an address for each service that asks for a load balancer of the cluster."""

    def __init__(self, parts: Parts, ranges: tuple[str, ...] = RANGES) -> None:
        super().__init__(parts, "v1", "services", "service-controller")
        self._ranges = [ip_network(text) for text in ranges]
        self._taken: dict[str, tuple[str, ...]] = {}

    async def reconcile(self, obj: Object) -> None:
        key = f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
        have = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        wanted = obj["spec"].get("type") == "LoadBalancer" and not obj["spec"].get("loadBalancerClass")
        if not wanted or obj["metadata"].get("deletionTimestamp"):
            self._taken.pop(key, None)
            if FINALIZER in (obj["metadata"].get("finalizers") or ()):
                if have:
                    await self.write_status(obj, {"loadBalancer": {}})
                await self.change(obj, _unmark)
            return
        if FINALIZER not in (obj["metadata"].get("finalizers") or ()):
            await self.change(obj, _mark)
        self._taken.setdefault(key, tuple(one["ip"] for one in have if one.get("ip")))
        addresses = self._addresses(obj, key)
        if not addresses:
            note = "Error syncing load balancer: failed to ensure load balancer: no address is free"
            self.events.warning(obj, "SyncLoadBalancerFailed", note)
            return
        self._taken[key] = addresses
        ingress = [{"ip": ip, "ipMode": "VIP"} for ip in addresses]
        if ingress != have:
            self.events.normal(obj, "EnsuringLoadBalancer", "Ensuring load balancer")
            await self.write_status(obj, {"loadBalancer": {"ingress": ingress}})
            self.events.normal(obj, "EnsuredLoadBalancer", "Ensured load balancer")

    async def removed(self, namespace: str, name: str) -> None:
        self._taken.pop(f"{namespace}/{name}", None)

    def _addresses(self, obj: Object, key: str) -> tuple[str, ...]:
        """An address of each family of a service: those that it has, the one that it asks for,
        or a free one."""
        known = (obj["spec"].get("loadBalancerIP") or "", *self._taken[key])
        out = []
        for family in obj["spec"].get("ipFamilies") or ["IPv4"]:
            version = int(family[-1])
            found = next((ip for ip in known if _version(ip) == version), "") or next(self._free(version), "")
            if not found:
                return ()
            out.append(found)
        return tuple(out)

    def _free(self, version: int) -> Iterator[str]:
        taken = {ip for held in self._taken.values() for ip in held}
        for network in self._ranges:
            if network.version == version:
                yield from (ip for ip in _hosts(network) if ip not in taken)


def _hosts(network: IPv4Network | IPv6Network) -> Iterator[str]:
    return (str(ip) for ip in network.hosts())


def _version(ip: str) -> int:
    """The version of an address, 0 for a text that is none."""
    try:
        return ip_address(ip).version
    except ValueError:
        return 0


def _mark(live: Object) -> None:
    held = live["metadata"].get("finalizers") or []
    live["metadata"]["finalizers"] = held if FINALIZER in held else [*held, FINALIZER]


def _unmark(live: Object) -> None:
    left = [one for one in live["metadata"].pop("finalizers", None) or () if one != FINALIZER]
    if left:
        live["metadata"]["finalizers"] = left


class IngressAddresses(Reconciler):
    """Gives each ingress the address of the ingress controller that there is not."""

    def __init__(self, parts: Parts, address: str = INGRESS) -> None:
        super().__init__(parts, "networking.k8s.io/v1", "ingresses", "ingress-addresses")
        self.address = address

    async def reconcile(self, obj: Object) -> None:
        if not obj["metadata"].get("deletionTimestamp"):
            await self.write_status(obj, {"loadBalancer": {"ingress": [{"ip": self.address}]}})

"""Keeps the Endpoints objects of services (pkg/controller/endpoint)."""

from collections.abc import Iterable

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.endpoints.selection import (
    HEADLESS,
    ServiceFollower,
    address,
    has_selector,
    hostname,
    is_headless,
    ports,
    target,
)
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts

MOST = 1000
"""Addresses of one object."""
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MANAGED_BY, MANAGER = "endpoints.kubernetes.io/managed-by", "endpoint-controller"


class EndpointsObjects(ServiceFollower):
    """Writes the Endpoints object of each service with a selector. The server deletes it with the service."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "endpoint-controller")
        self.endpoints = self.client.resource("", "v1", "endpoints")

    async def reconcile(self, obj: Object) -> None:
        if obj["metadata"].get("deletionTimestamp") or not has_selector(obj):
            return
        metadata = obj["metadata"]
        subsets, cut = self._subsets(obj)
        labels = dict(metadata.get("labels") or {})
        labels.pop(HEADLESS, None)
        labels |= {MANAGED_BY: MANAGER} | ({HEADLESS: ""} if is_headless(obj) else {})
        have = self.client.readers.get("endpoints", metadata["namespace"], metadata["name"])
        if have is None:
            about = {"name": metadata["name"], "namespace": metadata["namespace"], "labels": labels}
            if cut:
                about["annotations"] = {OVER_CAPACITY: "truncated"}
            named = {"subsets": subsets} if subsets else {}
            made, _ = self.endpoints.decode_value({"metadata": about, **named})
            await self.client.create(self.endpoints, made)
            return
        noted = OVER_CAPACITY in (have["metadata"].get("annotations") or {})
        same = (have.get("subsets") or []) == subsets and have["metadata"].get("labels") == labels
        if same and noted == cut:
            return

        def edit(live: Object) -> None:
            live["metadata"]["labels"] = labels
            live.pop("subsets", None)
            if subsets:
                live["subsets"] = subsets
            annotations = live["metadata"].setdefault("annotations", {})
            annotations.pop(OVER_CAPACITY, None)
            if cut:
                annotations[OVER_CAPACITY] = "truncated"

        await self.client.change(self.endpoints, metadata["namespace"], metadata["name"], edit)

    def _subsets(self, service: Object) -> tuple[list[Object], bool]:
        """The addresses by their ports, and whether there are more than an object may have."""
        public = bool(service["spec"].get("publishNotReadyAddresses"))
        version = 6 if (service["spec"].get("ipFamilies") or ["IPv4"])[0] == "IPv6" else 4
        by_port: dict[bytes, tuple[list[Object], Object]] = {}
        chosen = [pod for pod in self.members(service) if public or not pod.deleting]
        chosen.sort(key=lambda pod: not (public or pod.ready))
        for pod in chosen[:MOST]:
            ip, listed = address(pod, version), [_plain(port) for port in ports(service, pod)]
            kind = "addresses" if public or pod.ready else "notReadyAddresses"
            alone: list[list[Object]] = [[port] for port in listed]
            if not service["spec"].get("ports"):
                alone = [[]]
            for one in alone if ip else ():
                _, addresses = by_port.setdefault(orjson.dumps(one), (one, {}))
                addresses.setdefault(kind, []).append(_address(service, pod, ip))
        return _packed(by_port.values()), len(chosen) > MOST


def _plain(port: Object) -> Object:
    """A port without an empty name."""
    return {member: value for member, value in port.items() if value != ""}


def _packed(found: Iterable[tuple[list[Object], Object]]) -> list[Object]:
    """Subsets in which ports share addresses that are the same for all of them (RepackSubsets)."""
    packed: dict[bytes, Object] = {}
    for listed, addresses in found:
        subset = packed.setdefault(orjson.dumps(addresses, option=orjson.OPT_SORT_KEYS), dict(addresses))
        if listed:
            subset["ports"] = [*(subset.get("ports") or ()), *listed]
    return list(packed.values())


def _address(service: Object, pod: IndexedPod, ip: str) -> Object:
    made: Object = {"ip": ip, "targetRef": target(pod)}
    if pod.node:
        made["nodeName"] = pod.node
    if name := hostname(service, pod):
        made["hostname"] = name
    return made

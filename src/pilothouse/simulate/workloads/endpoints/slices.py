"""The endpoint slices of services: the pods that they select (pkg/controller/endpointslice)."""

from collections.abc import Callable

from pilothouse.api.values.fields import Object
from pilothouse.controllers.queue import WorkQueue
from pilothouse.registry.store import decode
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
from pilothouse.simulate.workloads.endpoints.slice_writer import EndpointGroups, SlicePlan, SliceWriter
from pilothouse.simulate.workloads.endpoints.zones import ZONE, ZoneHints, is_automatic, is_ready
from pilothouse.simulate.workloads.index import follow
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts
from pilothouse.storage._entry import Entry

MANAGER = "endpointslice-controller.k8s.io"
CLOSE = ("PreferClose", "PreferSameZone", "PreferSameNode")
"""Distributions of traffic for which endpoints have hints."""
FAMILIES = {"IPv4": 4, "IPv6": 6}


class EndpointSlices(ServiceFollower):
    """Writes the endpoint slices of services."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "endpoint-slice-controller")
        self.writer = SliceWriter(self.client, MANAGER)
        self.nodes = self.client.resource("", "v1", "nodes")
        self.zones = ZoneHints(self.events)
        self._zone_queue = WorkQueue(
            "endpoint-slice-zones", self._zones_changed, workers=1, metrics=self.client.metrics
        )

    def follows(self) -> list[Callable[[], None]]:
        followed = follow(self.client, self.nodes, self._node_changed)
        return [*super().follows(), self.writer.listen(self.enqueue), followed]

    async def close(self) -> None:
        await self._zone_queue.close()
        await super().close()

    async def removed(self, namespace: str, name: str) -> None:
        self.zones.forget(f"{namespace}/{name}")
        await super().removed(namespace, name)

    def _node_changed(self, new: Entry | None, old: Entry | None) -> None:
        """Look at services with hints when a node comes, goes, moves to another zone, or is ready or not."""
        if self.zones and _of_zone(new) != _of_zone(old):
            self._zone_queue.add("nodes")

    async def _zones_changed(self, key: str) -> None:
        for service in self.zones.overloaded(self.client.readers.list("nodes")):
            self.queue.add(service)

    async def reconcile(self, obj: Object) -> None:
        if obj["metadata"].get("deletionTimestamp") or not has_selector(obj):
            return
        labels = dict(obj["metadata"].get("labels") or {})
        labels.pop(HEADLESS, None)
        if is_headless(obj):
            labels[HEADLESS] = ""
        if not is_automatic(obj):
            self.zones.remove(obj)
            await self.writer.write(obj, labels, self._groups(obj))
            return

        def set_hints(plans: list[SlicePlan]) -> None:
            self.zones.set(obj, plans, self.client.readers.list("nodes"))

        await self.writer.write(obj, labels, self._groups(obj), set_hints)

    def _groups(self, service: Object) -> EndpointGroups:
        """The endpoints that there should be; each family has a group, an empty one if need be."""
        pods = self.members(service)
        groups = EndpointGroups()
        for family in service["spec"].get("ipFamilies") or ("IPv4",):
            some = False
            for pod in pods:
                if ip := address(pod, FAMILIES[family]):
                    groups.group(family, ports(service, pod)).add(self._endpoint(service, pod, ip))
                    some = True
            if not some:
                groups.group(family, [])
        return groups

    def _endpoint(self, service: Object, pod: IndexedPod, ip: str) -> Object:
        serving, leaving = pod.ready, bool(pod.deleting)
        public = bool(service["spec"].get("publishNotReadyAddresses"))
        made: Object = {
            "addresses": [ip],
            "conditions": {
                "ready": public or (serving and not leaving),
                "serving": serving,
                "terminating": leaving,
            },
            "targetRef": target(pod),
        }
        if pod.node:
            made["nodeName"] = pod.node
            node = self.client.readers.get("nodes", "", pod.node)
            zone = ((node or {"metadata": {}})["metadata"].get("labels") or {}).get(ZONE)
            if zone:
                made["zone"] = zone
        if name := hostname(service, pod):
            made["hostname"] = name
        if made["conditions"]["ready"] and (hints := _hints(service, made)):
            made["hints"] = hints
        return made


def _of_zone(entry: Entry | None) -> tuple[str, bool] | None:
    """The facts of a node that hints depend on."""
    if entry is None:
        return None
    node = decode(entry)
    return (node["metadata"].get("labels") or {}).get(ZONE, ""), is_ready(node)


def _hints(service: Object, endpoint: Object) -> Object:
    """For whom a ready endpoint is by the service's traffic distribution:
    its zone, and its node if that comes first."""
    wanted = service["spec"].get("trafficDistribution")
    if wanted not in CLOSE or is_automatic(service):
        return {}
    hints: Object = {}
    if endpoint.get("zone"):
        hints["forZones"] = [{"name": endpoint["zone"]}]
    if wanted == "PreferSameNode" and endpoint.get("nodeName"):
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    return hints

"""The endpoint slices of services: the pods that they select (pkg/controller/endpointslice)."""

from collections.abc import Callable

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
from pilothouse.simulate.workloads.endpoints.slice_writer import EndpointGroups, SliceWriter
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts

MANAGER = "endpointslice-controller.k8s.io"
ZONE = "topology.kubernetes.io/zone"
CLOSE = ("PreferClose", "PreferSameZone", "PreferSameNode")
"""Distributions of traffic for which endpoints have hints."""
TOPOLOGY = "service.kubernetes.io/topology-mode"
"""The annotation that replaces a traffic distribution when it is `Auto`."""
OLD_TOPOLOGY = "service.kubernetes.io/topology-aware-hints"
FAMILIES = {"IPv4": 4, "IPv6": 6}


class EndpointSlices(ServiceFollower):
    """Writes the endpoint slices of services."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "endpoint-slice-controller")
        self.writer = SliceWriter(self.client, MANAGER)

    def follows(self) -> list[Callable[[], None]]:
        return [*super().follows(), self.writer.listen(self.enqueue)]

    async def reconcile(self, obj: Object) -> None:
        if obj["metadata"].get("deletionTimestamp") or not has_selector(obj):
            return
        labels = dict(obj["metadata"].get("labels") or {})
        labels.pop(HEADLESS, None)
        if is_headless(obj):
            labels[HEADLESS] = ""
        await self.writer.write(obj, labels, self._groups(obj))

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


def _hints(service: Object, endpoint: Object) -> Object:
    """For whom a ready endpoint is by the service's traffic distribution:
    its zone, and its node if that comes first."""
    wanted = service["spec"].get("trafficDistribution")
    annotations = service["metadata"].get("annotations") or {}
    by_annotation = annotations.get(OLD_TOPOLOGY, annotations.get(TOPOLOGY)) in ("Auto", "auto")
    if wanted not in CLOSE or by_annotation:
        return {}
    hints: Object = {}
    if endpoint.get("zone"):
        hints["forZones"] = [{"name": endpoint["zone"]}]
    if wanted == "PreferSameNode" and endpoint.get("nodeName"):
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    return hints

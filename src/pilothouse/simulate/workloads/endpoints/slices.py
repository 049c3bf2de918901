"""Keeps the endpoint slices of services: endpoints stay in the slice that they are in (staging
endpointslice)."""

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from pilothouse import errors
from pilothouse.api import meta
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
from pilothouse.simulate.workloads.index import Indexed, ObjectIndex, plain_facts
from pilothouse.simulate.workloads.ownership import reference
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
ZONE = "topology.kubernetes.io/zone"
FULL = 100
"""Endpoints in a slice (--max-endpoints-per-slice)."""
FAMILIES = {"IPv4": 4, "IPv6": 6}


@dataclass(slots=True)
class _Group:
    """The endpoints of one family that have the same ports, by the pod's uid,
    and the slices that hold such."""

    family: str
    ports: list[Object]
    wanted: dict[str, Object] = field(default_factory=dict)
    slices: list[Object] = field(default_factory=list)


class EndpointSlices(ServiceFollower):
    """Writes the endpoint slices of services."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "endpoint-slice-controller")
        self.slices = self.client.resource("discovery.k8s.io", "v1", "endpointslices")
        self.index = ObjectIndex(self.client, self.slices, plain_facts)

    def follows(self) -> list[Callable[[], None]]:
        return [*super().follows(), self.index.listen(self._slice_changed)]

    def _slice_changed(self, new: Indexed | None, old: Indexed | None) -> None:
        """Look at the service of a slice that somebody has changed or deleted."""
        for one in (new, old):
            if one is not None and one.labels.get(MANAGED_BY) == MANAGER and one.labels.get(SERVICE_NAME):
                self.enqueue(one.namespace, one.labels[SERVICE_NAME])

    async def reconcile(self, obj: Object) -> None:
        if obj["metadata"].get("deletionTimestamp") or not has_selector(obj):
            return
        groups = self._groups(obj)
        idle: list[Object] = []
        for facts in self.index.owned(obj["metadata"]["uid"]):
            held = self.index.object(facts)
            if held is None or facts.labels.get(MANAGED_BY) != MANAGER or facts.deleting:
                continue
            group = groups.get(_key(held["addressType"], held.get("ports") or []))
            (group.slices if group is not None else idle).append(held)
        for group in groups.values():
            idle += await self._fill(obj, group)
        for one in idle:
            await self.client.delete(self.slices, one["metadata"]["namespace"], one["metadata"]["name"])

    def _groups(self, service: Object) -> dict[str, _Group]:
        """The endpoints that there should be; each family has a group, an empty one if need be."""
        pods = self.members(service)
        groups: dict[str, _Group] = {}
        for family in service["spec"].get("ipFamilies") or ("IPv4",):
            some = False
            for pod in pods:
                ip, listed = address(pod, FAMILIES[family]), ports(service, pod)
                if ip:
                    group = groups.setdefault(_key(family, listed), _Group(family, listed))
                    group.wanted[pod.uid] = self._endpoint(service, pod, ip)
                    some = True
            if not some:
                groups[_key(family, [])] = _Group(family, [])
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
        return made

    async def _fill(self, service: Object, group: _Group) -> list[Object]:
        """Bring the slices of a group up to date; those that are left empty."""
        missing = dict(group.wanted)
        held = []
        for one in group.slices:
            uids = [(e.get("targetRef") or {}).get("uid", "") for e in one.get("endpoints") or ()]
            held.append([missing.pop(uid) for uid in uids if uid in missing])
        for endpoints in held:
            while missing and len(endpoints) < FULL:
                endpoints.append(missing.pop(next(iter(missing))))
        empty = []
        for at, (one, endpoints) in enumerate(zip(group.slices, held, strict=True)):
            if endpoints or (at == 0 and not group.wanted):
                await self._update(service, one, endpoints)
            else:
                empty.append(one)
        while missing or not group.slices:
            taken = [missing.pop(uid) for uid in list(missing)[:FULL]]
            await self._create(service, group, taken)
            if not missing:
                break
        return empty

    def _labels(self, service: Object) -> dict[str, str]:
        labels = dict(service["metadata"].get("labels") or {})
        labels.pop(HEADLESS, None)
        labels |= {SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: MANAGER}
        return labels | ({HEADLESS: ""} if is_headless(service) else {})

    async def _create(self, service: Object, group: _Group, endpoints: list[Object]) -> None:
        metadata = service["metadata"]
        base = f"{metadata['name']}-"
        made, _ = self.slices.decode_value(
            {
                "metadata": {
                    "name": meta.generate_name(base),
                    "generateName": base,
                    "namespace": metadata["namespace"],
                    "labels": self._labels(service),
                    "ownerReferences": [reference(service)],
                },
                "addressType": group.family,
                "endpoints": endpoints,
                "ports": group.ports,
            }
        )
        await self.client.create(self.slices, made)

    async def _update(self, service: Object, one: Object, endpoints: list[Object]) -> None:
        labels = self._labels(service)
        if (one.get("endpoints") or []) == endpoints and one["metadata"].get("labels") == labels:
            return

        def edit(live: Object) -> None:
            live["endpoints"], live["metadata"]["labels"] = endpoints, labels

        metadata = one["metadata"]
        try:
            await self.client.change(
                self.slices, metadata["namespace"], metadata["name"], edit, uid=metadata["uid"]
            )
        except (errors.NotFound, errors.Conflict):
            return


def _key(family: str, listed: list[Object]) -> str:
    """The same text for equal ports of a family, in any order."""
    ordered = sorted(listed, key=lambda port: (port.get("name", ""), port["port"], port.get("protocol", "")))
    return family + orjson.dumps(ordered, option=orjson.OPT_SORT_KEYS).decode()

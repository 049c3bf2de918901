"""Slices for Endpoints objects that users write for services without a selector (endpointslicemirroring)."""

from collections.abc import Callable
from ipaddress import ip_address

from pilothouse.api.values.fields import Object
from pilothouse.registry.store import decode
from pilothouse.simulate.workloads.endpoints.selection import has_selector
from pilothouse.simulate.workloads.endpoints.slice_writer import EndpointGroups, SliceWriter
from pilothouse.simulate.workloads.index import follow
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler
from pilothouse.storage._entry import Entry

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
MANAGED_BY = "endpoints.kubernetes.io/managed-by"


class EndpointsMirror(Reconciler):
    """Follows Endpoints objects and services."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "v1", "endpoints", "endpoint-slice-mirroring-controller")
        self.services = self.client.resource("", "v1", "services")
        self.writer = SliceWriter(self.client, MANAGER)

    def follows(self) -> list[Callable[[], None]]:
        return [self.writer.listen(self.enqueue), follow(self.client, self.services, self._service_changed)]

    def _service_changed(self, new: Entry | None, old: Entry | None) -> None:
        entry = new if new is not None else old
        assert entry is not None
        metadata = decode(entry)["metadata"]
        self.enqueue(metadata["namespace"], metadata["name"])

    async def reconcile(self, obj: Object) -> None:
        labels = dict(obj["metadata"].get("labels") or {})
        groups = self._groups(obj) if self._is_mirrored(obj, labels) else EndpointGroups()
        await self.writer.write(obj, labels, groups)

    def _is_mirrored(self, obj: Object, labels: dict[str, str]) -> bool:
        """Whether an object is for a service whose pods nobody selects, and is not about a leader."""
        metadata = obj["metadata"]
        service = self.client.readers.get("services", metadata["namespace"], metadata["name"])
        if service is None or has_selector(service) or labels.get(SKIP) == "true" or MANAGED_BY in labels:
            return False
        return LEADER not in (metadata.get("annotations") or {})

    def _groups(self, obj: Object) -> EndpointGroups:
        groups = EndpointGroups()
        for subset in obj.get("subsets") or ():
            ports = [{"name": "", "protocol": "TCP", **port} for port in subset.get("ports") or ()]
            for member, ready in (("addresses", True), ("notReadyAddresses", False)):
                for one in subset.get(member) or ():
                    family = f"IPv{ip_address(one['ip']).version}"
                    groups.group(family, ports).add(_endpoint(one, ready=ready))
        return groups


def _endpoint(one: Object, *, ready: bool) -> Object:
    made: Object = {"addresses": [one["ip"]], "conditions": {"ready": ready}}
    for member in ("hostname", "nodeName", "targetRef"):
        if one.get(member):
            made[member] = one[member]
    return made

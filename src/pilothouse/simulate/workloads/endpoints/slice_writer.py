"""Writes endpoint slices: endpoints stay in the slice that they are in,
and slices fill up (endpointslice/util)."""

from collections.abc import Callable
from dataclasses import field

import orjson

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.values.fields import Object
from pilothouse.process.record import record
from pilothouse.registry.client import Client
from pilothouse.simulate.workloads.index import Indexed, ObjectIndex, plain_facts
from pilothouse.simulate.workloads.ownership import reference

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
FULL = 100
"""Endpoints in a slice (--max-endpoints-per-slice)."""


@record
class EndpointGroup:
    """The endpoints of one family that have the same ports, by their targets,
    and the slices that hold such."""

    family: str
    ports: list[Object]
    wanted: dict[str, Object] = field(default_factory=dict)
    slices: list[Object] = field(default_factory=list)

    def add(self, endpoint: Object) -> None:
        """Add an endpoint that there should be."""
        self.wanted[_target(endpoint)] = endpoint


@record(eq=False)
class SlicePlan:
    """A slice as it is to be. have: the slice as it is, None for a new one. unchanged: whether only hints may
    differ."""

    group: EndpointGroup
    endpoints: list[Object]
    have: Object | None = None
    unchanged: bool = False


SetHints = Callable[[list[SlicePlan]], None]
"""A function that sets the hints of the endpoints of all slices of an owner."""


class EndpointGroups(dict[str, EndpointGroup]):
    """The groups of one service."""

    def group(self, family: str, ports: list[Object]) -> EndpointGroup:
        """The group of a family and ports, which is empty at first."""
        return self.setdefault(_key(family, ports), EndpointGroup(family, ports))


class SliceWriter:
    """Keeps the slices of one manager, which its owners control."""

    def __init__(self, client: Client, manager: str) -> None:
        self.client = client
        self.manager = manager
        self.slices = client.resource("discovery.k8s.io", "v1", "endpointslices")
        self.index = ObjectIndex(client, self.slices, plain_facts)

    def listen(self, changed: Callable[[str, str], None]) -> Callable[[], None]:
        """Call back with namespace and service of a slice that somebody has changed or deleted."""

        def on_change(new: Indexed | None, old: Indexed | None) -> None:
            for one in (new, old):
                if one is not None and one.labels.get(MANAGED_BY) == self.manager:
                    changed(one.namespace, one.labels.get(SERVICE_NAME, ""))

        return self.index.listen(on_change)

    async def write(
        self,
        owner: Object,
        labels: dict[str, str],
        groups: EndpointGroups,
        set_hints: SetHints = lambda plans: None,
    ) -> None:
        """Bring the slices of an owner, which has the name of the service, to what the groups want."""
        labels = {**labels, SERVICE_NAME: owner["metadata"]["name"], MANAGED_BY: self.manager}
        idle: list[Object] = []
        for facts in self.index.owned(owner["metadata"]["uid"]):
            held = self.index.object(facts)
            if held is None or facts.labels.get(MANAGED_BY) != self.manager or facts.deleting:
                continue
            group = groups.get(_key(held["addressType"], held.get("ports") or []))
            (group.slices if group is not None else idle).append(held)
        plans: list[SlicePlan] = []
        for group in groups.values():
            filled, empty = _filled(labels, group)
            plans += filled
            idle += empty
        set_hints(plans)
        for plan in plans:
            if plan.have is None:
                await self._create(owner, labels, plan.group, plan.endpoints)
            else:
                await self._update(labels, plan.have, plan.endpoints)
        for one in idle:
            await self.client.delete(self.slices, one["metadata"]["namespace"], one["metadata"]["name"])

    async def _create(
        self, owner: Object, labels: dict[str, str], group: EndpointGroup, endpoints: list[Object]
    ) -> None:
        metadata = owner["metadata"]
        base = f"{metadata['name']}-"
        named = {"name": meta.generate_name(base), "generateName": base, "namespace": metadata["namespace"]}
        made, _ = self.slices.decode_value(
            {
                "metadata": {**named, "labels": labels, "ownerReferences": [reference(owner)]},
                "addressType": group.family,
                "endpoints": endpoints,
                "ports": group.ports,
            }
        )
        await self.client.create(self.slices, made)

    async def _update(self, labels: dict[str, str], one: Object, endpoints: list[Object]) -> None:
        if (one.get("endpoints") or []) == endpoints and one["metadata"].get("labels") == labels:
            return

        def edit(live: Object) -> None:
            live["endpoints"], live["metadata"]["labels"] = endpoints, labels

        metadata = one["metadata"]
        namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
        try:
            await self.client.change(self.slices, namespace, name, edit, uid=uid)
        except (errors.NotFound, errors.Conflict):
            return


def _filled(labels: dict[str, str], group: EndpointGroup) -> tuple[list[SlicePlan], list[Object]]:
    """The slices of a group as they are to be, and those that are left empty."""
    missing = dict(group.wanted)
    plans, empty = [], []
    for one in group.slices:
        names = map(_target, one.get("endpoints") or ())
        plans.append(SlicePlan(group, [missing.pop(name) for name in names if name in missing], one))
    for plan in plans:
        while missing and len(plan.endpoints) < FULL:
            plan.endpoints.append(missing.pop(next(iter(missing))))
    if group.wanted:
        empty = [plan.have for plan in plans if plan.have is not None and not plan.endpoints]
        plans = [plan for plan in plans if plan.endpoints]
    else:
        empty = [plan.have for plan in plans[1:] if plan.have is not None]
        plans = plans[:1]
    for plan in plans:
        plan.unchanged = _is_unchanged(labels, plan)
    while missing or not plans:
        plans.append(SlicePlan(group, [missing.pop(name) for name in list(missing)[:FULL]]))
    return plans, empty


def _is_unchanged(labels: dict[str, str], plan: SlicePlan) -> bool:
    have = plan.have or {}
    same = [_bare(one) for one in have.get("endpoints") or ()] == [_bare(one) for one in plan.endpoints]
    return same and have["metadata"].get("labels") == labels


def _bare(endpoint: Object) -> Object:
    return {member: value for member, value in endpoint.items() if member != "hints"}


def _target(endpoint: Object) -> str:
    """The text by which an endpoint is known: the uid of its pod, else its address."""
    return str((endpoint.get("targetRef") or {}).get("uid") or endpoint["addresses"][0])


def _key(family: str, listed: list[Object]) -> str:
    """The same text for equal ports of a family, in any order."""
    ordered = sorted(listed, key=lambda port: (port.get("name", ""), port["port"], port.get("protocol", "")))
    return family + orjson.dumps(ordered, option=orjson.OPT_SORT_KEYS).decode()

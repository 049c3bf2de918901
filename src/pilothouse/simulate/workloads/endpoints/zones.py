"""Hints of services with the annotation `service.kubernetes.io/topology-mode: Auto`: each zone has endpoints
in proportion to the processors of its nodes (endpointslice/topologycache)."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import ceil
from typing import NamedTuple

from pilothouse.api.values import quantity
from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.endpoints.slice_writer import SlicePlan
from pilothouse.simulate.workloads.events import EventQueue

ZONE = "topology.kubernetes.io/zone"
MODE, OLD_MODE = "service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"
"""The annotation, and that which comes before it where both are set."""
CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
"""Labels of nodes that do not count."""
LEAST = 1 / (1 + 0.2)
"""The part of its share that a zone has at least: endpoints may get 20 % more than theirs."""
ENABLED, DISABLED = "TopologyAwareHintsEnabled", "TopologyAwareHintsDisabled"

Shares = Mapping[str, float]
"""Zone -> its part of the processors of all zones."""


class Allocation(NamedTuple):
    """The endpoints of a zone: the fewest and the most, and how many would be its share."""

    fewest: int
    most: int
    wanted: float


class NoHints(Exception):
    """Why a service can have no hints, in upstream's words."""


def is_automatic(service: Object) -> bool:
    """Whether a service asks for hints by the annotation; then its traffic distribution does not count."""
    annotations = service["metadata"].get("annotations") or {}
    return annotations.get(OLD_MODE, annotations.get(MODE)) in ("Auto", "auto")


def shares_of(nodes: Iterable[Object]) -> Shares:
    """The shares of the zones by what nodes that are ready can allocate. None where a node does not tell its
    zone or its processors, and where there are fewer than two zones."""
    amounts: Counter[str] = Counter()
    for node in nodes:
        labels = node["metadata"].get("labels") or {}
        if any(label in labels for label in CONTROL_PLANE) or not is_ready(node):
            continue
        zone, amount = labels.get(ZONE), _milli_cpu(node)
        if not zone or not amount:
            return {}
        amounts[zone] += amount
    total = amounts.total()
    return {zone: amount / total for zone, amount in sorted(amounts.items())} if len(amounts) > 1 else {}


def is_ready(node: Object) -> bool:
    """Whether a node has the condition Ready."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _milli_cpu(node: Object) -> int:
    text = ((node.get("status") or {}).get("allocatable") or {}).get("cpu", "0")
    return quantity.parse(text).milli_value()


def allocations_of(shares: Shares, endpoints: int) -> dict[str, Allocation]:
    """How many of the ready endpoints each zone is to have; NoHints."""
    if not shares:
        raise NoHints(
            "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
        )
    about = f"({endpoints} endpoints, {len(shares)} zones)"
    if len(shares) > endpoints:
        raise NoHints(f"Insufficient number of endpoints {about}")
    wanted = {zone: share * endpoints for zone, share in shares.items()}
    fewest = {zone: ceil(number * LEAST) for zone, number in wanted.items()}
    spare = endpoints - sum(fewest.values())
    if spare < 0:
        raise NoHints(
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold "
            + about
        )
    return {
        zone: Allocation(least, least + spare, max(wanted[zone], least)) for zone, least in fewest.items()
    }


def assign(plans: Sequence[SlicePlan], shares: Shares) -> Counter[str]:
    """Give the ready endpoints of the slices of a family their hints; how many each zone has. NoHints.

    Slices that do not change keep their hints as long as these fit.
    """
    allocations = allocations_of(shares, sum(len(_ready(plan.endpoints)) for plan in plans))
    found: Counter[str] = Counter()
    free: list[Object] = []
    for plan in sorted(plans, key=lambda plan: (plan.have is not None, plan.unchanged)):
        kept = _kept(plan, allocations, found)
        if kept is None:
            free += _ready(plan.endpoints)
        else:
            found += kept
    for endpoint in free:
        zone = endpoint.get("zone")
        if not zone:
            raise NoHints("One or more endpoints do not have a zone specified")
        _hint(endpoint, zone)
        found[zone] += 1
    giving, receiving = _moves(allocations, found)
    for endpoint in free:
        zone = endpoint["zone"]
        if giving[zone] > 0 and (other := next((name for name in receiving if receiving[name] > 0), "")):
            _hint(endpoint, other)
            for numbers, name, change in ((giving, zone, -1), (receiving, other, -1), (found, other, 1)):
                numbers[name] += change
            found[zone] -= 1
    if not found:
        raise NoHints("No hints allocated for zones")
    return found


def is_overloaded(found: Mapping[str, int], shares: Shares) -> bool:
    """Whether a zone has too few of the endpoints that were given to zones."""
    total = sum(found.values())
    return not shares or any(
        zone not in found or found[zone] < ceil(total * share * LEAST) for zone, share in shares.items()
    )


def _ready(endpoints: Iterable[Object]) -> list[Object]:
    return [one for one in endpoints if one["conditions"]["ready"]]


def _hint(endpoint: Object, zone: str) -> None:
    endpoint["hints"] = {"forZones": [{"name": zone}]}


def _kept(
    plan: SlicePlan, allocations: Mapping[str, Allocation], found: Mapping[str, int]
) -> Counter[str] | None:
    """The hints that a slice keeps, by zones; None where it is to have others."""
    if not plan.unchanged:
        return None
    kept: Counter[str] = Counter()
    have = (plan.have or {}).get("endpoints") or ()
    for one in _ready(have):
        zones = [zone["name"] for zone in (one.get("hints") or {}).get("forZones") or ()]
        if not zones or not allocations.keys() >= set(zones):
            return None
        kept.update(zones)
    if any(number + found[zone] > allocations[zone].most for zone, number in kept.items()):
        return None
    for one, old in zip(plan.endpoints, have, strict=True):
        if old.get("hints"):
            one["hints"] = old["hints"]
    return kept


def _moves(
    allocations: Mapping[str, Allocation], found: Mapping[str, int]
) -> tuple[Counter[str], Counter[str]]:
    """How many endpoints zones give to others, and how many zones get."""
    over = {zone: found[zone] - one.wanted for zone, one in allocations.items()}
    under = {zone: -number for zone, number in over.items()}
    giving: Counter[str] = Counter()
    receiving: Counter[str] = Counter()
    while True:
        giver, taker = max(over, key=over.__getitem__), max(under, key=under.__getitem__)
        most, least = max(over[giver], under[taker]), min(over[giver], under[taker])
        if most < 1 or least < 0.5:
            return giving, receiving
        giving[giver] += 1
        receiving[taker] += 1
        over[giver] -= 1
        under[taker] -= 1


class ZoneHints:
    """The hints that services have by the annotation, and the events about them."""

    def __init__(self, events: EventQueue) -> None:
        self._events = events
        self._found: dict[str, dict[str, Counter[str]]] = {}
        """`namespace/name` of a service -> family -> zone -> endpoints."""
        self._told: set[str] = set()
        """Services of which an event says that they have hints."""

    def __bool__(self) -> bool:
        """Whether any service has hints."""
        return bool(self._found)

    def set(self, service: Object, plans: Iterable[SlicePlan], nodes: Iterable[Object]) -> None:
        """Give the endpoints of a service their hints, those of each family for themselves."""
        families: dict[str, list[SlicePlan]] = {}
        for plan in plans:
            families.setdefault(plan.group.family, []).append(plan)
        key, shares = _key(service), shares_of(nodes)
        for family, listed in families.items():
            try:
                found = assign(listed, shares)
            except NoHints as why:
                for plan in listed:
                    for endpoint in plan.endpoints:
                        endpoint.pop("hints", None)
                self._forget(key, family)
                self._events.warning(service, DISABLED, f"{why}, addressType: {family}")
                continue
            self._found.setdefault(key, {})[family] = found
            if key not in self._told:
                self._told.add(key)
                note = f"Topology Aware Hints has been enabled, addressType: {family}"
                self._events.normal(service, ENABLED, note)

    def remove(self, service: Object) -> None:
        """Tell that a service does not ask for hints any more, if it had some."""
        key = _key(service)
        if key in self._told:
            family = next(iter(self._found.get(key) or ("IPv4",)))
            note = f"Topology Aware Hints has been disabled, addressType: {family}"
            self._events.warning(service, DISABLED, note)
        self.forget(key)

    def forget(self, key: str) -> None:
        """Forget a service."""
        self._found.pop(key, None)
        self._told.discard(key)

    def overloaded(self, nodes: Iterable[Object]) -> Collection[str]:
        """The services with a zone that has too few endpoints for its nodes."""
        shares = shares_of(nodes)
        return [
            key
            for key, families in self._found.items()
            if any(is_overloaded(found, shares) for found in families.values() if found)
        ]

    def _forget(self, key: str, family: str) -> None:
        families = self._found.get(key, {})
        families.pop(family, None)
        if not families:
            self._found.pop(key, None)
        self._told.discard(key)


def _key(service: Object) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"

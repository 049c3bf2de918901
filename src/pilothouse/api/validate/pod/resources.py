"""Validates pod-level requests and limits; computes a pod's QoS class (helper/qos)."""

from collections.abc import Iterable
from functools import reduce
from operator import add

import orjson

from pilothouse.api.validate.pod.options import PodOptions
from pilothouse.api.validate.resources import (
    COMPUTE,
    amount,
    validate_pod_resource_name,
    validate_requirements,
)
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.pod_resources import aggregate
from pilothouse.api.values.quantity import Quantity
from pilothouse.caches import memo


def validate_pod_resources(spec: Object, path: str, errs: Errors, options: PodOptions) -> None:
    """Validates the requirements of the pod as a whole against those of its containers."""
    path = f"{path}.resources"
    own = spec.get("resources")
    if own is None:
        return
    if own.get("claims"):
        errs.forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level")
    validate_requirements(
        own,
        path,
        errs,
        rule=validate_pod_resource_name,
        claims=frozenset(c["name"] for c in spec.get("resourceClaims") or () if c.get("name")),
        any_huge_page=options.allow_indivisible_huge_pages,
    )
    for name, total in sorted(aggregate(spec, "requests").items()):
        given = (own.get("requests") or {}).get(name, "0")
        if total > amount(given):
            why = f"must be greater than or equal to aggregate container requests of {total}"
            errs.invalid(f"{path}.requests[{name}]", given, why)
    limits = own.get("limits") or {}
    for i, container in enumerate(spec.get("containers") or ()):
        for name, text in sorted(((container.get("resources") or {}).get("limits") or {}).items()):
            if name in limits and amount(text) > amount(limits[name]):
                why = f"must be less than or equal to pod limits of {limits[name]}"
                errs.invalid(f"{path}.containers[{i}][{name}].limits", text, why)


def quality_of_service(spec: Object) -> str:
    """The QoS class of a spec (qos.ComputePodQOS)."""
    own = spec.get("resources")
    if own is not None and _compute(own):
        holders = [own]
    else:
        members = ("containers", "initContainers")
        holders = [c.get("resources") or {} for m in members for c in spec.get(m) or ()]
    return _quality(orjson.dumps(holders).decode())


@memo("pod_qualities", longest=1024, most=1024)
def _quality(holders_json: str) -> str:
    """The QoS class of requirements. PERF: pods of one template have the same."""
    holders: list[Object] = orjson.loads(holders_json)
    given, guaranteed = False, True
    for name in COMPUTE:
        requests, limits = _amounts(holders, "requests", name), _amounts(holders, "limits", name)
        given = given or bool(requests or limits)
        guaranteed = guaranteed and len(limits) == len(holders) and _same_sum(requests, limits)
    if not given:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amounts(holders: Iterable[Object], member: str, name: str) -> list[Quantity]:
    """The amounts above zero of a resource."""
    out = []
    for holder in holders:
        text = (holder.get(member) or {}).get(name)
        if text is not None:
            number = amount(text)
            if number.unscaled > 0:
                out.append(number)
    return out


def _same_sum(some: list[Quantity], others: list[Quantity]) -> bool:
    return bool(some) == bool(others) and (not some or reduce(add, some) == reduce(add, others))


def _compute(resources: Object) -> bool:
    """Whether pod-level resources are set (IsPodLevelResourcesSet)."""
    for member in ("requests", "limits"):
        for name in resources.get(member) or ():
            if name in COMPUTE or name.startswith("hugepages-"):
                return True
    return False

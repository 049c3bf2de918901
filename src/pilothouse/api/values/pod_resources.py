"""Total resources of a pod's containers (component-helpers resource),
and defaults for pod-level resources."""

from collections.abc import Iterable, Mapping

from pilothouse.api.values import quantity
from pilothouse.api.values.fields import Object

Amounts = dict[str, quantity.Quantity]

HUGE_PAGES = "hugepages-"


def amounts(listed: Object | None) -> Amounts:
    """Parse the quantities of a ResourceList."""
    return {name: quantity.parse(text) for name, text in (listed or {}).items()}


def is_pod_level(name: str) -> bool:
    """Whether a resource can be set for a pod as a whole."""
    return name in ("cpu", "memory") or name.startswith(HUGE_PAGES)


def is_sidecar(container: Object) -> bool:
    """Whether an init container keeps running besides the regular ones."""
    return container.get("restartPolicy") == "Always"


def add(total: Amounts, more: Mapping[str, quantity.Quantity]) -> None:
    """Add to every named amount, in place."""
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def _raise(total: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        if name not in total or amount > total[name]:
            total[name] = amount


def aggregate(spec: Object, member: str) -> Amounts:
    """The effective `requests` or `limits` of a pod:
    the maximum over its start-up steps and its normal operation.

    Init containers run one after another before the others, together with the sidecars started before them.
    """
    total: Amounts = {}
    for container in spec.get("containers") or ():
        add(total, amounts(container["resources"].get(member)))
    sidecars: Amounts = {}
    startup: Amounts = {}
    for container in spec.get("initContainers") or ():
        step = amounts(container["resources"].get(member))
        if is_sidecar(container):
            add(total, step)
            add(sidecars, step)
            step = {name: sidecars[name] for name in step}
        else:
            step = {n: a + sidecars[n] if n in sidecars else a for n, a in step.items()}
        _raise(startup, step)  # resources that only the sidecars use are in `startup` already
    _raise(total, startup)
    return total


def effective_requests(spec: Object) -> Amounts:
    """The resources that a node must have for a pod:
    its containers or, where it says so, the pod as a whole, and its overhead."""
    total = aggregate(spec, "requests")
    own = amounts((spec.get("resources") or {}).get("requests"))
    total.update((name, amount) for name, amount in own.items() if is_pod_level(name))
    add(total, amounts(spec.get("overhead")))
    return total


def default_pod_level(spec: Object) -> None:
    """Set defaults in `spec.resources` if some of its values are set (KEP-2837)."""
    resources = spec.get("resources")
    if not resources or not (resources.get("limits") or resources.get("requests")):
        return
    requests = resources.get("requests") or {}
    limits = dict(resources.get("limits") or {})
    for name, amount in aggregate(spec, "limits").items():
        if name.startswith(HUGE_PAGES) and name not in requests:
            limits.setdefault(name, str(amount))
    if limits:
        resources["limits"] = limits
        requests = dict(requests)
        _complete(
            requests, ((n, str(a)) for n, a in aggregate(spec, "requests").items() if n in ("cpu", "memory"))
        )
        _complete(requests, ((name, text) for name, text in limits.items() if is_pod_level(name)))
        if requests:
            resources["requests"] = requests


def _complete(out: Object, items: Iterable[tuple[str, str]]) -> None:
    for name, text in items:
        out.setdefault(name, text)

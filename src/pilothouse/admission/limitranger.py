"""LimitRanger: sets default resources on containers
and enforces a namespace's LimitRanges for pods and claims."""

from collections.abc import Callable, Iterable

from pilothouse.admission.about import CREATE, UPDATE, WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.fields import Object
from pilothouse.api.values.quantity import Quantity, parse
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.resource import Resource

CONTAINER, POD, CLAIM = "Container", "Pod", "PersistentVolumeClaim"
ANNOTATION = "kubernetes.io/limit-ranger"

Amounts = dict[str, str]


class LimitRanger(AdmissionPlugin):
    """Enforces LimitRanges. It reports a fault that several containers share once, as upstream does."""

    name = "LimitRanger"
    about = (
        About((CREATE,), ("pods",)),
        About((UPDATE,), ("pods/resize",)),
        About(WRITES, ("persistentvolumeclaims",)),
    )

    def mutates(self, resource: Resource) -> bool:
        return resource.group_resource == "pods"

    def mutate(self, a: AdmissionAttributes) -> None:
        """Upstream gives defaults on a resize, too."""
        if a.old is not None and _is_going(a.old):
            return
        assert a.obj is not None
        for limit_range in a.readers.list("limitranges", a.namespace):
            _set_defaults(a, a.obj, limit_range)

    def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        if a.old is not None and _is_going(a.old):
            return
        check = _pod_faults if a.resource.group_resource == "pods" else _claim_faults
        for limit_range in a.readers.list("limitranges", a.namespace):
            limits = limit_range["spec"].get("limits") or []
            faults = list(dict.fromkeys(f for limit in limits for f in check(a.obj, limit)))
            if faults:
                raise a.refuse(faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")


def _is_going(old: Object) -> bool:
    """Whether the stored object is being deleted: limits do not keep it from that."""
    return bool(old["metadata"].get("deletionTimestamp"))


def _set_defaults(a: AdmissionAttributes, pod: Object, limit_range: Object) -> None:
    requests: Amounts = {}
    limits: Amounts = {}
    for limit in limit_range["spec"].get("limits") or []:
        if limit.get("type") == CONTAINER:
            requests.update(limit.get("defaultRequest") or {})
            limits.update(limit.get("default") or {})
    notes = []
    for kind, what in (("containers", "container"), ("initContainers", "init container")):
        for at, container in enumerate(pod["spec"].get(kind) or []):
            added = _merge(container, requests, limits, f"{what} {container.get('name', '')}")
            if added:
                a.changed(f"spec.{kind}[{at}].resources")
            notes += added
    if notes:
        a.changed(f"metadata.annotations[{ANNOTATION}]")
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations[ANNOTATION] = "LimitRanger plugin set: " + "; ".join(notes)


def _merge(container: Object, requests: Amounts, limits: Amounts, what: str) -> list[str]:
    resources = container.setdefault("resources", {})
    notes = []
    for member, defaults, text in (("limits", limits, "limit"), ("requests", requests, "request")):
        have = resources.get(member) or {}
        missing = {name: amount for name, amount in defaults.items() if name not in have}
        if missing:
            resources[member] = {**have, **missing}
            notes.append(f"{', '.join(sorted(missing))} {text} for {what}")
    return notes[::-1]


def _minimum(limit: Object, name: str, requests: Amounts, limits: Amounts) -> str | None:
    kind, bound = limit["type"], limit["min"][name]
    if name not in requests:
        return f"minimum {name} usage per {kind} is {bound}.  No request is specified"
    if parse(requests[name]) < parse(bound):
        return f"minimum {name} usage per {kind} is {bound}, but request is {requests[name]}"
    if name in limits and parse(limits[name]) < parse(bound):
        return f"minimum {name} usage per {kind} is {bound}, but limit is {limits[name]}"
    return None


def _maximum(limit: Object, name: str, requests: Amounts, limits: Amounts) -> str | None:
    kind, bound = limit["type"], limit["max"][name]
    if name not in limits:
        return f"maximum {name} usage per {kind} is {bound}.  No limit is specified"
    if parse(limits[name]) > parse(bound):
        return f"maximum {name} usage per {kind} is {bound}, but limit is {limits[name]}"
    if name in requests and parse(requests[name]) > parse(bound):
        return f"maximum {name} usage per {kind} is {bound}, but request is {requests[name]}"
    return None


def _ratio(limit: Object, name: str, requests: Amounts, limits: Amounts) -> str | None:
    kind, bound = limit["type"], limit["maxLimitRequestRatio"][name]
    for amounts, what in ((requests, "request"), (limits, "limit")):
        if name not in amounts or not parse(amounts[name]):
            return (
                f"{name} max limit to request ratio per {kind} is {bound}, but no {what} is specified or"
                f" {what} is 0"
            )
    found = parse(limits[name]).as_decimal() / parse(requests[name]).as_decimal()
    if found > parse(bound).as_decimal():
        return f"{name} max limit to request ratio per {kind} is {bound}, but provided ratio is {found:.6f}"
    return None


RULES: tuple[tuple[str, Callable[[Object, str, Amounts, Amounts], str | None]], ...] = (
    ("min", _minimum),
    ("max", _maximum),
    ("maxLimitRequestRatio", _ratio),
)


def _faults(limit: Object, requests: Amounts, limits: Amounts) -> Iterable[str]:
    for member, rule in RULES:
        for name in sorted(limit.get(member) or {}):
            fault = rule(limit, name, requests, limits)
            if fault is not None:
                yield fault


def _pod_faults(pod: Object, limit: Object) -> Iterable[str]:
    spec = pod["spec"]
    if limit.get("type") == CONTAINER:
        for kind in ("containers", "initContainers"):
            for container in spec.get(kind) or []:
                resources = container.get("resources") or {}
                yield from _faults(limit, resources.get("requests") or {}, resources.get("limits") or {})
    elif limit.get("type") == POD:
        yield from _faults(limit, _pod_amounts(spec, "requests"), _pod_amounts(spec, "limits"))


def _pod_amounts(spec: Object, member: str) -> Amounts:
    """The pod's total: the sum of its containers, or the largest init container if that is more.

    Sidecars (restartable init containers) count together with the containers and with each init container
    that starts after them. Amounts set for the pod as a whole override the total.
    """
    total: dict[str, Quantity] = {}
    for container in spec.get("containers") or []:
        _add(total, container, member)
    running: dict[str, Quantity] = {}
    peak: dict[str, Quantity] = {}
    for container in spec.get("initContainers") or []:
        own = (container.get("resources") or {}).get(member) or {}
        together = {name: running[name] for name in own if name in running}
        _add(together, container, member)
        if container.get("restartPolicy") == "Always":
            _add(total, container, member)
            running.update(together)
        for (
            name,
            amount,
        ) in together.items():  # amounts of other resources were compared at an earlier init container
            if name not in peak or amount > peak[name]:
                peak[name] = amount
    for name, amount in peak.items():
        if name not in total or amount > total[name]:
            total[name] = amount
    out = {name: amount.canonical() for name, amount in total.items()}
    out.update((spec.get("resources") or {}).get(member) or {})
    return out


def _add(total: dict[str, Quantity], container: Object, member: str) -> None:
    for name, amount in ((container.get("resources") or {}).get(member) or {}).items():
        value = parse(amount)
        total[name] = total[name] + value if name in total else value


def _claim_faults(claim: Object, limit: Object) -> Iterable[str]:
    if limit.get("type") != CLAIM:
        return
    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
    for member, rule in (("min", _claim_minimum), ("max", _claim_maximum)):
        for name in sorted(limit.get(member) or {}):
            fault = rule(limit, name, requests)
            if fault is not None:
                yield fault


def _claim_minimum(limit: Object, name: str, requests: Amounts) -> str | None:
    return _minimum(limit, name, requests, {})


def _claim_maximum(limit: Object, name: str, requests: Amounts) -> str | None:
    bound = limit["max"][name]
    if name not in requests:
        return f"maximum {name} usage per {limit['type']} is {bound}.  No request is specified"
    if parse(requests[name]) > parse(bound):
        return f"maximum {name} usage per {limit['type']} is {bound}, but request is {requests[name]}"
    return None

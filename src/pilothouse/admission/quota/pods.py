"""The charges of pods, and the scopes in which they are (pkg/quota/v1/evaluator/core/pods.go)."""

import time
from collections.abc import Iterable

from pilothouse.admission.quota.amounts import ONE, largest
from pilothouse.admission.quota.scopes import selects
from pilothouse.api.validate.pod.resources import quality_of_service
from pilothouse.api.validate.resources import is_extended, is_native
from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.api.values.pod_resources import Amounts, add, aggregate, amounts, is_pod_level

COMPUTE = ("cpu", "memory", "ephemeral-storage")
HUGE_PAGES = "hugepages-"
DEVICE_CLASS = "deviceclass.resource.kubernetes.io/"
REQUESTS, LIMITS = "requests.", "limits."
NAMES = frozenset(("count/pods", "pods", *COMPUTE, *(p + n for p in (REQUESTS, LIMITS) for n in COMPUTE)))
REQUIRED = frozenset(
    ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"),
)
"""The resources that every container must set where a quota counts them.
Upstream keeps this rule for the old resources only."""


def is_extended_quota(name: str) -> bool:
    """Whether a quota's name stands for an extended resource, `requests.example.com/gpu`."""
    return name.startswith(REQUESTS) and (not is_native(name) or name.startswith(REQUESTS + DEVICE_CLASS))


def matches(name: str) -> bool:
    """Whether a name in a quota is charged by pods."""
    return name in NAMES or name.startswith((HUGE_PAGES, REQUESTS + HUGE_PAGES)) or is_extended_quota(name)


def is_terminating(pod: Object) -> bool:
    """Whether the pod has a deadline: the scope Terminating."""
    deadline = (pod.get("spec") or {}).get("activeDeadlineSeconds")
    return deadline is not None and deadline >= 0


def is_running(pod: Object, now: float) -> bool:
    """Whether the pod is charged for compute resources: it has not ended, and is not overdue with its end."""
    if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return False
    metadata = pod["metadata"]
    deleted, grace = metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")
    if not deleted or grace is None:
        return True
    return now <= times.after(times.to_unix(deleted)[0], grace)


def usage(pod: Object) -> Amounts:
    """The amounts that a pod is charged; only as an object once it has ended."""
    out: Amounts = {"count/pods": ONE}
    if is_running(pod, time.time()):
        out.update(_charges(_total(pod, "requests"), _total(pod, "limits")))
    return out


def _charges(requests: Amounts, limits: Amounts) -> Amounts:
    """Requests and limits under the names that quotas have for them."""
    out: Amounts = {"pods": ONE}
    for name in COMPUTE:
        if name in requests:
            out[name] = out[REQUESTS + name] = requests[name]
        if name in limits:
            out[LIMITS + name] = limits[name]
    for name, amount in requests.items():
        if name.startswith(HUGE_PAGES):
            out[name] = out[REQUESTS + name] = amount
        elif name.startswith(DEVICE_CLASS) or is_extended(name):
            out[REQUESTS + name] = amount
    return out


def _total(pod: Object, member: str) -> Amounts:
    """Requests or limits of the whole pod,
    while it is resized the larger of what it has and what it wants."""
    spec, status = pod["spec"], pod.get("status") or {}
    infeasible = any(
        c.get("type") == "PodResizePending" and c.get("reason") == "Infeasible"
        for c in status.get("conditions") or ()
    )
    reported = {
        s.get("name"): s
        for kind in ("containerStatuses", "initContainerStatuses")
        for s in status.get(kind) or ()
        if s.get("resources") is not None
    }
    effective = {
        kind: [
            {
                "restartPolicy": c.get("restartPolicy"),
                "resources": {member: _wanted(c, reported.get(c.get("name")), member, infeasible)},
            }
            for c in spec.get(kind) or ()
        ]
        for kind in ("containers", "initContainers")
    }
    total = aggregate(effective, member)
    pod_level = _wanted(spec, status, member, infeasible)
    total.update({name: amount for name, amount in amounts(pod_level).items() if is_pod_level(name)})
    overhead = amounts(spec.get("overhead"))
    add(total, overhead if member == "requests" else {n: a for n, a in overhead.items() if n in total})
    return total


def _wanted(holder: Object, status: Object | None, member: str, infeasible: bool) -> Object:
    """A member of a container's or pod's resources with regard to the state of its resize (KEP-1287)."""
    wanted: Object = (holder.get("resources") or {}).get(member) or {}
    if not wanted or not status:
        return wanted
    has = (status.get("resources") or {}).get(member) or {}
    allocated = status.get("allocatedResources") or {} if member == "requests" else {}
    if not has and not allocated:
        return wanted
    parts = [has, allocated] if infeasible else [wanted, has, allocated]
    return {name: str(amount) for name, amount in largest(map(amounts, parts)).items()}


def missing(required: Iterable[str], pod: Object) -> str:
    """The resources that the quota counts and containers do not set:
    `must specify limits.cpu for: c`; "" if nothing is missing."""
    spec = pod["spec"]
    resources = spec.get("resources") or {}
    if any(is_pod_level(n) for m in ("requests", "limits") for n in resources.get(m) or {}):
        return ""
    wanted = REQUIRED & set(required)
    without: dict[str, set[str]] = {}
    for kind in ("containers", "initContainers"):
        for container in spec.get(kind) or ():
            resources = container.get("resources") or {}
            given = _charges(amounts(resources.get("requests")), amounts(resources.get("limits")))
            for name in wanted - given.keys():
                without.setdefault(name, set()).add(container.get("name", ""))
    if not without:
        return ""
    return "must specify " + "; ".join(f"{n} for: {','.join(sorted(without[n]))}" for n in sorted(without))


def in_scope(requirement: Object, pod: Object) -> bool:
    """Whether a pod is in a scope of a quota."""
    scope, spec = requirement.get("scopeName"), pod["spec"]
    if scope == "Terminating":
        return is_terminating(pod)
    if scope == "NotTerminating":
        return not is_terminating(pod)
    if scope == "BestEffort":
        return _quality(pod) == "BestEffort"
    if scope == "NotBestEffort":
        return _quality(pod) != "BestEffort"
    if scope == "PriorityClass":
        name = spec.get("priorityClassName")
        return selects(requirement, [name] if name else [])
    return scope == "CrossNamespacePodAffinity" and _crosses(spec)


def _quality(pod: Object) -> str:
    given = (pod.get("status") or {}).get("qosClass")
    return given or quality_of_service(pod["spec"])


def _crosses(spec: Object) -> bool:
    """Whether an affinity term looks at pods of other namespaces."""
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        preferred = rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms = [
            *(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()),
            *(w.get("podAffinityTerm") or {} for w in preferred),
        ]
        if any(t.get("namespaces") or t.get("namespaceSelector") is not None for t in terms):
            return True
    return False

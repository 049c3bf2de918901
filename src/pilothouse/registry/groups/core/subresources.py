"""Actions on core objects: bind a pod, evict a pod, read and set the Scale of a replication controller."""

from typing import Any

from pilothouse import errors
from pilothouse.api.values import selectors
from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.groups import rules
from pilothouse.registry.readers import Readers
from pilothouse.registry.strategy import Strategy, WriteContext

BINDING = Strategy()
"""The strategy for binding: the pod is written as it is, only the binding is validated."""

MAX_DISRUPTED = 2000
"""Evictions not yet confirmed by the disruption controller, above which further ones are refused."""
BUDGET = "poddisruptionbudget"
_WOULD_VIOLATE = "Cannot evict pod as it would violate the pod's disruption budget."


def check_binding(binding: Object) -> None:
    """Raise InternalError if the binding names no node;
    upstream returns the causes as an untyped error too."""
    errs = Errors()
    rules.core.validate_binding(binding, errs)
    texts = [f"{c['field']}: {c['message']}" for c in errs.causes]
    if texts:
        raise errors.Unknown(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")


def apply_binding(ctx: WriteContext, pod: Object, binding: Object) -> None:
    """Assign the pod to the node, in place;
    raises Conflict if it has a node, is being deleted or has gates."""
    metadata, spec = pod["metadata"], pod.setdefault("spec", {})
    name, wanted = metadata.get("name", ""), binding["metadata"]
    uid, version = wanted.get("uid"), _version(binding)
    for what, asked, found in (
        ("UID", uid, metadata.get("uid")),
        ("ResourceVersion", version, _version(pod)),
    ):
        if asked and asked != found:
            key = ctx.resource.key(metadata.get("namespace", ""), name)
            why = (
                f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
                f"Precondition failed: {what} in precondition: {asked}, {what} in object meta: {found}"
            )
            raise errors.conflict("", "pods", name, why)
    if metadata.get("deletionTimestamp"):
        raise _conflict(name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        raise _conflict(name, f'pod {name} is already assigned to node "{spec["nodeName"]}"')
    if spec.get("schedulingGates"):
        raise _conflict(name, f"pod {name} has non-empty .spec.schedulingGates")
    spec["nodeName"] = (binding.get("target") or {}).get("name", "")
    for member in ("annotations", "labels"):
        if wanted.get(member):
            metadata[member] = {**(metadata.get(member) or {}), **wanted[member]}
    status = pod.setdefault("status", {})
    status.pop("nominatedNodeName", None)
    _set_condition(status, "PodScheduled", ctx.now)


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion") or "")


def _conflict(name: str, why: str) -> errors.Conflict:
    return errors.conflict("", "pods/binding", name, why)


def mark_evicted(pod: Object, now: str) -> None:
    """Set the condition by which controllers know a pod that was disrupted, in place (KEP-3329)."""
    why = {"reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
    _set_condition(pod.setdefault("status", {}), "DisruptionTarget", now, why)


def _set_condition(status: Object, type_: str, now: str, more: Object | None = None) -> None:
    """Set a condition to True; the time of its transition stays when it was (podutil.UpdatePodCondition)."""
    condition = {
        "type": type_,
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": now,
        **(more or {}),
    }
    conditions = list(status.get("conditions") or ())
    for i, old in enumerate(conditions):
        if old.get("type") == type_:
            if old.get("status") == "True":
                condition["lastTransitionTime"] = old.get("lastTransitionTime")
            conditions[i] = condition
            break
    else:
        conditions.append(condition)
    status["conditions"] = conditions


def can_ignore_budgets(pod: Object) -> bool:
    """Whether no budget applies: the pod has ended, is not running yet, or is being deleted."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


def evict(readers: Readers, namespace: str, pod: Object, options: Object, now: str) -> Object | None:
    """Decide on an eviction. Returns the budget with one disruption less,
    which must be written first, or None.

    Raises TooManyRequests, Forbidden or Unknown. If the decision depends on the pod's current state, adds its
    resourceVersion to `options` (DeleteOptions) as a precondition.
    """
    phase = (pod.get("status") or {}).get("phase")
    if can_ignore_budgets(pod):
        if phase not in ("Succeeded", "Failed") and not pod["metadata"].get("deletionTimestamp"):
            _require_version(pod, options)
        return None
    budgets = matching_budgets(readers, namespace, pod)
    if len(budgets) > 1:
        what = (
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
        raise errors.Unknown(what)
    if not budgets:
        return None
    budget = budgets[0]
    status = budget.get("status") or {}
    if not _is_ready(pod) and _may_go_unready(budget, status):
        _require_version(pod, options)
        return None
    return charge(budget, pod["metadata"].get("name", ""), now)


def _require_version(pod: Object, options: Object) -> None:
    preconditions = dict(options.get("preconditions") or {})
    if preconditions.get("resourceVersion") is None:
        preconditions["resourceVersion"] = pod["metadata"].get("resourceVersion", "")
        options["preconditions"] = preconditions


def matching_budgets(readers: Readers, namespace: str, pod: Object) -> list[Object]:
    """The budgets whose selector matches the pod; one with an invalid selector matches none."""
    labels = pod["metadata"].get("labels") or {}
    out = []
    for budget in readers.list("poddisruptionbudgets.policy", namespace):
        selector = (budget.get("spec") or {}).get("selector")
        try:
            if selectors.from_label_selector(selector).matches_labels(labels):
                out.append(budget)
        except errors.BadRequest:
            continue
    return out


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _may_go_unready(budget: Object, status: Object) -> bool:
    """Whether a pod that is not ready may be evicted:
    by the budget's policy, or if enough others are healthy."""
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    desired = status.get("desiredHealthy", 0)
    return bool(status.get("currentHealthy", 0) >= desired > 0)


def charge(budget: Object, pod_name: str, now: str) -> Object:
    """A copy of the budget with one disruption less;
    raises TooManyRequests or Forbidden if none is allowed."""
    status, name = dict(budget.get("status") or {}), budget["metadata"].get("name", "")
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _too_many(f"The disruption budget {name} is still being processed by the server.", 10)
    allowed, disrupted = status.get("disruptionsAllowed", 0), dict(status.get("disruptedPods") or {})
    if allowed < 0:
        raise errors.forbidden("policy", BUDGET, name, "pdb disruptions allowed is negative")
    if len(disrupted) > MAX_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise errors.forbidden("policy", BUDGET, name, why)
    if allowed == 0:
        needs, has = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _too_many(_shortage(budget, name, needs, has), 0)
    status["disruptionsAllowed"] = allowed - 1
    if allowed == 1:
        status["conditions"] = _disallow_disruptions(status.get("conditions") or [], budget, now)
    disrupted[pod_name] = now
    status["disruptedPods"] = disrupted
    return {**budget, "metadata": dict(budget["metadata"]), "status": status}


def _shortage(budget: Object, name: str, needs: int, has: int) -> str:
    if has <= needs:
        return f"The disruption budget {name} needs {needs} healthy pods and has {has} currently"
    for condition in (budget.get("status") or {}).get("conditions") or ():
        failed = condition.get("status") == "False" and condition.get("reason") == "SyncFailed"
        if failed and condition.get("type") == "DisruptionAllowed":
            why = condition.get("message", "")
            return f"The disruption budget {name} does not allow evicting pods because it failed sync: {why}"
    return f"The disruption budget {name} does not allow evicting pods currently"


def _too_many(cause: str, seconds: int) -> errors.TooManyRequests:
    details: dict[str, Any] = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    headers = []
    if seconds:
        details["retryAfterSeconds"] = seconds
        headers = [("Retry-After", str(seconds))]
    return errors.TooManyRequests(_WOULD_VIOLATE, details=details, headers=headers)


def _disallow_disruptions(conditions: list[Object], budget: Object, now: str) -> list[Object]:
    """Set the condition DisruptionAllowed to False, since the last allowed disruption is used."""
    condition = {
        "type": "DisruptionAllowed",
        "status": "False",
        "observedGeneration": (budget.get("status") or {}).get("observedGeneration", 0),
        "lastTransitionTime": now,
        "reason": "InsufficientPods",
        "message": "",
    }
    for old in conditions:
        if old.get("type") == "DisruptionAllowed" and old.get("status") == "False":
            condition["lastTransitionTime"] = old.get("lastTransitionTime")
    kept = [c for c in conditions if c.get("type") != "DisruptionAllowed"]
    return [*kept, condition]


def scale_of(controller: Object) -> Object:
    """The autoscaling/v1 Scale of a replication controller, whose selector is a plain map of labels."""
    metadata, spec = controller["metadata"], controller.get("spec") or {}
    members = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Object = {"replicas": (controller.get("status") or {}).get("replicas", 0)}
    selector = spec.get("selector") or {}
    if selector:
        status["selector"] = ",".join(f"{k}={v}" for k, v in sorted(selector.items()))
    replicas = spec.get("replicas", 0)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {m: metadata[m] for m in members if metadata.get(m)},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def set_scale(controller: Object, scale: Object) -> None:
    """Set the controller's replicas from a Scale, in place."""
    controller.setdefault("spec", {})["replicas"] = (scale.get("spec") or {}).get("replicas", 0)

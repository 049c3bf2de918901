"""Pod strategies: prepares creates, updates, status, resize and ephemeral containers;
computes the grace period."""

from collections import deque
from collections.abc import Iterator

from pilothouse.api.validate.common import equal
from pilothouse.api.values import addresses, names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import KEPT_METADATA, pod_policy
from pilothouse.registry.strategy import WHOLE_WITHIN, Strategy, WriteContext

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def drop_disabled_fields(spec: Object, old: Object | None = None) -> None:
    """Clear fields of disabled alpha features unless the old spec uses them (DropDisabledPodFields)."""
    before = old or {}
    if before.get("schedulingGroup") is None:
        spec.pop("schedulingGroup", None)
    signals = [c for c in rules.pod_visit.containers(spec) if "stopSignal" in (c.get("lifecycle") or ())]
    if signals and not any(
        (c.get("lifecycle") or {}).get("stopSignal") for c in rules.pod_visit.containers(before)
    ):
        for container in signals:
            del container["lifecycle"]["stopSignal"]
            if not container["lifecycle"]:
                del container["lifecycle"]
    for member in ("clusterTrustBundle", "podCertificate"):
        using = [source for source in _projections(spec) if member in source]
        if using and not any(source.get(member) for source in _projections(before)):
            for source in using:
                del source[member]


def _projections(spec: Object) -> Iterator[Object]:
    for volume in spec.get("volumes") or ():
        if "projected" in volume:
            yield from (volume["projected"] or {}).get("sources") or ()


def _prepare_create(ctx: WriteContext, pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    given = (pod.get("status") or {}).get("qosClass")
    pod["status"] = {"phase": "Pending", "qosClass": given or rules.pod_resources.quality_of_service(spec)}
    drop_disabled_fields(spec)
    if spec.get("schedulingGates"):
        pod["status"]["conditions"] = [_gated(ctx.now)]
    _merge_label_keys(pod)
    _sync_apparmor(ctx, pod)


def _gated(now: str) -> Object:
    return {
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": None,
        "lastTransitionTime": now,
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }


def _merge_label_keys(pod: Object) -> None:
    """Merge the pod's values of matchLabelKeys and mismatchLabelKeys into its label selectors."""
    labels, spec = pod["metadata"].get("labels") or {}, pod["spec"]
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind)
        if not rules:
            continue
        terms = [t.get("podAffinityTerm") or {} for t in rules.get(_PREFERRED) or ()]
        for term in (*terms, *(rules.get(_REQUIRED) or ())):
            _merge(term, "matchLabelKeys", "In", labels)
            _merge(term, "mismatchLabelKeys", "NotIn", labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _merge(constraint, "matchLabelKeys", "In", labels)


def _merge(holder: Object, member: str, operator: str, labels: Object) -> None:
    selector = holder.get("labelSelector")
    if selector is None:
        return
    added = [
        {"key": k, "operator": operator, "values": [labels[k]]}
        for k in holder.get(member) or ()
        if k in labels and len(labels[k]) <= names.LABEL_MAX  # validation refuses longer values
    ]
    if added:
        selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *added]


def _sync_apparmor(ctx: WriteContext, pod: Object) -> None:
    """Copy AppArmor profiles from the deprecated annotations into fields (KEP-24, version skew)."""
    spec, annotations = pod["spec"], pod["metadata"].get("annotations") or {}
    if (spec.get("os") or {}).get("name") == "windows":
        return
    of_pod = (spec.get("securityContext") or {}).get("appArmorProfile")
    profiles = {
        k: _apparmor_field(text)
        for k, text in annotations.items()
        if k.startswith(rules.pod_annotations.APPARMOR)
    }
    for container in rules.pod_visit.containers(spec) if profiles else ():
        key = rules.pod_annotations.APPARMOR + container.get("name", "")
        own = (container.get("securityContext") or {}).get("appArmorProfile")
        if key not in annotations or own is not None:
            continue
        profile = profiles[key]
        if profile is not None and profile == of_pod:
            continue
        if profile is not None:
            container["securityContext"] = {
                **(container.get("securityContext") or {}),
                "appArmorProfile": dict(profile),
            }
        text = 'deprecated since v1.30; use the "appArmorProfile" field instead'
        ctx.warnings.append(f"metadata.annotations[{key}]: {text}")


def _apparmor_field(text: str) -> Object | None:
    if text == "unconfined":
        return {"type": "Unconfined"}
    if text in ("", "runtime/default"):
        return {"type": "RuntimeDefault"}
    file = text.removeprefix("localhost/")
    if file == text or not file or file != file.strip() or names.size(file) > 4095:
        return None
    return {"type": "Localhost", "localhostProfile": file}


def _increment_generation(pod: Object, old: Object) -> None:
    if not equal(pod["spec"], old["spec"]):
        pod["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _prepare_update(ctx: WriteContext, pod: Object, old: Object) -> None:
    if pod["spec"] is not old["spec"]:
        drop_disabled_fields(pod["spec"], old["spec"])
        _increment_generation(pod, old)


def _prepare_status(ctx: WriteContext, pod: Object, old: Object) -> None:
    """Prepare a kubelet's status update; keeps fields that older kubelets do not send."""
    pod["metadata"].pop("deletionTimestamp", None)
    status, before = pod.setdefault("status", {}), old.get("status") or {}
    if not status.get("qosClass") and before.get("qosClass"):
        status["qosClass"] = before["qosClass"]
    if not status.get("observedGeneration") and before.get("observedGeneration"):
        status["observedGeneration"] = before["observedGeneration"]
    known: dict[str, deque[int]] = {}
    for condition in before.get("conditions") or ():
        known.setdefault(condition.get("type", ""), deque()).append(condition.get("observedGeneration", 0))
    for condition in status.get("conditions") or ():
        generations = known.get(condition.get("type", ""))
        generation = generations.popleft() if generations else 0
        if not condition.get("observedGeneration") and generation:
            condition["observedGeneration"] = generation


def _prepare_ephemeral(ctx: WriteContext, pod: Object, old: Object) -> None:
    sent = pod["spec"].get("ephemeralContainers")
    pod["spec"] = dict(old["spec"])
    if sent:
        pod["spec"]["ephemeralContainers"] = sent
    else:
        pod["spec"].pop("ephemeralContainers", None)
    _increment_generation(pod, old)


def _prepare_resize(ctx: WriteContext, pod: Object, old: Object) -> None:
    """Take only resources and resize policies from the client;
    validation refuses added or renamed containers."""
    spec, before = pod["spec"], old["spec"]
    lists = {m: (spec.get(m) or [], before.get(m) or []) for m in ("containers", "initContainers")}
    if all(len(new) == len(listed) for new, listed in lists.values()):
        resources = spec.get("resources")
        kept = {**before, **{m: _resized(*pair) for m, pair in lists.items() if pair[0]}}
        if resources is not None:
            kept["resources"] = resources
        else:
            kept.pop("resources", None)
        pod["spec"] = kept
    _increment_generation(pod, old)


def _resized(new: list[Object], old: list[Object]) -> list[Object]:
    if any(one.get("name") != two.get("name") for one, two in zip(new, old, strict=True)):
        return new
    out = []
    for one, two in zip(new, old, strict=True):
        kept = dict(two)
        for member in ("resources", "resizePolicy"):
            if one.get(member) is not None:
                kept[member] = one[member]
            else:
                kept.pop(member, None)
        out.append(kept)
    return out


def grace_period(pod: Object, asked: int | None) -> int:
    """The pod's grace period in seconds;
    0 if it is not assigned to a node or has ended (CheckGracefulDelete)."""
    spec, phase = pod.get("spec") or {}, (pod.get("status") or {}).get("phase")
    period = asked if asked is not None else spec.get("terminationGracePeriodSeconds") or 0
    if not spec.get("nodeName") or phase in ("Failed", "Succeeded"):
        return 0
    return 1 if period < 0 else period


def _validate(ctx: WriteContext, pod: Object, errs: Errors) -> None:
    policy = pod_policy(ctx)
    rules.pod_spec.validate_pod(pod, errs, policy, large=bool(ctx.work.bytes))
    if not errs.causes:
        policy.remember_valid(pod)


def _validate_update(ctx: WriteContext, pod: Object, old: Object, errs: Errors) -> None:
    rules.pod_update.validate_pod_update(pod, old, errs, pod_policy(ctx))


def _warnings(ctx: WriteContext, pod: Object, old: Object | None) -> list[str]:
    return rules.pod_warnings.pod_warnings(pod, pod_policy(ctx)) if old is None else []


def _status_warnings(ctx: WriteContext, pod: Object, old: Object | None) -> list[str]:
    status = pod.get("status") or {}
    return [
        warning
        for member in ("podIPs", "hostIPs")
        for i, entry in enumerate(status.get(member) or ())
        for warning in addresses.ip_warnings(f"status.{member}[{i}].ip", entry.get("ip", ""))
    ]


POD = Strategy(
    generation_on_create=1,
    keep_on_update=(("status",),),
    shared_on_update=("spec",),
    apply_reset=(("status",),),
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=_validate,
    validate_update=_validate_update,
    update_order=WHOLE_WITHIN,
    warnings=_warnings,
    grace_period=grace_period,
    return_deleted=True,
)
STATUS = Strategy(
    keep_on_update=(("spec",), ("metadata", "ownerReferences")),
    apply_reset=(("spec",), ("metadata", "deletionTimestamp"), ("metadata", "ownerReferences")),
    prepare_update=_prepare_status,
    validate_update=lambda ctx, pod, old, errs: rules.pod_status.validate_pod_status_update(pod, old, errs),
    warnings=_status_warnings,
)
EPHEMERAL_CONTAINERS = Strategy(
    keep_on_update=(("status",), *KEPT_METADATA),
    prepare_update=_prepare_ephemeral,
    validate_update=lambda ctx, pod, old, errs: rules.pod_update.validate_ephemeral_update(
        pod, old, errs, pod_policy(ctx)
    ),
)
RESIZE = Strategy(
    keep_on_update=(("status",), *KEPT_METADATA),
    prepare_update=_prepare_resize,
    validate_update=lambda ctx, pod, old, errs: rules.pod_update.validate_resize(
        pod, old, errs, pod_policy(ctx)
    ),
)

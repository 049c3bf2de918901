"""Validates apps/v1: deployments, replica sets, stateful sets, daemon sets, controller revisions."""

from typing import Any

from pilothouse.api import names, selectors
from pilothouse.api.equality import same
from pilothouse.api.fields import OMIT, Errors, Object
from pilothouse.api.validate.common import (
    equal,
    immutable_field,
    report,
    validate_label_selector,
    validate_nonnegative,
)
from pilothouse.api.validate.persistentvolumeclaim import validate_claim_spec
from pilothouse.api.validate.pod.options import PodOptions, options_for
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.spec import validate_pod_template_spec
from pilothouse.api.validate.shown import label_selector, sorted_map
from pilothouse.errors import BadRequest

MISMATCH = "`selector` does not match template `labels`"
OVER_REPLICAS = "cannot be greater than status.replicas"
STATEFUL_SET_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFUL_SET_MUTABLE = frozenset(
    (
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    )
)
_RETENTION = ("Retain", "Delete")
_RETENTION_MEMBERS = ("whenDeleted", "whenScaled")


def template_options(obj: Object, old: Object | None, policy: PodPolicy) -> PodOptions:
    """Exceptions from the rules for values that the stored object's template has."""
    if old is None:
        return options_for(None, policy=policy)
    template = (old.get("spec") or {}).get("template") or {}
    return options_for(template.get("spec"), template.get("metadata"), policy=policy)


def template_labels(template: Object) -> dict[str, str] | None:
    """The labels of a pod template; None if it has none, as messages show it."""
    return sorted_map((template.get("metadata") or {}).get("labels"))


def compile_selector(selector: Object | None) -> selectors.Selector | None:
    """Compile a LabelSelector for matching; None if it is invalid (LabelSelectorAsSelector fails)."""
    try:
        return selectors.from_label_selector(selector)
    except BadRequest:
        return None


def is_empty_selector(selector: Object) -> bool:
    return not selector.get("matchLabels") and not selector.get("matchExpressions")


def check_template_labels(selector: Object | None, template: Object, path: str, errs: Errors) -> None:
    """Check that the selector matches the labels of the template at `path`."""
    compiled = compile_selector(selector)
    if compiled is not None and not compiled.matches_labels(template_labels(template) or {}):
        errs.invalid(f"{path}.metadata.labels", template_labels(template), MISMATCH)


def _selector(spec: Object, kind: str, errs: Errors) -> None:
    """Check the selector, which deployments, replica sets and stateful sets require."""
    selector = spec.get("selector")
    if selector is None:
        errs.required("spec.selector")
        return
    validate_label_selector(selector, "spec.selector", errs)
    if is_empty_selector(selector):
        errs.invalid("spec.selector", label_selector(selector), f"empty selector is invalid for {kind}")


def _only_always(template: Object, path: str, kind: str, errs: Errors) -> None:
    """Refuse pod settings that the templates of long-running workloads may not have."""
    spec = template.get("spec") or {}
    if spec.get("restartPolicy", "") != "Always":
        errs.not_supported(f"{path}.spec.restartPolicy", spec.get("restartPolicy", ""), ("Always",))
    if spec.get("activeDeadlineSeconds") is not None:
        errs.forbidden(
            f"{path}.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported"
        )


def check_counts(status: Object, members: tuple[str, ...], errs: Errors) -> None:
    """Check that counters which are set are not negative."""
    for member in members:
        validate_nonnegative(status.get(member) or 0, f"status.{member}", errs)


def _within(status: Object, members: tuple[str, ...], errs: Errors) -> None:
    replicas = status.get("replicas", 0)
    for member in members:
        if status.get(member, 0) > replicas:
            errs.invalid(f"status.{member}", status.get(member, 0), OVER_REPLICAS)


def _available_within_ready(status: Object, what: str, errs: Errors) -> None:
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        count = status.get("availableReplicas", 0)
        errs.invalid("status.availableReplicas", count, f"cannot be greater than {what}")


def _collisions(obj: Object, old: Object, errs: Errors) -> None:
    """Check that the collision count is neither decreased nor removed."""
    new = (obj.get("status") or {}).get("collisionCount")
    before = (old.get("status") or {}).get("collisionCount")
    if before is not None and (new is None or new < before):
        errs.invalid("status.collisionCount", new or 0, "cannot be decremented")


# Numbers or percentages


def validate_int_or_percent(value: Any, path: str, errs: Errors) -> None:
    """Check a non-negative number or a text such as `25%` (ValidatePositiveIntOrPercent)."""
    if isinstance(value, str):
        report(path, value, names.percent(value), errs)
    else:
        validate_nonnegative(value or 0, path, errs)


_MAX_INT = 2**63 - 1


def _atoi(text: str) -> int:
    """The number in a text of digits; like Go's Atoi, one that is too large becomes the maximum."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    digits = digits.lstrip("0")
    return sign * (min(int(digits or "0"), _MAX_INT) if len(digits) < 20 else _MAX_INT)


def _percent(value: Any) -> int | None:
    if isinstance(value, str) and not names.percent(value):
        return _atoi(value[:-1])
    return None


def int_or_percent(value: Any) -> int:
    """The number, without a percent sign; other texts count as the result of Atoi."""
    percent = _percent(value)
    if percent is not None:
        return percent
    if isinstance(value, str):
        return 0 if names.decimal_integer(value) else _atoi(value)
    return value or 0


def validate_at_most_100_percent(value: Any, path: str, errs: Errors) -> None:
    percent = _percent(value)
    if percent is not None and percent > 100:
        errs.invalid(path, value, "must not be greater than 100%")


# Deployments


def validate_deployment(obj: Object, old: Object | None, errs: Errors, policy: PodPolicy = STRICT) -> None:
    """Validates a new deployment; with `old`, a changed one."""
    spec = obj.get("spec") or {}
    replicated_template(spec, "deployment", errs, template_options(obj, old, policy), ready_first=False)
    _deployment_strategy(spec.get("strategy") or {}, errs)
    validate_nonnegative(spec.get("minReadySeconds", 0), "spec.minReadySeconds", errs)
    validate_nonnegative(spec.get("revisionHistoryLimit") or 0, "spec.revisionHistoryLimit", errs)
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        validate_nonnegative(deadline, "spec.progressDeadlineSeconds", errs)
        if deadline <= spec.get("minReadySeconds", 0):
            errs.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def replicated_template(
    spec: Object, kind: str, errs: Errors, options: PodOptions, ready_first: bool
) -> None:
    """Check replicas, selector and template, for deployments and replica sets."""
    validate_nonnegative(spec.get("replicas") or 0, "spec.replicas", errs)
    if ready_first:
        validate_nonnegative(spec.get("minReadySeconds", 0), "spec.minReadySeconds", errs)
    _selector(spec, kind, errs)
    selector = spec.get("selector")
    if compile_selector(selector) is None:
        errs.invalid("spec.selector", label_selector(selector), "invalid label selector")
        return
    template = spec.get("template") or {}
    if selector is None or not is_empty_selector(selector):
        check_template_labels(selector, template, "spec.template", errs)
    validate_pod_template_spec(template, "spec.template", errs, options)
    _only_always(template, "spec.template", "ReplicaSet", errs)


def _deployment_strategy(strategy: Object, errs: Errors) -> None:
    path, kind, rolling = "spec.strategy", strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            errs.forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind == "RollingUpdate":
        if rolling is None:
            errs.required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")
        else:
            _deployment_rolling(rolling, f"{path}.rollingUpdate", errs)
    else:
        errs.not_supported(path, _strategy_shown(kind, rolling), ("Recreate", "RollingUpdate"))


def _strategy_shown(kind: str, rolling: Object | None) -> Object:
    """A strategy as upstream's internal type is printed."""
    shown = None
    if rolling is not None:
        shown = {"MaxUnavailable": rolling.get("maxUnavailable", 0), "MaxSurge": rolling.get("maxSurge", 0)}
    return {"Type": kind, "RollingUpdate": shown}


def _deployment_rolling(rolling: Object, path: str, errs: Errors) -> None:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    validate_int_or_percent(unavailable, f"{path}.maxUnavailable", errs)
    validate_int_or_percent(surge, f"{path}.maxSurge", errs)
    if int_or_percent(unavailable) == 0 and int_or_percent(surge) == 0:
        errs.invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    validate_at_most_100_percent(unavailable, f"{path}.maxUnavailable", errs)


def validate_deployment_update(obj: Object, old: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    validate_deployment(obj, old, errs, policy)
    fixed_selector(obj, old, errs)


def fixed_selector(obj: Object, old: Object, errs: Errors) -> None:
    """Check that the selector is unchanged."""
    new, before = ((o.get("spec") or {}).get("selector") for o in (obj, old))
    immutable_field(label_selector(new), label_selector(before), "spec.selector", errs)


def validate_deployment_status(obj: Object, old: Object, errs: Errors) -> None:
    status = obj.get("status") or {}
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
    check_counts(status, ("observedGeneration", *counts, "collisionCount"), errs)
    _within(status, ("updatedReplicas", "readyReplicas", "availableReplicas"), errs)
    _available_within_ready(status, "readyReplicas", errs)
    _collisions(obj, old, errs)


# Replica sets


def validate_replica_set(obj: Object, old: Object | None, errs: Errors, policy: PodPolicy = STRICT) -> None:
    spec = obj.get("spec") or {}
    replicated_template(spec, "deployment", errs, template_options(obj, old, policy), ready_first=True)


def validate_replica_set_update(obj: Object, old: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    validate_replica_set(obj, old, errs, policy)
    fixed_selector(obj, old, errs)


def validate_replica_set_status(obj: Object, old: Object, errs: Errors) -> None:
    status = obj.get("status") or {}
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    check_counts(status, (*counts, "observedGeneration"), errs)
    check_replicas_within(status, errs)


def check_replicas_within(status: Object, errs: Errors) -> None:
    """Check that the counters of a replica set do not exceed its replicas."""
    _within(status, ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"), errs)
    _available_within_ready(status, "readyReplicas", errs)


# Stateful sets


def validate_stateful_set(obj: Object, old: Object | None, errs: Errors, policy: PodPolicy = STRICT) -> None:
    """Validates a new stateful set; with `old`, a changed one."""
    spec = obj.get("spec") or {}
    _pod_management(spec.get("podManagementPolicy", ""), errs)
    _stateful_set_strategy(spec.get("updateStrategy") or {}, errs)
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    if retention is not None:
        for member in _RETENTION_MEMBERS:
            if retention.get(member, "") not in _RETENTION:
                path = f"spec.persistentVolumeClaimRetentionPolicy.{member}"
                errs.not_supported(path, retention.get(member, ""), _RETENTION)
    validate_nonnegative(spec.get("replicas") or 0, "spec.replicas", errs)
    validate_nonnegative(spec.get("minReadySeconds", 0), "spec.minReadySeconds", errs)
    validate_nonnegative((spec.get("ordinals") or {}).get("start", 0), "spec.ordinals.start", errs)
    service = spec.get("serviceName", "")
    if service and old is None:
        report("spec.serviceName", service, names.dns_label(service), errs)
    _selector(spec, "statefulset", errs)
    selector, template = spec.get("selector"), spec.get("template") or {}
    if compile_selector(selector) is None:
        errs.invalid("spec.selector", label_selector(selector), "")
    else:
        if selector is None or not is_empty_selector(selector):
            check_template_labels(selector, template, "spec.template", errs)
        if old is None or not _template_faulty(old, policy):
            _stateful_set_template(spec, errs, template_options(obj, old, policy))
    _only_always(template, "spec.template", "StatefulSet", errs)
    if old is None:
        for i, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            validate_claim_spec(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{i}].spec", errs)


def _template_faulty(old: Object, policy: PodPolicy) -> bool:
    """Whether the stored template breaks the rules: from before they were applied, so that it stays allowed."""
    errs = Errors()
    _stateful_set_template(old.get("spec") or {}, errs, template_options(old, old, policy))
    return bool(errs)


def _stateful_set_template(spec: Object, errs: Errors, options: PodOptions) -> None:
    """The template with the claims as volumes, as pods will have it."""
    template = dict(spec.get("template") or {})
    claims = spec.get("volumeClaimTemplates") or ()
    if claims:
        pod = dict(template.get("spec") or {})
        named = {(c.get("metadata") or {}).get("name", "") for c in claims}
        kept = [v for v in pod.get("volumes") or () if v.get("name") not in named]
        made = [{"name": n, "persistentVolumeClaim": {"claimName": n}} for n in sorted(named)]
        template["spec"] = pod | {"volumes": kept + made}
    validate_pod_template_spec(template, "spec.template", errs, options)


def _pod_management(policy: str, errs: Errors) -> None:
    if not policy:
        errs.required("spec.podManagementPolicy")
    elif policy not in ("OrderedReady", "Parallel"):
        errs.invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")


def _stateful_set_strategy(strategy: Object, errs: Errors) -> None:
    path, kind, rolling = "spec.updateStrategy", strategy.get("type", ""), strategy.get("rollingUpdate")
    shown = None
    if rolling is not None:
        shown = {"Partition": rolling.get("partition") or 0, "MaxUnavailable": rolling.get("maxUnavailable")}
    if not kind:
        errs.required(path)
    elif kind == "OnDelete":
        if rolling is not None:
            errs.invalid(f"{path}.rollingUpdate", shown, "only allowed for updateStrategy 'RollingUpdate'")
    elif kind == "RollingUpdate":
        if rolling is not None:
            _stateful_set_rolling(rolling, f"{path}.rollingUpdate", errs)
    else:
        errs.invalid(path, {"Type": kind, "RollingUpdate": shown}, "must be 'RollingUpdate' or 'OnDelete'")


def _stateful_set_rolling(rolling: Object, path: str, errs: Errors) -> None:
    validate_nonnegative(rolling.get("partition") or 0, f"{path}.partition", errs)
    unavailable = rolling.get("maxUnavailable")
    if unavailable is not None:
        validate_int_or_percent(unavailable, f"{path}.maxUnavailable", errs)
        if int_or_percent(unavailable) == 0:
            errs.invalid(f"{path}.maxUnavailable", unavailable, "cannot be 0")
        validate_at_most_100_percent(unavailable, f"{path}.maxUnavailable", errs)


def validate_stateful_set_update(obj: Object, old: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    validate_stateful_set(obj, old, errs, policy)
    new, before = (
        {k: v for k, v in (o.get("spec") or {}).items() if k not in _STATEFUL_SET_MUTABLE} for o in (obj, old)
    )
    if not equal(new, before):
        errs.forbidden("spec", STATEFUL_SET_FIXED)


def validate_stateful_set_status(obj: Object, old: Object, errs: Errors) -> None:
    status = obj.get("status") or {}
    counts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    check_counts(status, ("replicas", *counts, "observedGeneration", "collisionCount"), errs)
    _within(status, counts, errs)
    _available_within_ready(status, "status.readyReplicas", errs)
    _collisions(obj, old, errs)


# Daemon sets


def validate_daemon_set(obj: Object, old: Object | None, errs: Errors, policy: PodPolicy = STRICT) -> None:
    spec = obj.get("spec") or {}
    options = template_options(obj, old, policy)
    selector, template = spec.get("selector"), spec.get("template") or {}
    validate_label_selector(
        selector, "spec.selector", errs, allow_invalid_values=options.allow_invalid_selector_values
    )
    check_template_labels(selector, template, "spec.template", errs)
    if selector is not None and is_empty_selector(selector):
        errs.invalid("spec.selector", label_selector(selector), "empty selector is invalid for daemonset")
    validate_pod_template_spec(template, "spec.template", errs, options)
    _only_always(template, "spec.template", "DaemonSet", errs)
    validate_nonnegative(spec.get("minReadySeconds", 0), "spec.minReadySeconds", errs)
    _daemon_set_strategy(spec.get("updateStrategy") or {}, errs)
    validate_nonnegative(spec.get("revisionHistoryLimit") or 0, "spec.revisionHistoryLimit", errs)


def _daemon_set_strategy(strategy: Object, errs: Errors) -> None:
    path, kind, rolling = "spec.updateStrategy", strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "RollingUpdate":
        if rolling is None:
            errs.required(f"{path}.rollingUpdate")
        else:
            _daemon_set_rolling(rolling, f"{path}.rollingUpdate", errs)
    elif kind != "OnDelete":
        errs.not_supported(path, _strategy_shown(kind, rolling), ("RollingUpdate", "OnDelete"))


def _daemon_set_rolling(rolling: Object, path: str, errs: Errors) -> None:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    for check in (validate_int_or_percent, validate_at_most_100_percent):
        check(unavailable, f"{path}.maxUnavailable", errs)
        check(surge, f"{path}.maxSurge", errs)
    has_unavailable, has_surge = int_or_percent(unavailable) != 0, int_or_percent(surge) != 0
    if has_unavailable and has_surge:
        errs.invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")
    elif not has_unavailable and not has_surge:
        errs.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def validate_daemon_set_update(obj: Object, old: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    validate_daemon_set(obj, old, errs, policy)
    fixed_selector(obj, old, errs)


def validate_daemon_set_status(obj: Object, old: Object, errs: Errors) -> None:
    counts = (
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    )
    check_counts(obj.get("status") or {}, counts, errs)
    _collisions(obj, old, errs)


# Controller revisions


def validate_controller_revision(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Data is an object, or what it was: earlier versions have stored anything."""
    data = obj.get("data")
    if data is None:
        errs.required("data", "data is mandatory")
    elif old is None and not isinstance(data, dict):
        errs.required("data", "data must be a valid JSON object")
    validate_nonnegative(obj.get("revision", 0), "revision", errs)


def validate_controller_revision_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_controller_revision(obj, errs, old)
    if not same(obj.get("data"), old.get("data")):
        errs.invalid("data", OMIT if obj.get("data") is None else obj["data"], "field is immutable")

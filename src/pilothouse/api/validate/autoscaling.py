"""Validates autoscaling: horizontal pod autoscalers in their v2 form."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import NOT_POSITIVE, report, validate_nonnegative
from pilothouse.api.validate.resources import amount, validate_nonnegative_quantity

MAX_WINDOW, MAX_PERIOD = 3600, 1800
_METRICS = ("ContainerResource", "External", "Object", "Pods", "Resource")
_SELECT = ("Disabled", "Max", "Min")
_POLICIES = ("Percent", "Pods")
_RAW_OR_UTILIZATION = "a target raw value {} a target utilization"


def validate_scale(scale: Object, errs: Errors) -> None:
    """A Scale of any workload."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        errs.invalid("spec.replicas", replicas, "must be greater than or equal to 0")


def validate_autoscaler(obj: Object, old: Object | None, errs: Errors) -> None:
    """Validates a new autoscaler; with `old`, a changed one, which may keep an invalid apiVersion."""
    spec, before = obj.get("spec") or {}, (old or {}).get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    bound = 0 if before.get("minReplicas") == 0 else 1
    if least is not None and least < bound:
        errs.invalid("spec.minReplicas", least, f"must be greater than or equal to {bound}")
    if most < 1:
        errs.required("spec.maxReplicas", "must be set and greater than 0")
    if least is not None and most < least:
        errs.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    _target_reference(spec.get("scaleTargetRef") or {}, before.get("scaleTargetRef"), errs)
    any_version = any(
        m.get("type") == "Object"
        and _version_fault((m.get("object") or {}).get("describedObject") or {}, True)
        for m in before.get("metrics") or ()
    )
    _metrics(spec.get("metrics") or [], least, any_version, errs)
    behavior = spec.get("behavior") or {}
    for member in ("scaleUp", "scaleDown"):
        if behavior.get(member) is not None:
            _scaling_rules(behavior[member], f"spec.behavior.{member}", errs)


def validate_autoscaler_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_autoscaler(obj, old, errs)


def validate_autoscaler_status(obj: Object, old: Object, errs: Errors) -> None:
    for member in ("currentReplicas", "desiredReplicas"):
        validate_nonnegative((obj.get("status") or {}).get(member, 0), f"status.{member}", errs)


def _target_reference(target: Object, old: Object | None, errs: Errors) -> None:
    """Only replication controllers can be scaled without an API group."""
    same = old is not None and all(old.get(m) == target.get(m) for m in ("apiVersion", "kind"))
    core = target.get("kind") == "ReplicationController"
    _reference(target, "spec.scaleTargetRef", errs, any_version=same, no_group=core)


def _reference(reference: Object, path: str, errs: Errors, *, any_version: bool, no_group: bool) -> None:
    for member in ("kind", "name"):
        value = reference.get(member, "")
        if not value:
            errs.required(f"{path}.{member}")
        else:
            report(f"{path}.{member}", value, names.path_segment(value), errs)
    fault = "" if any_version else _version_fault(reference, no_group)
    if fault:
        errs.invalid(f"{path}.apiVersion", reference.get("apiVersion", ""), fault)


def _version_fault(reference: Object, no_group: bool) -> str:
    version = reference.get("apiVersion", "")
    if version.count("/") > 1:
        return f"unexpected GroupVersion string: {version}"
    return "" if no_group or "/" in version.lstrip("/") else "apiVersion must specify API group"


def _metrics(metrics: list[Object], least: int | None, any_version: bool, errs: Errors) -> None:
    for i, metric in enumerate(metrics):
        _metric(metric, f"spec.metrics[{i}]", any_version, errs)
    if least == 0 and not any(m.get("type") in ("Object", "External") for m in metrics):
        why = "must specify at least one Object or External metric to support scaling to zero replicas"
        errs.forbidden("spec.metrics", why)


def _metric(metric: Object, path: str, any_version: bool, errs: Errors) -> None:
    kind = metric.get("type", "")
    if not kind:
        errs.required(f"{path}.type", "must specify a metric source type")
    if kind not in _METRICS:
        errs.not_supported(f"{path}.type", kind, _METRICS)
    present = [m for m in _SOURCES if metric.get(m) is not None]
    if present:
        _SOURCES[present[0]](metric[present[0]], f"{path}.{present[0]}", any_version, errs)
    expected = kind[:1].lower() + kind[1:]
    if kind not in _METRICS:
        errs.not_supported(f"{path}.type", kind, _METRICS)
    elif expected not in present:
        errs.required(f"{path}.{expected}", "must populate information for the given metric source")
    if len(present) > 1:
        for member in present:
            if member != expected:
                errs.forbidden(f"{path}.{member}", "must populate the given metric source only")


def _object(source: Object, path: str, any_version: bool, errs: Errors) -> None:
    described = source.get("describedObject") or {}
    _reference(described, f"{path}.describedObject", errs, any_version=any_version, no_group=True)
    target = _identified(source, path, errs)
    if target.get("value") is None and target.get("averageValue") is None:
        errs.required(f"{path}.target.averageValue", "must set either a target value or averageValue")


def _external(source: Object, path: str, any_version: bool, errs: Errors) -> None:
    target = _identified(source, path, errs)
    value, average = target.get("value"), target.get("averageValue")
    if value is None and average is None:
        why = "must set either a target value for metric or a per-pod target"
        errs.required(f"{path}.target.averageValue", why)
    if value is not None and average is not None:
        why = "may not set both a target value for metric and a per-pod target"
        errs.forbidden(f"{path}.target.value", why)


def _pods(source: Object, path: str, any_version: bool, errs: Errors) -> None:
    average = _identified(source, path, errs).get("averageValue")
    if average is None or amount(average).sign() <= 0:
        errs.required(f"{path}.target.averageValue", "must specify a positive target averageValue")


def _resource(source: Object, path: str, any_version: bool, errs: Errors) -> None:
    if not source.get("name"):
        errs.required(f"{path}.name", "must specify a resource name")
    _utilization(source, path, errs)


def _container_resource(source: Object, path: str, any_version: bool, errs: Errors) -> None:
    if not source.get("name"):
        errs.required(f"{path}.name", "must specify a resource name")
    if not source.get("container"):
        errs.required(f"{path}.container", "must specify a container")
    _utilization(source, path, errs)


_SOURCES = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}
"""Metric sources in upstream's order: the first one present is validated."""


def _utilization(source: Object, path: str, errs: Errors) -> None:
    target = source.get("target") or {}
    _target(target, f"{path}.target", errs)
    utilization, average = target.get("averageUtilization"), target.get("averageValue")
    if utilization is None and average is None:
        why = "must set either " + _RAW_OR_UTILIZATION.format("or")
        errs.required(f"{path}.target.averageUtilization", why)
    if utilization is not None and average is not None:
        why = "may not set both " + _RAW_OR_UTILIZATION.format("and")
        errs.forbidden(f"{path}.target.averageValue", why)


def _identified(source: Object, path: str, errs: Errors) -> Object:
    """Check the metric's name and target, and return the target."""
    name = (source.get("metric") or {}).get("name", "")
    if not name:
        errs.required(f"{path}.metric.name", "must specify a metric name")
    else:
        report(f"{path}.metric.name", name, names.path_segment(name), errs)
    target: Object = source.get("target") or {}
    _target(target, f"{path}.target", errs)
    return target


def _target(target: Object, path: str, errs: Errors) -> None:
    kind = target.get("type", "")
    if not kind:
        errs.required(f"{path}.type", "must specify a metric target type")
    if kind not in ("Utilization", "Value", "AverageValue"):
        errs.invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
    for member in ("value", "averageValue"):
        if target.get(member) is not None and amount(target[member]).sign() <= 0:
            errs.invalid(f"{path}.{member}", target[member], "must be positive")
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        errs.invalid(f"{path}.averageUtilization", utilization, "must be greater than 0")


def _scaling_rules(rules: Object, path: str, errs: Errors) -> None:
    window, select, tolerance = (
        rules.get(m) for m in ("stabilizationWindowSeconds", "selectPolicy", "tolerance")
    )
    if window is not None and window < 0:
        errs.invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > MAX_WINDOW:
        errs.invalid(
            f"{path}.stabilizationWindowSeconds", window, f"must be less than or equal to {MAX_WINDOW}"
        )
    if select is not None and select not in _SELECT:
        errs.not_supported(f"{path}.selectPolicy", select, _SELECT)
    if not rules.get("policies"):
        errs.required(f"{path}.policies", "must specify at least one Policy")
    for i, policy in enumerate(rules.get("policies") or ()):
        _scaling_policy(policy, f"{path}.policies[{i}]", errs)
    if tolerance is not None:
        validate_nonnegative_quantity(tolerance, f"{path}.tolerance", errs)


def _scaling_policy(policy: Object, path: str, errs: Errors) -> None:
    if policy.get("type", "") not in _POLICIES:
        errs.not_supported(f"{path}.type", policy.get("type", ""), _POLICIES)
    for member in ("value", "periodSeconds"):
        if policy.get(member, 0) <= 0:
            errs.invalid(f"{path}.{member}", policy.get(member, 0), NOT_POSITIVE)
    if policy.get("periodSeconds", 0) > MAX_PERIOD:
        errs.invalid(
            f"{path}.periodSeconds", policy["periodSeconds"], f"must be less than or equal to {MAX_PERIOD}"
        )

"""Validates autoscaling: horizontal pod autoscalers in their v2 form."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.resources import amount, validate_nonnegative_quantity
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors, Object

_METRICS = ("ContainerResource", "External", "Object", "Pods", "Resource")
rules = Rules(
    __name__,
    validate_nonnegative_quantity,
    positive_quantity=d.holds(lambda text: amount(text).sign() > 0, "must be positive"),
    target_type=d.holds(
        lambda kind: kind in ("Utilization", "Value", "AverageValue"),
        "must be either Utilization, Value, or AverageValue",
    ),
)
validate_scale = rules.kind("autoscaling/v1 Scale")("spec.replicas >=0")
"""A Scale of any workload."""
_behavior = rules.kind("autoscaling/v2 HorizontalPodAutoscaler")("""
    spec.behavior.scaleUp               scaling-rules
    spec.behavior.scaleDown             scaling-rules
""")
rules.define("""
scaling-rules                       api.autoscaling.v2.HPAScalingRules
    stabilizationWindowSeconds          >=0 : must be greater than or equal to zero
    stabilizationWindowSeconds          <=3600
    selectPolicy                        Disabled|Max|Min
    policies[]!                         : must specify at least one Policy
      type                              Percent|Pods
      value                             >=1 : must be greater than zero
      periodSeconds                     >=1 : must be greater than zero
      periodSeconds                     <=1800
    tolerance                           nonnegative-quantity
""")
validate_autoscaler_status = rules.change("autoscaling/v2 HorizontalPodAutoscaler")("""
    status.currentReplicas              >=0
    status.desiredReplicas              >=0
""")
_named = rules.table("api.autoscaling.v2.CrossVersionObjectReference")("""
    kind!                               path-segment
    name!                               path-segment
""")
rules.define("""
identified                          api.autoscaling.v2.ObjectMetricSource|ExternalMetricSource|PodsMetricSource
    metric.name!                        path-segment : must specify a metric name
    target
      @target
target                              api.autoscaling.v2.MetricTarget
    type!                               : must specify a metric target type
    type                                target-type
    value                               positive-quantity
    averageValue                        positive-quantity
    averageUtilization                  >=1 : must be greater than 0
utilization                         api.autoscaling.v2.ResourceMetricSource|ContainerResourceMetricSource
    target
      @target
      if not averageValue given
        averageUtilization*             : must set either a target raw value or a target utilization
      if averageUtilization given
        averageValue-?                  : may not set both a target raw value and a target utilization
""")
_SOURCES = {
    "object": rules.table("api.autoscaling.v2.ObjectMetricSource")("""
        @identified
        target
          if not value given
            averageValue*               : must set either a target value or averageValue
    """),
    "external": rules.table("api.autoscaling.v2.ExternalMetricSource")("""
        @identified
        target
          if not value given
            averageValue*               : must set either a target value for metric or a per-pod target
          if averageValue given
            value-?                     : may not set both a target value for metric and a per-pod target
    """),
    "pods": rules.table("api.autoscaling.v2.PodsMetricSource")("""
        @identified
        target
          averageValue*                 : must specify a positive target averageValue
    """),
    "resource": rules.table("api.autoscaling.v2.ResourceMetricSource")("""
        name!                           : must specify a resource name
        @utilization
    """),
    "containerResource": rules.table("api.autoscaling.v2.ContainerResourceMetricSource")("""
        name!                           : must specify a resource name
        container!                      : must specify a container
        @utilization
    """),
}
"""Metric sources in upstream's order: the first one present is validated."""


def validate_autoscaler(obj: Object, old: Object | None, errs: Errors) -> None:
    """Validates a new autoscaler; with `old`, a changed one, which may keep an invalid apiVersion."""
    spec, before = obj.get("spec") or {}, (old or {}).get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    bound = 0 if before.get("minReplicas") == 0 else 1
    if least is not None and least < bound:
        errs.invalid("spec.minReplicas", least, f"must be greater than or equal to {bound}")
    if most == 0:
        errs.required("spec.maxReplicas", "must be set and greater than 0")
    elif most < 0:
        errs.invalid("spec.maxReplicas", most, "must be greater than or equal to 1")
    if least is not None and most < least:
        errs.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    _target_reference(spec.get("scaleTargetRef") or {}, before.get("scaleTargetRef"), errs)
    any_version = any(
        m.get("type") == "Object"
        and _version_fault((m.get("object") or {}).get("describedObject") or {}, True)
        for m in before.get("metrics") or ()
    )
    _metrics(spec.get("metrics") or [], least, any_version, errs)
    _behavior(obj, errs)


def _target_reference(target: Object, old: Object | None, errs: Errors) -> None:
    """Check the target: only replication controllers can be scaled without an API group."""
    same = old is not None and all(old.get(m) == target.get(m) for m in ("apiVersion", "kind"))
    core = target.get("kind") == "ReplicationController"
    _reference(target, "spec.scaleTargetRef", errs, any_version=same, no_group=core)


def _reference(reference: Object, path: str, errs: Errors, *, any_version: bool, no_group: bool) -> None:
    _named(reference, path, errs)
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
        source = metric[present[0]]
        if present[0] == "object":
            described, at = source.get("describedObject") or {}, f"{path}.object.describedObject"
            _reference(described, at, errs, any_version=any_version, no_group=True)
        _SOURCES[present[0]](source, f"{path}.{present[0]}", errs)
    expected = kind[:1].lower() + kind[1:]
    if kind not in _METRICS:
        errs.not_supported(f"{path}.type", kind, _METRICS)
    elif expected not in present:
        errs.required(f"{path}.{expected}", "must populate information for the given metric source")
    if len(present) > 1:
        for member in present:
            if member != expected:
                errs.forbidden(f"{path}.{member}", "must populate the given metric source only")

"""Converts HorizontalPodAutoscaler between autoscaling/v1 and v2.

Fields that v1 lacks are stored in annotations, which only v1 shows (upstream pkg/apis/autoscaling/v1).
"""

from typing import Any

from pilothouse.api import json
from pilothouse.api._schema import is_deeper
from pilothouse.api.defaults.workloads import cpu_utilization_metric
from pilothouse.api.values.fields import Object

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_ANNOTATIONS = (METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR)

_MAX_DEPTH = 16
"""Deepest nesting allowed in the values of these annotations; metrics have six levels. The values become part
of the object, whose own depth was checked earlier."""

_KINDS = ("object", "pods", "resource", "containerResource", "external")
_STATUS_COMMON = ("observedGeneration", "lastScaleTime")


def to_v1(obj: Object) -> Object:
    """Convert a v2 autoscaler to v1."""
    spec, status = obj["spec"], obj["status"]
    out = _without_annotations(obj)
    annotations: dict[str, str] = {}
    metrics = spec.get("metrics") or []
    others = [_metric_to_v1(metric, "target") for metric in metrics if _cpu(metric, "target") is None]
    current = status.get("currentMetrics") or []
    if others:
        annotations[METRICS] = _text(others)
    if current:
        annotations[CURRENT_METRICS] = _text([_metric_to_v1(metric, "current") for metric in current])
    if spec.get("behavior") is not None:
        annotations[BEHAVIOR] = _text(_behavior_to_annotation(spec["behavior"]))
    if status.get("conditions"):
        annotations[CONDITIONS] = _text(status["conditions"])
    if annotations:
        out["metadata"]["annotations"] = {**out["metadata"].get("annotations", {}), **annotations}
    out["spec"] = {k: v for k, v in spec.items() if k not in ("metrics", "behavior")}
    percentages = [p for p in (_cpu(metric, "target") for metric in metrics) if p is not None]
    if percentages:
        out["spec"]["targetCPUUtilizationPercentage"] = percentages[0]
    out["status"] = {name: status[name] for name in _STATUS_COMMON if name in status}
    out["status"]["currentReplicas"] = status.get("currentReplicas", 0)
    out["status"]["desiredReplicas"] = status.get("desiredReplicas", 0)
    percentages = [p for p in (_cpu(metric, "current") for metric in current) if p is not None]
    if percentages:
        out["status"]["currentCPUUtilizationPercentage"] = percentages[-1]
    return out


def to_v2(obj: Object) -> Object:
    """Convert a v1 autoscaler to v2; annotations that cannot be parsed are dropped."""
    given = obj["metadata"].get("annotations") or {}
    spec, status = obj["spec"], obj["status"]
    out = _without_annotations(obj)
    out["spec"] = {k: v for k, v in spec.items() if k != "targetCPUUtilizationPercentage"}
    metrics = [_metric_to_v2(metric, "target") for metric in _list(given.get(METRICS))]
    percentage = spec.get("targetCPUUtilizationPercentage")
    if percentage is not None:
        metrics.append(cpu_utilization_metric(percentage))
    out["spec"]["metrics"] = metrics or [cpu_utilization_metric()]
    behavior = _value(given.get(BEHAVIOR))
    if isinstance(behavior, dict):
        out["spec"]["behavior"] = _behavior_from_annotation(behavior)
    out["status"] = {name: status[name] for name in _STATUS_COMMON if name in status}
    if status.get("currentReplicas"):
        out["status"]["currentReplicas"] = status["currentReplicas"]
    out["status"]["desiredReplicas"] = status.get("desiredReplicas", 0)
    current = [_metric_to_v2(metric, "current") for metric in _list(given.get(CURRENT_METRICS))]
    percentage = status.get("currentCPUUtilizationPercentage")
    if not current and percentage is not None:
        value = {"averageUtilization": percentage}
        current = [{"type": "Resource", "resource": {"name": "cpu", "current": value}}]
    out["status"]["currentMetrics"] = current or None
    conditions = _list(given.get(CONDITIONS))
    if conditions:
        out["status"]["conditions"] = conditions
    return out


def _without_annotations(obj: Object) -> Object:
    metadata = dict(obj["metadata"])
    kept = {k: v for k, v in (metadata.pop("annotations", None) or {}).items() if k not in _ANNOTATIONS}
    if kept:
        metadata["annotations"] = kept
    return {**obj, "metadata": metadata}


def _cpu(metric: Object, side: str) -> int | None:
    """The utilization of a plain CPU metric; `side` is "target" for a spec and "current" for a status."""
    resource = metric.get("resource")
    if metric.get("type") != "Resource" or not resource or resource.get("name") != "cpu":
        return None
    found: int | None = resource.get(side, {}).get("averageUtilization")
    return found


def _metric_to_v1(metric: Object, side: str) -> Object:
    out: Object = {"type": metric["type"]}
    for kind in _KINDS:
        if metric.get(kind) is not None:
            out[kind] = _source_to_v1(kind, metric[kind], side)
    return out


def _source_to_v1(kind: str, source: Object, side: str) -> Object:
    value = source.get(side) or {}
    named = source.get("metric") or {}
    average = f"{side}AverageValue"
    match kind:
        case "object":
            members = {
                "target": source.get("describedObject"),
                "metricName": named.get("name", ""),
                f"{side}Value": value.get("value", "0"),
                "selector": named.get("selector"),
                "averageValue": value.get("averageValue"),
            }
        case "pods":
            members = {
                "metricName": named.get("name", ""),
                average: value.get("averageValue", "0"),
                "selector": named.get("selector"),
            }
        case "external":
            shown = value.get("value") if side == "target" else value.get("value", "0")
            members = {
                "metricName": named.get("name", ""),
                "metricSelector": named.get("selector"),
                f"{side}Value": shown,
                average: value.get("averageValue"),
            }
        case _:
            # This value is no pointer in a status, so it is always written.
            members = {
                "name": source.get("name", ""),
                f"{side}AverageUtilization": value.get("averageUtilization"),
                average: value.get("averageValue", "0" if side == "current" else None),
                "container": source.get("container"),
            }
    return {name: item for name, item in members.items() if item is not None}


def _metric_to_v2(metric: Object, side: str) -> Object:
    out: Object = {"type": metric.get("type", "")}
    for kind in _KINDS:
        if isinstance(metric.get(kind), dict):
            out[kind] = _source_to_v2(kind, metric[kind], side)
    return out


def _source_to_v2(kind: str, source: Object, side: str) -> Object:
    value = {
        "value": source.get(f"{side}Value"),
        "averageValue": source.get("averageValue" if kind == "object" else f"{side}AverageValue"),
        "averageUtilization": source.get(f"{side}AverageUtilization"),
    }
    value = {name: item for name, item in value.items() if item is not None}
    if side == "target":
        value = {"type": _target_type(kind, value), **value}
    out: Object = {side: value}
    if kind in ("resource", "containerResource"):
        out["name"] = source.get("name", "")
        if kind == "containerResource":
            out["container"] = source.get("container", "")
        return out
    selector = source.get("metricSelector" if kind == "external" else "selector")
    out["metric"] = {"name": source.get("metricName", "")}
    if selector is not None:
        out["metric"]["selector"] = selector
    if kind == "object":
        out["describedObject"] = source.get("target") or {"kind": "", "name": ""}
    return out


def _target_type(kind: str, value: Object) -> str:
    if "averageUtilization" in value:
        return "Utilization"
    if kind in ("pods", "resource", "containerResource"):
        return "AverageValue"
    if kind == "object":
        return "AverageValue" if "averageValue" in value else "Value"
    return "Value" if "value" in value else "AverageValue"


def _behavior_to_annotation(behavior: Object) -> Object:
    """Encode as upstream does: the internal type with Go's field names and every member."""
    return {
        name[0].upper() + name[1:]: _rules_to_annotation(behavior.get(name))
        for name in ("scaleUp", "scaleDown")
    }


def _rules_to_annotation(rules: Object | None) -> Object | None:
    if rules is None:
        return None
    policies = [
        {"Type": policy["type"], "Value": policy["value"], "PeriodSeconds": policy["periodSeconds"]}
        for policy in rules.get("policies") or ()
    ]
    return {
        "StabilizationWindowSeconds": rules.get("stabilizationWindowSeconds"),
        "SelectPolicy": rules.get("selectPolicy"),
        "Policies": policies or None,
        "Tolerance": rules.get("tolerance"),
    }


def _behavior_from_annotation(value: Any) -> Any:
    """Decode with Go's field names in any case; nulls count as absent."""
    if isinstance(value, dict):
        return {
            key[:1].lower() + key[1:]: _behavior_from_annotation(item)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [_behavior_from_annotation(item) for item in value]
    return value


def _text(value: Any) -> str:
    """Go's JSON, which escapes <, > and &."""
    text = json.dump(value).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _value(text: str | None) -> Any:
    if text is None:
        return None
    try:
        value = json.parse(text.encode("utf-8", "surrogatepass"))
    except (json.ScanError, json.DecodeError):
        return None
    return value if not is_deeper(value, _MAX_DEPTH) else None


def _list(text: str | None) -> list[Object]:
    value = _value(text)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return []
    return value

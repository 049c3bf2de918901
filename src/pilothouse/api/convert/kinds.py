"""Converts objects between versions, and applies the changes of upstream's conversion to internal types.

`normalise` converts to the internal type and back to the same version; `convert` converts to another version.
"""

import base64
from collections.abc import Callable

from pilothouse.api.convert import hpa as convert_hpa
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote
from pilothouse.process.patterns import pattern

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
"""The annotation in which apps/v1 stores the template generation of a daemon set."""

_INTEGER = pattern(r"[+-]?[0-9]+")
_INIT_CONTAINER_ANNOTATIONS = frozenset(
    f"pod.{stage}.kubernetes.io/init-container{what}"
    for stage in ("alpha", "beta")
    for what in ("s", "-statuses")
)

# core Event member -> events.k8s.io Event member, where the names differ.
_EVENT_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}


def normalise(obj: Object, group: str, kind: str) -> None:
    """Apply the conversion to the internal type and back, in place;
    ValueError if the object cannot be converted."""
    function = _NORMALISE.get((group, kind))
    if function is not None:
        function(obj)


def _pod(obj: Object) -> None:
    _drop_init_annotations(obj["metadata"])
    spec = obj["spec"]
    _pod_spec(spec)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:  # a template keeps it
        spec["terminationGracePeriodSeconds"] = 1
    status = obj["status"]
    if not status.get("podIP") and not status.get("podIPs"):
        return
    addresses = [item.get("ip", "") for item in status.get("podIPs") or ()]
    aligned = _align(status, "podIP", addresses)
    if aligned != addresses:
        status["podIPs"] = [{"ip": ip} for ip in aligned]


def _template(template: Object | None) -> None:
    if template is not None:
        _drop_init_annotations(template["metadata"])
        _pod_spec(template["spec"])


def _pod_spec(spec: Object) -> None:
    """Copy serviceAccountName to the deprecated serviceAccount."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _drop_init_annotations(metadata: Object) -> None:
    annotations = metadata.get("annotations")
    if annotations and not _INIT_CONTAINER_ANNOTATIONS.isdisjoint(annotations):
        kept = {k: v for k, v in annotations.items() if k not in _INIT_CONTAINER_ANNOTATIONS}
        metadata["annotations"] = kept
        if not kept:
            del metadata["annotations"]


def _align(owner: Object, single: str, many: list[str]) -> list[str]:
    """Align a deprecated single member with the list that replaced it, and return the list's values.

    The single member wins if they differ; if it is absent, it is set to the list's first value.
    """
    one = owner.get(single)
    if one:
        return many if many and many[0] == one else [one]
    if many and many[0]:
        owner[single] = many[0]
    return many


def _node(obj: Object) -> None:
    spec = obj["spec"]
    ranges = _align(spec, "podCIDR", spec.get("podCIDRs") or [])
    if ranges:
        spec["podCIDRs"] = ranges


def _secret(obj: Object) -> None:
    """Merge stringData into data; stringData is write-only."""
    given = obj.pop("stringData", None)
    if given:
        data = obj.setdefault("data", {})
        for key, text in given.items():
            data[key] = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


def _spec_template(obj: Object) -> None:
    _template(obj["spec"].get("template"))


def template_generation(obj: Object) -> int:
    """The template generation in a daemon set's annotation, 0 without one;
    raises ValueError with Go's message."""
    text = (obj["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION)
    if text is None:
        return 0
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    number = int(text) if len(text) < 100 else 2**63
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return number


def set_template_generation(obj: Object, number: int) -> None:
    annotations = obj["metadata"].get("annotations") or {}
    obj["metadata"]["annotations"] = {**annotations, TEMPLATE_GENERATION: str(number)}


def _daemon_set(obj: Object) -> None:
    """Rewrite the template generation's annotation, which the internal type stores as a number."""
    _spec_template(obj)
    set_template_generation(obj, template_generation(obj))


def _autoscaler(obj: Object) -> None:
    """Convert v1 through v2, which adds the default metric and drops annotations that cannot be parsed."""
    if obj.get("apiVersion") == "autoscaling/v1":
        round_trip = convert_hpa.to_v1(convert_hpa.to_v2(obj))
        obj.clear()
        obj.update(round_trip)


def as_internal(metadata: Object) -> Object:
    """Metadata without the annotation for a member of the internal type."""
    annotations = metadata.get("annotations")
    if not annotations or TEMPLATE_GENERATION not in annotations:
        return metadata
    kept = {k: v for k, v in annotations.items() if k != TEMPLATE_GENERATION}
    return {k: v for k, v in ({**metadata, "annotations": kept}).items() if v or k != "annotations"}


_NORMALISE: dict[tuple[str, str], Callable[[Object], None]] = {
    ("", "Pod"): _pod,
    ("", "Node"): _node,
    ("", "Secret"): _secret,
    ("", "PodTemplate"): lambda obj: _template(obj["template"]),
    ("", "ReplicationController"): _spec_template,
    ("apps", "Deployment"): _spec_template,
    ("apps", "ReplicaSet"): _spec_template,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "StatefulSet"): _spec_template,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("batch", "Job"): _spec_template,
    ("batch", "CronJob"): lambda obj: _template(obj["spec"]["jobTemplate"]["spec"]["template"]),
}


def convert(obj: Object, kind: str, to_group: str, to_version: str) -> Object:
    """Convert an object to another group version of its kind; returns the same object if it has that version.

    Horizontal pod autoscalers and events change their form, other kinds only their apiVersion. Unchanged
    members are shared with the given object.
    """
    wanted = f"{to_group}/{to_version}" if to_group else to_version
    given = obj.get("apiVersion")
    if given == wanted:
        return obj
    out = dict(obj)
    if kind == "HorizontalPodAutoscaler":
        out = convert_hpa.to_v1(obj) if wanted == "autoscaling/v1" else convert_hpa.to_v2(obj)
    elif kind == "Event":
        out = _event_to_core(obj) if not to_group else _event_to_events(obj)
    out["apiVersion"] = wanted
    return out


def _event_to_events(obj: Object) -> Object:
    out = {_EVENT_NAMES.get(name, name): value for name, value in obj.items()}
    for name in ("reportingController", "reportingInstance"):
        if not out.get(name):
            out.pop(name, None)
    _event_zeros(out, "deprecated", "regarding")
    series = out.get("series")
    if series is not None:
        out["series"] = {"count": 0, "lastObservedTime": None, **series}
    return out


def _event_to_core(obj: Object) -> Object:
    names = {new: old for old, new in _EVENT_NAMES.items()}
    out = {names.get(name, name): value for name, value in obj.items()}
    out.setdefault("reportingComponent", "")
    out.setdefault("reportingInstance", "")
    _event_zeros(out, "", "involvedObject")
    series = out.get("series")
    if series is not None:
        out["series"] = {name: value for name, value in series.items() if value not in (0, None)} | {
            "lastObservedTime": series.get("lastObservedTime")
        }
    return out


def _event_zeros(out: Object, prefix: str, subject: str) -> None:
    """Set the zero values of members that are always written."""
    for name in ("firstTimestamp", "lastTimestamp", "source"):
        member = prefix + name[0].upper() + name[1:] if prefix else name
        out.setdefault(member, {} if name == "source" else None)
    out.setdefault("eventTime", None)
    out.setdefault(subject, {})

"""Hides in the objects of a case what differs from run to run: times, addresses, and what names end with by chance."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from workloads.case import Object

State = Mapping[str, list[Object]]
"""The objects of a case by their kinds."""

COMBINED = "(combined from similar events)"
"""The beginning of events that tell the last of many notes: which one it is depends on the moment."""
_CHANCE = "bcdfghjklmnpqrstvwxz2456789"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
ADDRESS = re.compile(r"\b(?:10|172|192\.168)(?:\.\d{1,3}){2,3}\b|\bfd[0-9a-f:]+:[0-9a-f]+\b")
HASH = re.compile(rf"(?<=-)[{_CHANCE}]{{8,10}}(?![a-z0-9])")
ENDING = re.compile(rf"(?<=-)[{_CHANCE}]{{5}}(?![a-z0-9])")
MINUTE = re.compile(r"(?<=-)\d{8}(?!\d)")
NODE = re.compile(r"\b(worker|small|gpu)-\d\b")
BACKOFF = re.compile(r"back-off \S+ restarting")
IDENTITY = re.compile(r"simulated://[0-9a-f]+")
DROPPED = (
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "selfLink",
    "creationTimestamp",
    "deletionTimestamp",
)
"""Members of metadata that tell when, how often and under which identity an object was written."""
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
"""An annotation for the metrics of networks: it tells when a pod changed that endpoints followed."""
KEPT_ORDER = {"containers", "initContainers", "env", "command", "args", "rules", "volumes", "metrics"}


def normalised(state: State, *, places: bool, zones: bool = False) -> dict[str, list[Any]]:
    """The objects by kind and normalised name; `places`: the names of nodes count. `zones`: it counts how many
    endpoints are for each zone.

    Events of kubelets, which are ours on both sides, do not count.
    """
    texts = _texts(state)
    out: dict[str, list[Any]] = defaultdict(list)
    for kind, objects in state.items():
        for obj in objects:
            if kind == "Event":
                if _source(obj) != "kubelet" and not obj.get("message", "").startswith(COMBINED):
                    _add_event(out["Event"], _event(obj), texts, places=places)
            else:
                plain = _rewritten(_plain(obj), texts, places=places)
                if zones and kind == "EndpointSlice":
                    plain["hinted"] = _hinted(obj)
                out[f"{kind} {plain['metadata'].pop('name')}"].append(plain)
    return {name: sorted(found, key=_order) for name, found in sorted(out.items())}


def _hinted(endpoint_slice: Object) -> dict[str, int]:
    """How many endpoints of a slice are for each zone: which ones they are is chance."""
    hints = [one.get("hints") or {} for one in endpoint_slice.get("endpoints") or ()]
    return dict(Counter(zone["name"] for one in hints for zone in one.get("forZones") or ()))


def _order(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _add_event(events: list[Any], event: Object, texts: list[tuple[str, str]], *, places: bool) -> None:
    said = _rewritten(event, texts, places=places)
    if said not in events:
        events.append(said)


def _plain(obj: Object) -> Object:
    """An object without what is its own, and with what its generation means instead of the number."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in DROPPED}
    if obj["metadata"].get("deletionTimestamp"):
        metadata["deletionTimestamp"] = "<time>"
    if obj["metadata"].get("generateName"):
        metadata["name"] = f"{obj['metadata']['generateName']}<x>"
    if annotations := {k: v for k, v in (metadata.pop("annotations", None) or {}).items() if k != TRIGGER}:
        metadata["annotations"] = annotations
    plain: Object = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind")} | {"metadata": metadata}
    status = plain.get("status")
    if isinstance(status, dict) and "observedGeneration" in status:
        current = status["observedGeneration"] == obj["metadata"].get("generation")
        plain["status"] = {**status, "observedGeneration": "current" if current else "behind"}
    return plain


def _event(obj: Object) -> Object:
    about = obj["involvedObject"]
    message = obj.get("message", "")
    if obj.get("reason") == "ScalingReplicaSet":  # by how much a step scales depends on the moment
        message = re.sub(r"from \d+ to \d+", "from N to N", message)
    if obj.get("reason") == "TopologyAwareHintsDisabled":  # so does how many pods are ready
        message = re.sub(r"\d+ endpoints", "N endpoints", message)
    return {
        "about": f"{about.get('kind')} {about.get('name')}",
        "type": obj.get("type"),
        "reason": obj.get("reason"),
        "message": message,
        "source": _source(obj),
    }


def _source(event: Object) -> Any:
    return (event.get("source") or {}).get("component") or event.get("reportingComponent")


def _texts(state: State) -> list[tuple[str, str]]:
    """Texts that differ from run to run and what they are replaced by, the longest first."""
    out: dict[str, str] = {}
    for one in state.get("ReplicaSet", ()):
        code = (one["metadata"].get("labels") or {}).get("pod-template-hash")
        number = (one["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", "?")
        if code:
            out[code] = f"<template {number}>"
    for one in state.get("ControllerRevision", ()):
        labels = one["metadata"].get("labels") or {}
        for name in ("controller-revision-hash", "controller.kubernetes.io/hash"):
            if labels.get(name):
                out[labels[name].rpartition("-")[2]] = f"<revision {one['revision']}>"
    for one in state.get("PersistentVolume", ()):  # of volumes alike chance decides which is bound
        out[one["metadata"]["name"]] = "<volume>"
    return sorted(out.items(), key=lambda item: -len(item[0]))


def _rewritten(value: Any, texts: list[tuple[str, str]], *, places: bool, name: str = "") -> Any:
    if isinstance(value, dict):
        members = {
            k: _short(k, v, places=places)
            for k, v in value.items()
            if k != "resourceVersion" and v is not None
        }
        return {k: _rewritten(v, texts, places=places, name=k) for k, v in members.items()}
    if isinstance(value, list):
        items = [_rewritten(item, texts, places=places) for item in value]
        return items if name in KEPT_ORDER else sorted(items, key=_order)
    if isinstance(value, str):
        return _hidden(value, texts, places=places)
    return value


def _short(name: str, value: Any, *, places: bool) -> Any:
    """A value without what follows from the moment, or from the node."""
    if name in ("zone", "topology.kubernetes.io/zone", "forZones") and isinstance(value, str | list):
        return value if places else "<zone>"
    if name == "restartCount":
        return min(value, 1)
    if name in ("nodePort", "healthCheckNodePort"):
        return "<port>"
    return value


def _hidden(text: str, texts: Iterable[tuple[str, str]], *, places: bool) -> str:
    for found, instead in texts:
        text = text.replace(found, instead)
    text = UUID.sub("<uid>", TIME.sub("<time>", text))
    text = ADDRESS.sub("<address>", BACKOFF.sub("back-off <time> restarting", text))
    text = MINUTE.sub("<minute>", ENDING.sub("<x>", HASH.sub("<hash>", text)))
    text = IDENTITY.sub("simulated://<id>", text)
    return text if places else NODE.sub("<node>", text)

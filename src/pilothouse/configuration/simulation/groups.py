"""Groups of simulated nodes, as the flag and the file describe them."""

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from pilothouse.api.configfile import ConfigurationError, refuse_unknown
from pilothouse.api.values import names, quantity, selectors
from pilothouse.api.values.fields import Errors, Object
from pilothouse.gotext import quote
from pilothouse.process.frozen import frozen

MOST = 10_000
"""Nodes of one simulation."""

PODS = 500
"""Pods of a node: as many as its network has addresses for."""

RESOURCES = {"cpu": "4", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"}
"""The resources of a node, by default."""

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
MEMBERS = ("name", "count", "resources", "labels", "annotations", "taints", "zones", "arch", "os")

_WHOLE = re.compile(r"[0-9]{1,9}")


@frozen
class NodeGroup:
    """Nodes that are alike; their names are that of the group and a number."""

    name: str = "node"
    count: int = 1
    resources: Mapping[str, str] = field(default_factory=lambda: dict(RESOURCES))
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Object, ...] = ()
    zones: tuple[str, ...] = ()
    arch: str = "amd64"
    os: str = "linux"


def from_text(text: str) -> NodeGroup:
    """The group that `nodes=5,cpu=8,memory=32Gi` describes; lists are separated by semicolons."""
    given: dict[str, Any] = {"name": "node", "resources": {}}
    for pair in filter(None, text.split(",")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise ConfigurationError(f"{quote(pair)} must be formatted as name=value")
        if key == "nodes":
            given["count"] = _number(key, value)
        elif key == "labels":
            given["labels"] = dict(_pair(key, part) for part in _split(value))
        elif key == "taints":
            given["taints"] = [_taint(part) for part in _split(value)]
        elif key == "zones":
            given["zones"] = _split(value)
        elif key in ("arch", "os"):
            given[key] = value
        elif _is_resource(key):
            given["resources"][key] = value
        else:
            known = "nodes, cpu, memory, pods, ephemeral-storage, labels, taints, zones, arch, os"
            raise ConfigurationError(f"there is no {quote(key)}: want {known}, or a resource such as a.b/c")
    return from_object(given, "")


def from_object(given: Any, path: str) -> NodeGroup:
    """A group as the file has it; `path` leads to it."""
    members = refuse_unknown(given, MEMBERS, path)
    resources = {**RESOURCES, **_texts(members.get("resources"), f"{path}resources")}
    group = NodeGroup(
        name=str(members.get("name", "node")),
        count=_number(f"{path}count", members.get("count", 1)),
        resources=resources,
        labels=_texts(members.get("labels"), f"{path}labels"),
        annotations=_texts(members.get("annotations"), f"{path}annotations"),
        taints=tuple(
            _taint_of(one, f"{path}taints[{i}]") for i, one in enumerate(members.get("taints") or ())
        ),
        zones=_zones(members.get("zones"), f"{path}zones"),
        arch=str(members.get("arch", "amd64")),
        os=str(members.get("os", "linux")),
    )
    _check(group, path)
    return group


def _check(group: NodeGroup, path: str) -> None:
    for problem in names.dns_subdomain(f"{group.name}-0", False):
        raise ConfigurationError(f"{path}name: {quote(group.name)}: {problem}")
    for name, amount in group.resources.items():
        if not _is_resource(name):
            raise ConfigurationError(f"{path}resources: {quote(name)} is no resource of a node")
        try:
            found = quantity.parse(amount)
            if found.sign() < 0:
                raise ConfigurationError(f"{path}{name}: {amount} can not be negative")
            if name == "pods" and found.value() > PODS:
                raise ConfigurationError(f"{path}pods: a node can have at most {PODS}")
        except quantity.QuantityError as error:
            raise ConfigurationError(f"{path}{name}: {quote(amount)}: {error}") from None
    errs = Errors()
    selectors.validate_labels(errs, f"{path}labels", dict(group.labels))
    for zone in group.zones:
        selectors.validate_labels(errs, f"{path}zones", {"topology.kubernetes.io/zone": zone})
    for taint in group.taints:
        selectors.validate_labels(errs, f"{path}taints", {taint["key"]: taint.get("value", "")})
    for cause in errs.causes:
        raise ConfigurationError(f"{cause['field']}: {cause['message']}")
    if group.arch not in ("amd64", "arm64", "arm", "ppc64le", "s390x", "riscv64"):
        raise ConfigurationError(f"{path}arch: there is no {quote(group.arch)}")
    if group.os not in ("linux", "windows"):
        raise ConfigurationError(f"{path}os: {quote(group.os)} must be linux or windows")


def _number(name: str, value: Any) -> int:
    text = str(value)
    if not _WHOLE.fullmatch(text) or int(text) > MOST:
        raise ConfigurationError(f"{name}: {quote(text)} must be a number between 0 and {MOST}")
    return int(text)


def _is_resource(name: str) -> bool:
    return name in RESOURCES or "/" in name or name.startswith("hugepages-")


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _pair(name: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError(f"{name}: {quote(text)} must be formatted as key=value")
    return key.strip(), value.strip()


def _texts(given: Any, path: str) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(v, (str, int, float)) for v in given.values()):
        raise ConfigurationError(f"{path}: it must be an object of texts")
    return {str(key): str(value) for key, value in given.items()}


def _zones(given: Any, path: str) -> tuple[str, ...]:
    """Names of zones; a number stands for so many of them."""
    if given is None:
        return ()
    listed = given if isinstance(given, list) else [given]
    if len(listed) == 1 and _WHOLE.fullmatch(str(listed[0])):
        return tuple(f"zone-{number}" for number in range(_number(path, listed[0])))
    return tuple(str(zone) for zone in listed)


def _taint(text: str) -> Object:
    """A taint as kubectl takes it: key=value:Effect."""
    named, _, effect = text.rpartition(":")
    key, _, value = named.partition("=")
    return {"key": key, "value": value, "effect": effect}


def _taint_of(given: Any, path: str) -> Object:
    taint = refuse_unknown(given, ("key", "value", "effect"), f"{path}.")
    if not taint.get("key") or taint.get("effect") not in EFFECTS:
        raise ConfigurationError(f"{path}: want a key, and an effect of {', '.join(EFFECTS)}")
    made = {"key": str(taint["key"]), "effect": taint["effect"]}
    return made | {"value": str(taint["value"])} if taint.get("value") else made

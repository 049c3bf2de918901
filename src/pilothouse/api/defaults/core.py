"""Defaults of the core group: pods and all kinds with a pod spec, services, volumes."""

import re
from typing import Any

from pilothouse.api.values import pod_resources
from pilothouse.api.values._structs import lacked, set_absent, set_empty
from pilothouse.api.values.fields import Object
from pilothouse.caches import memo
from pilothouse.process.patterns import pattern

DEFAULT_MODE = 0o644

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = pattern(
    rf"(?:(?P<host>{_HOST})/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    rf"(?::(?P<tag>\w[\w.-]{{0,127}}))?(?P<digest>@{_DIGEST})?\Z",
    re.ASCII,
)
_IDENTIFIER = pattern(r"[a-f0-9]{64}\Z")
_MAX_REPOSITORY = 255
_MAX_REFERENCE = 4096
"""Longest image reference, in characters.
Upstream limits only the path; a host has up to 253, a tag up to 128."""


def fill(obj: Object, **members: Any) -> None:
    """Set members that are absent; for fields that are pointers in Go."""
    for name, value in members.items():
        if obj.get(name) is None:
            obj[name] = value


def fill_empty(obj: Object, **members: Any) -> None:
    """Set members that are absent or empty; for Go fields in which these are the same."""
    set_empty(obj, members)


def each(obj: Object, *names: str) -> list[Object]:
    """The items of several lists, one list after another."""
    out: list[Object] = []
    for name in names:
        out += obj.get(name) or ()
    return out


def image_tag(image: str) -> str:
    """The tag of an image reference: "latest" if it has none, "" for a digest or an invalid reference."""
    match = _REFERENCE.match(image) if len(image) <= _MAX_REFERENCE else None
    if match is None or _IDENTIFIER.match(image) or len(match["path"]) > _MAX_REPOSITORY:
        return ""
    tag: str = match["tag"] or ""
    return tag if tag or match["digest"] else "latest"


@memo("images", longest=256, most=2048)
def pull_policy(image: str) -> str:
    return "Always" if image_tag(image) == "latest" else "IfNotPresent"


def pod(obj: Object) -> None:
    spec = obj["spec"]
    for member in ("containers", "initContainers"):
        for container in spec.get(member) or ():
            limits = container["resources"].get("limits")
            if limits:
                set_absent(container["resources"].setdefault("requests", {}), limits)
    if spec.get("resources") is not None:
        pod_resources.default_pod_level(spec)
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        for container in each(spec, "containers", "initContainers"):
            for port in each(container, "ports"):
                fill_empty(port, hostPort=port["containerPort"])
    pod_spec(spec)


def pod_template(obj: Object) -> None:
    pod_spec(obj["template"]["spec"])


_SPEC = {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler"}
_CONTAINER = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_HTTP_GET = {"path": "/", "scheme": "HTTP"}


def pod_spec(spec: Object) -> None:
    """Set the defaults of any pod spec, in a pod or in a template."""
    set_empty(spec, _SPEC)
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    for volume in spec.get("volumes") or ():
        _volume(volume)
    for member in ("containers", "initContainers", "ephemeralContainers"):
        if member in spec:
            for container in spec[member] or ():
                _container(container)


def _container(container: Object) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    set_empty(container, _CONTAINER)
    variables = container.get("env")
    if variables and not lacked(variables, "valueFrom"):
        for variable in variables:
            _field_reference((variable.get("valueFrom") or {}).get("fieldRef"))
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container and container[name] is not None:
            probe = container[name]
            set_empty(probe, _PROBE)
            if "httpGet" in probe:
                _http_get(probe["httpGet"])
    lifecycle = container.get("lifecycle")
    if lifecycle:
        for name in ("postStart", "preStop"):
            _http_get((lifecycle.get(name) or {}).get("httpGet"))


def _http_get(action: Object | None) -> None:
    if action is not None:
        set_empty(action, _HTTP_GET)


def _field_reference(reference: Object | None) -> None:
    if reference is not None:
        fill_empty(reference, apiVersion="v1")


_NAMED = frozenset(("name",))
_DEFAULTED = frozenset(("secret", "configMap", "downwardAPI", "projected", "hostPath", "image", "ephemeral"))
"""Volume sources with members that have a default."""


def _volume(volume: Object) -> None:
    if volume.keys() <= _NAMED:
        volume["emptyDir"] = {}
        return
    if _DEFAULTED.isdisjoint(volume):
        return
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        if name in volume:
            fill(volume[name], defaultMode=DEFAULT_MODE)
    for item in (volume.get("downwardAPI") or {}).get("items") or ():
        _field_reference(item.get("fieldRef"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        for item in each(source.get("downwardAPI") or {}, "items"):
            _field_reference(item.get("fieldRef"))
        if "serviceAccountToken" in source:
            fill(source["serviceAccountToken"], expirationSeconds=3600)
    if "hostPath" in volume:
        fill(volume["hostPath"], type="")
    if "image" in volume:
        fill_empty(volume["image"], pullPolicy=pull_policy(volume["image"].get("reference", "")))
    claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if claim is not None:
        claim_spec(claim["spec"])


def claim_spec(spec: Object) -> None:
    fill(spec, volumeMode="Filesystem")


def persistent_volume_claim(obj: Object) -> None:
    fill_empty(obj["status"], phase="Pending")
    claim_spec(obj["spec"])


def persistent_volume(obj: Object) -> None:
    fill_empty(obj["status"], phase="Pending")
    volume_spec(obj["spec"])
    fill_empty(obj["spec"], persistentVolumeReclaimPolicy="Retain")
    fill(obj["spec"], volumeMode="Filesystem")


def volume_spec(spec: Object) -> None:
    """Set the defaults of volume sources, in a PersistentVolume or an inline VolumeAttachment."""
    if "hostPath" in spec:
        fill(spec["hostPath"], type="")


def service(obj: Object) -> None:
    spec = obj["spec"]
    fill_empty(spec, sessionAffinity="None", type="ClusterIP")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if client.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    for port in each(spec, "ports"):
        fill_empty(port, protocol="TCP", targetPort=port["port"])
    kind = spec["type"]
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs")):
        fill_empty(spec, externalTrafficPolicy="Cluster")
    if kind in ("NodePort", "LoadBalancer", "ClusterIP"):
        fill(spec, internalTrafficPolicy="Cluster")
    if kind == "LoadBalancer":
        fill(spec, allocateLoadBalancerNodePorts=True)
        for ingress in each(obj["status"]["loadBalancer"], "ingress"):
            if ingress.get("ip"):
                fill(ingress, ipMode="VIP")


def secret(obj: Object) -> None:
    fill_empty(obj, type="Opaque")


def namespace(obj: Object) -> None:
    name = obj["metadata"].get("name")
    if name:
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name
    fill_empty(obj["status"], phase="Active")


def node(obj: Object) -> None:
    status = obj["status"]
    if "allocatable" not in status and status.get("capacity"):
        status["allocatable"] = dict(status["capacity"])


def endpoints(obj: Object) -> None:
    for subset in each(obj, "subsets"):
        for port in each(subset, "ports"):
            fill_empty(port, protocol="TCP")


def limit_range(obj: Object) -> None:
    for item in each(obj["spec"], "limits"):
        if item["type"] != "Container":
            continue
        limits = {**(item.get("max") or {}), **(item.get("default") or {})}
        requests = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
        if limits:
            item["default"] = limits
        if requests:
            item["defaultRequest"] = requests

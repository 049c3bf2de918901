"""Validates changes of a pod's status (apis/core/validation, ValidatePodStatusUpdate)."""

from collections.abc import Sequence

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import is_ipv6, report, validate_ip
from pilothouse.api.validate.pod.annotations import validate_annotation_updates, validate_pod_annotations
from pilothouse.api.validate.pod.options import deletion_cost_bad
from pilothouse.api.values import addresses, names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.pod_resources import is_sidecar

_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")
_HEALTH = ("Healthy", "Unhealthy", "Unknown")
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_KINDS = (("containerStatuses", "containers"), ("initContainerStatuses", "initContainers"))

_fixed_class = d.fixed("status.qosClass", "")


def validate_pod_status_update(pod: Object, old: Object, errs: Errors) -> None:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    before, old_spec = old.get("status") or {}, old.get("spec") or {}
    annotations = pod["metadata"].get("annotations") or {}
    path = "metadata.annotations"
    validate_annotation_updates(annotations, old["metadata"].get("annotations") or {}, path, errs)
    validate_pod_annotations(annotations, spec, path, errs, any_cost=deletion_cost_bad(old["metadata"]))
    for i, condition in enumerate(status.get("conditions") or ()):
        if condition.get("type", "") not in _SYSTEM_CONDITIONS:
            d.qualified_name(condition.get("type", ""), f"status.conditions[{i}].Type", errs)
    node = status.get("nominatedNodeName", "")
    if node and node != before.get("nominatedNodeName", ""):
        d.dns_subdomain(node, "status.nominatedNodeName", errs)
    if status.get("qosClass") != before.get("qosClass"):
        _fixed_class(pod, old, errs)
    for member, containers in (*_KINDS, ("ephemeralContainerStatuses", "")):
        if before.get(member):
            sidecars = {c.get("name", "") for c in old_spec.get("initContainers") or () if is_sidecar(c)}
            _transitions(
                status.get(member) or [],
                before[member],
                f"status.{member}",
                errs,
                restart=old_spec.get("restartPolicy", "") if containers else "Never",
                sidecars=sidecars if containers == "initContainers" else set(),
            )
    if status.get("resourceClaimStatuses"):
        _claim_statuses(status["resourceClaimStatuses"], spec, errs)
    for member in ("podIPs", "hostIPs"):
        if status.get(member):
            _ips(member, status, before, errs)
    if status.keys().isdisjoint(_STATUSES):  # PERF: before the pod's containers run
        return
    system = (spec.get("os") or {}).get("name", "linux")
    for member in _STATUSES:
        _users(status.get(member) or [], f"status.{member}", errs, system)
    for member, containers in _KINDS:
        if any(one.get("allocatedResourcesStatus") for one in status.get(member) or ()):
            _allocated(status[member], spec.get(containers) or [], f"status.{member}", errs)
    for i, container in enumerate(status.get("ephemeralContainerStatuses") or ()):
        if container.get("allocatedResourcesStatus"):
            at = f"status.ephemeralContainerStatuses[{i}].allocatedResourcesStatus"
            errs.forbidden(at, "must not be specified in container status")


def _transitions(
    new: Sequence[Object],
    old: Sequence[Object],
    path: str,
    errs: Errors,
    *,
    restart: str,
    sidecars: set[str],
) -> None:
    """A terminated container that is not restarted must stay terminated."""
    if restart == "Always":
        return
    going = {s.get("name", "") for s in new if (s.get("state") or {}).get("terminated") is None}
    for i, status in enumerate(old):
        ended, name = (status.get("state") or {}).get("terminated"), status.get("name", "")
        if ended is None or (ended.get("exitCode", 0) != 0 and restart == "OnFailure") or name in sidecars:
            continue
        if name in going:
            errs.forbidden(f"{path}[{i}].state", "may not be transitioned to non-terminated state")


def _claim_statuses(statuses: Sequence[Object], spec: Object, errs: Errors) -> None:
    known = {c.get("name", "") for c in spec.get("resourceClaims") or ()}
    seen: set[str] = set()
    for i, status in enumerate(statuses):
        at, name = f"status.resourceClaimStatuses[{i}].name", status.get("name", "")
        if name not in known:
            errs.invalid(at, name, "must match the name of an entry in `spec.resourceClaims`")
        if name in seen:
            errs.duplicate(at, name)
        seen.add(name)
        claim = status.get("resourceClaimName")
        if claim is not None:
            d.dns_subdomain(claim, at, errs)


def _ips(member: str, status: Object, before: Object, errs: Errors) -> None:
    """Validates the addresses of the pod or its node: at most one per IP family."""
    why = "may specify no more than one IP for each IP family"
    path, listed = f"status.{member}", [e.get("ip", "") for e in status[member]]
    old = {e.get("ip", "") for e in before.get(member) or ()}
    if member == "hostIPs" and status.get("hostIP", "") != listed[0]:
        errs.invalid(f"{path}[0].ip", listed[0], "must be equal to `hostIP`")
    for i, address in enumerate(listed):
        validate_ip(address, f"{path}[{i}]", errs, old)
    if len(listed) < 2:
        return
    invalid = [i for i, address in enumerate(listed) if addresses.parse_ip(address) is None]
    doubled = len({is_ipv6(address) for address in listed}) != 2 or len(listed) > 2
    shown = [{"IP": address} for address in listed]
    if invalid:
        text = f"invalid IP[{invalid[0]}]: {listed[invalid[0]]}"
        errs.internal(path, f"failed to check for dual stack with error:{text}")
    if invalid or doubled:
        errs.invalid(path, shown, why)


def _users(statuses: Sequence[Object], path: str, errs: Errors, system: str) -> None:
    for i, status in enumerate(statuses):
        linux, at = (status.get("user") or {}).get("linux"), f"{path}[{i}].linux"
        if linux is None:
            continue
        if system == "windows":
            errs.forbidden(at, "cannot be set for a windows pod")
            continue
        for member in ("uid", "gid"):
            report(f"{at}.{member}", linux.get(member, 0), names.user_id(linux.get(member, 0)), errs)
        for j, group in enumerate(linux.get("supplementalGroups") or ()):
            report(f"{at}.supplementalGroups[{j}]", group, names.user_id(group), errs)


def _allocated(statuses: Sequence[Object], containers: Sequence[Object], path: str, errs: Errors) -> None:
    """Validates the health of devices, which must belong to resources that the container requests."""
    by_name = {c.get("name", ""): c.get("resources") or {} for c in containers}
    claims: dict[str, set[str]] = {}
    for i, status in enumerate(statuses):
        name = status.get("name", "")
        resources = by_name.get(name)
        if resources is not None and name not in claims:
            claims[name] = _claimed(resources)
        for j, resource in enumerate(status.get("allocatedResourcesStatus") or ()):
            at = f"{path}[{i}].allocatedResourcesStatus[{j}]"
            if resources is not None:
                asked = resources.get("requests") or {}
                _allocated_name(resource.get("name", ""), asked, claims[name], f"{at}.name", errs)
            seen: set[str] = set()
            for k, device in enumerate(resource.get("resources") or ()):
                health, identity = device.get("health", ""), device.get("resourceID", "")
                if health not in _HEALTH:
                    errs.not_supported(f"{at}.resources[{k}].health", health, _HEALTH)
                if identity in seen:
                    errs.duplicate(f"{at}.resources[{k}].resourceID", identity)
                seen.add(identity)


def _claimed(resources: Object) -> set[str]:
    """The container's claims in the form in which device statuses name them."""
    claims = resources.get("claims") or ()
    return {f"claim:{c.get('name', '')}" + (f"/{c['request']}" if c.get("request") else "") for c in claims}


def _allocated_name(name: str, requests: Object, claims: set[str], path: str, errs: Errors) -> None:
    if not name.startswith("claim:"):
        if name not in requests:
            errs.invalid(path, name, "must match one of the container's resource requests")
        return
    if name not in claims:
        why = (
            "must match one of the container's resource claims in a format 'claim:<claimName>/<request>'"
            " or 'claim:<claimName>' if request is empty"
        )
        errs.invalid(path, name, why)

"""Validates containers of all types: names, ports, images, resize policies, restart rules (apis/core/validation)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import report, validate_dns_label, validate_port
from pilothouse.api.validate.pod.env import validate_env, validate_env_from
from pilothouse.api.validate.pod.mounts import validate_volume_devices, validate_volume_mounts
from pilothouse.api.validate.pod.options import PodOptions
from pilothouse.api.validate.pod.probes import validate_lifecycle, validate_probe
from pilothouse.api.validate.pod.security import validate_security_context
from pilothouse.api.validate.remembered import RememberedRule
from pilothouse.api.validate.resources import validate_requirements

PROTOCOLS = ("SCTP", "TCP", "UDP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
CONTAINER_RESTART_POLICIES = ("Always", "Never", "OnFailure")
RESTART_ACTIONS = ("Restart", "RestartAllContainers")
MAX_RESTART_RULES = 20
MAX_EXIT_CODES = 255

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NOT_EPHEMERAL = (
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
)
"""Fields that an ephemeral container must not have, in the order of the Go type."""


@dataclass(slots=True, frozen=True)
class Surroundings:
    """Pod settings that container rules depend on: volumes, claims, restart policy, grace period."""

    volumes: Mapping[str, Object]
    claims: frozenset[str]
    restart_policy: str
    grace: int | None
    host_users: bool
    options: PodOptions


def visit(spec: Object, path: str) -> Iterator[tuple[Object, str]]:
    """Yield every container of a pod with its path: init, regular, ephemeral (VisitContainersWithPath)."""
    for member in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(member) or ()):
            yield container, f"{path}.{member}[{i}]"


def is_sidecar(container: Object) -> bool:
    """Whether an init container keeps running besides the regular ones."""
    return container.get("restartPolicy") == "Always"


def validate_containers(containers: Sequence[Object], path: str, errs: Errors, around: Surroundings) -> None:
    if not containers:
        errs.required(path)
        return
    seen: set[str] = set()
    for i, container in enumerate(containers):
        at, name = f"{path}[{i}]", container.get("name", "")
        _common(container, at, errs, around)
        if name in seen:
            errs.duplicate(f"{at}.name", name)
        seen.add(name)
        if container.get("lifecycle") is not None:
            validate_lifecycle(container["lifecycle"], f"{at}.lifecycle", errs, around.grace)
        _probes(container, at, errs)
        _restart_policy(container, at, errs)
    check_host_ports(containers, path, errs)


def validate_init_containers(
    containers: Sequence[Object], regular: Sequence[Object], path: str, errs: Errors, around: Surroundings
) -> None:
    seen = {c.get("name", "") for c in regular}
    for i, container in enumerate(containers):
        at, name = f"{path}[{i}]", container.get("name", "")
        _common(container, at, errs, around)
        _restart_policy(container, at, errs)
        if name in seen:
            errs.duplicate(f"{at}.name", name)
        elif name:
            seen.add(name)
        check_host_ports([container], path, errs)
        if is_sidecar(container):
            if container.get("lifecycle") is not None:
                validate_lifecycle(container["lifecycle"], f"{at}.lifecycle", errs, around.grace)
            _probes(container, at, errs)
        else:
            for member in ("lifecycle", *_PROBES):
                if container.get(member) is not None:
                    errs.forbidden(
                        f"{at}.{member}", "may not be set for init containers without restartPolicy=Always"
                    )


def validate_ephemeral_containers(spec: Object, path: str, errs: Errors, around: Surroundings) -> None:
    others = {c.get("name", "") for m in ("containers", "initContainers") for c in spec.get(m) or ()}
    seen = set(others)
    for i, container in enumerate(spec.get("ephemeralContainers") or ()):
        at, name = f"{path}[{i}]", container.get("name", "")
        _common(container, at, errs, around)
        validate_image_of_pod(container, at, errs)
        if name in seen:
            errs.duplicate(f"{at}.name", name)
        seen.add(name)
        target = container.get("targetContainerName", "")
        if target and target not in others:
            errs.not_found(f"{at}.targetContainerName", target)
        for member in _NOT_EPHEMERAL:
            if container.get(member):
                errs.forbidden(f"{at}.{member}", "cannot be set for an Ephemeral Container")
        for j, mount in enumerate(container.get("volumeMounts") or ()):
            for member in ("subPath", "subPathExpr"):
                if mount.get(member):
                    errs.forbidden(
                        f"{at}.volumeMounts[{j}].{member}", "cannot be set for an Ephemeral Container"
                    )


def _common(container: Object, path: str, errs: Errors, around: Surroundings) -> None:
    name = container.get("name", "")
    if name:
        validate_dns_label(name, f"{path}.name", errs)
    else:
        errs.required(f"{path}.name")
    if not container.get("image"):
        errs.required(f"{path}.image")
    _one_of(
        container.get("terminationMessagePolicy", ""),
        MESSAGE_POLICIES,
        f"{path}.terminationMessagePolicy",
        errs,
    )
    mounts, devices = container.get("volumeMounts") or [], container.get("volumeDevices") or []
    _ports(container.get("ports") or [], f"{path}.ports", errs)
    validate_env(container.get("env") or [], f"{path}.env", errs)
    validate_env_from(container.get("envFrom") or [], f"{path}.envFrom", errs)
    validate_volume_mounts(mounts, devices, around.volumes, f"{path}.volumeMounts", errs, container=container)
    validate_volume_devices(devices, mounts, around.volumes, f"{path}.volumeDevices", errs)
    _one_of(container.get("imagePullPolicy", ""), PULL_POLICIES, f"{path}.imagePullPolicy", errs)
    _resources(container.get("resources") or {}, f"{path}.resources", errs, around)
    _resize_policy(container.get("resizePolicy") or [], f"{path}.resizePolicy", errs, around.restart_policy)
    validate_security_context(
        container.get("securityContext"),
        f"{path}.securityContext",
        errs,
        around.host_users,
        around.options.allow_privileged,
    )


def _requirements(requirements: Object, path: str, errs: Errors, any_huge_page: bool) -> None:
    validate_requirements(requirements, path, errs, any_huge_page=any_huge_page)


_without_claims = RememberedRule(_requirements)


def _resources(requirements: Object, path: str, errs: Errors, around: Surroundings) -> None:
    """Requirements that name claims are validated each time, because a pod's claims are too many to remember."""
    huge = around.options.allow_indivisible_huge_pages
    if requirements.get("claims"):
        validate_requirements(requirements, path, errs, claims=around.claims, any_huge_page=huge)
    else:
        _without_claims(requirements, path, errs, huge)


def _one_of(value: str, valid: Sequence[str], path: str, errs: Errors) -> None:
    if not value:
        errs.required(path)
    elif value not in valid:
        errs.not_supported(path, value, valid)


def validate_image_of_pod(container: Object, path: str, errs: Errors) -> None:
    """Whitespace around an image is allowed in a template, but not in a pod."""
    image = container.get("image", "")
    if image != image.strip():
        errs.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")


def validate_ports(ports: Sequence[Object], path: str, errs: Errors) -> None:
    seen: set[str] = set()
    for i, port in enumerate(ports):
        at, name = f"{path}[{i}]", port.get("name", "")
        if name:
            messages = names.port_name(name)
            report(f"{at}.name", name, messages, errs)
            if not messages:
                if name in seen:
                    errs.duplicate(f"{at}.name", name)
                seen.add(name)
        if not port.get("containerPort"):
            errs.required(f"{at}.containerPort")
        else:
            validate_port(port["containerPort"], f"{at}.containerPort", errs)
        if port.get("hostPort"):
            validate_port(port["hostPort"], f"{at}.hostPort", errs)
        _one_of(port.get("protocol", ""), PROTOCOLS, f"{at}.protocol", errs)


_ports = RememberedRule(validate_ports)


def check_host_ports(containers: Sequence[Object], path: str, errs: Errors) -> None:
    """Each host port may be requested only once."""
    seen: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if key in seen:
                errs.duplicate(f"{path}[{i}].ports[{j}].hostPort", key)
            seen.add(key)


def _probes(container: Object, path: str, errs: Errors) -> None:
    for member in _PROBES:
        if container.get(member) is not None:
            _probe(container[member], f"{path}.{member}", errs, member)


_probe = RememberedRule(validate_probe)


def _restart_policy(container: Object, path: str, errs: Errors) -> None:
    """Validates a container's own restart policy and its rules (KEP-5307)."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if policy is None:
        if rules:
            errs.required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used")
    elif policy not in CONTAINER_RESTART_POLICIES:
        errs.not_supported(f"{path}.restartPolicy", policy, CONTAINER_RESTART_POLICIES)
    if len(rules) > MAX_RESTART_RULES:
        errs.too_many(f"{path}.restartPolicyRules", len(rules), MAX_RESTART_RULES)
    for i, rule in enumerate(rules):
        at = f"{path}.restartPolicyRules[{i}]"
        _one_of(rule.get("action", ""), RESTART_ACTIONS, f"{at}.action", errs)
        codes = rule.get("exitCodes")
        if codes is None:
            errs.required(f"{at}.exitCodes", "must be specified")
            continue
        _one_of(codes.get("operator", ""), ("In", "NotIn"), f"{at}.exitCodes.operator", errs)
        count = len(codes.get("values") or ())
        if count > MAX_EXIT_CODES:
            errs.too_many(f"{at}.exitCodes.values", count, MAX_EXIT_CODES)


def _resize_policy(policies: Sequence[Object], path: str, errs: Errors, restart_policy: str) -> None:
    seen: set[str] = set()
    for i, policy in enumerate(policies):
        resource, restart = policy.get("resourceName", ""), policy.get("restartPolicy", "")
        if resource in seen:
            errs.duplicate(f"{path}[{i}]", resource)
        seen.add(resource)
        _one_of(resource, ("cpu", "memory"), path, errs)
        _one_of(restart, ("NotRequired", "RestartContainer"), path, errs)
        if restart_policy == "Never" and restart != "NotRequired":
            errs.invalid(path, restart, "must be 'NotRequired' when `restartPolicy` is 'Never'")

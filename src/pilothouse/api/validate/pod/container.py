"""Validates containers of all types: names, ports, images, resize policies, restart rules (apis/core/validation)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.pod.env import validate_env, validate_env_from
from pilothouse.api.validate.pod.mounts import validate_volume_devices, validate_volume_mounts
from pilothouse.api.validate.pod.options import PodOptions
from pilothouse.api.validate.pod.probes import validate_lifecycle, validate_probe
from pilothouse.api.validate.pod.security import validate_security_context
from pilothouse.api.validate.remembered import RememberedRule
from pilothouse.api.validate.resources import validate_requirements
from pilothouse.api.validate.tables import Rules

MAX_RESTART_RULES = 20
MAX_EXIT_CODES = 255
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")

rules = Rules(validate_env_from)
rules.add("env", validate_env)
_head = rules.table("""
    name!                               dns-label
    image!
    terminationMessagePolicy!           File|FallbackToLogsOnError
    ports?                              ports
    @env
    envFrom?                            env-from
""")
_pull_policy = rules.table("imagePullPolicy! Always|IfNotPresent|Never")
_restart_policy = rules.table(f"""
    if restartPolicyRules
      restartPolicy*                    : must specify restartPolicy when restart rules are used
    restartPolicy?                      Always|Never|OnFailure
    restartPolicyRules[]                most:{MAX_RESTART_RULES}
      action!                           Restart|RestartAllContainers
      exitCodes*                        : must be specified
        operator!                       In|NotIn
        values[]                        most:{MAX_EXIT_CODES}
""")
"""A container's own restart policy and its rules (KEP-5307)."""
_no_handlers = rules.table("""
    lifecycle-?,livenessProbe-?,readinessProbe-?,startupProbe-? : may not be set for init containers without restartPolicy=Always
""")
_ephemeral = rules.table("""
    ports-,resources-,resizePolicy-,restartPolicy- : cannot be set for an Ephemeral Container
    restartPolicyRules-,livenessProbe-,readinessProbe- : cannot be set for an Ephemeral Container
    startupProbe-,lifecycle-            : cannot be set for an Ephemeral Container
    volumeMounts[]
      subPath-,subPathExpr-             : cannot be set for an Ephemeral Container
""")


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
            _no_handlers(container, at, errs)


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
        _ephemeral(container, at, errs)


def _common(container: Object, path: str, errs: Errors, around: Surroundings) -> None:
    _head(container, path, errs)
    mounts, devices = container.get("volumeMounts") or [], container.get("volumeDevices") or []
    validate_volume_mounts(mounts, devices, around.volumes, f"{path}.volumeMounts", errs, container=container)
    validate_volume_devices(devices, mounts, around.volumes, f"{path}.volumeDevices", errs)
    _pull_policy(container, path, errs)
    _resources(container.get("resources") or {}, f"{path}.resources", errs, around)
    if container.get("resizePolicy"):
        _resize_policy(container["resizePolicy"], f"{path}.resizePolicy", errs, around.restart_policy)
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


def validate_image_of_pod(container: Object, path: str, errs: Errors) -> None:
    """Whitespace around an image is allowed in a template, but not in a pod."""
    image = container.get("image", "")
    if image != image.strip():
        errs.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")


_port = rules.table("""
    containerPort!                      port
    hostPort+                           port
    protocol!                           SCTP|TCP|UDP
""")


def validate_ports(ports: Sequence[Object], path: str, errs: Errors) -> None:
    seen: set[str] = set()
    for i, port in enumerate(ports):
        at, name, count = f"{path}[{i}]", port.get("name", ""), len(errs)
        if name:
            d.port_name(name, f"{at}.name", errs)
            if len(errs) == count and name in seen:
                errs.duplicate(f"{at}.name", name)
            elif len(errs) == count:
                seen.add(name)
        _port(port, at, errs)


_ports = RememberedRule(validate_ports)
rules.add("ports", _ports)


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


_resize_resource = d.chosen("cpu", "memory")
_resize_restart = d.chosen("NotRequired", "RestartContainer")


def _resize_policy(policies: Sequence[Object], path: str, errs: Errors, restart_policy: str) -> None:
    seen: set[str] = set()
    for i, policy in enumerate(policies):
        resource, restart = policy.get("resourceName", ""), policy.get("restartPolicy", "")
        if resource in seen:
            errs.duplicate(f"{path}[{i}]", resource)
        seen.add(resource)
        _resize_resource(resource, path, errs)
        _resize_restart(restart, path, errs)
        if restart_policy == "Never" and restart != "NotRequired":
            errs.invalid(path, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'")

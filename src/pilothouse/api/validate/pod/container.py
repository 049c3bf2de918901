"""Validates containers: names, ports, images, resize policies, restart rules (apis/core/validation)."""

from collections.abc import Sequence
from dataclasses import field

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.pod.env import has_plain_env, validate_env, validate_env_from
from pilothouse.api.validate.pod.mounts import validate_volume_devices, validate_volume_mounts
from pilothouse.api.validate.pod.options import PodOptions
from pilothouse.api.validate.pod.probes import other_probe, readiness_probe, validate_lifecycle
from pilothouse.api.validate.pod.security import validate_security_context
from pilothouse.api.validate.remembered import RememberedRule
from pilothouse.api.validate.resources import validate_requirements
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values._structs import distinct, only, within
from pilothouse.api.values.fields import Errors, Object
from pilothouse.process.record import record

MAX_RESTART_RULES = 20
MAX_EXIT_CODES = 255
trimmed_image = d.holds(lambda image: image == image.strip(), "must not have leading or trailing whitespace")
"""Whitespace around an image is allowed in a template, but not in a pod."""
_readiness_probe = RememberedRule(readiness_probe)
_other_probe = RememberedRule(other_probe)
_resize_resource = d.chosen("cpu", "memory")
_resize_restart = d.chosen("NotRequired", "RestartContainer")


@record(eq=False)
class Surroundings:
    """Pod settings that container rules depend on: volumes, claims, restart policy, grace period.

    seen: the names of the containers so far. targets: those of the regular and the init containers.
    reads_files: whether a variable is read from a file of a volume.
    """

    volumes: dict[str, Object]
    claims: frozenset[str]
    restart_policy: str
    grace: int | None
    host_users: bool
    options: PodOptions
    seen: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    reads_files: bool = False


rules = Rules(
    __name__,
    validate_env_from,
    validate_lifecycle,
    trimmed_image=trimmed_image,
    security=lambda context, path, errs, around: validate_security_context(
        context, path, errs, around.host_users, around.options.allow_privileged
    ),
)


@rules
def _unlike_regular(name: str, path: str, errs: Errors, around: Surroundings) -> None:
    if name in around.seen:
        errs.duplicate(path, name)
    elif name:
        around.seen.add(name)


@rules
def _unlike_others(name: str, path: str, errs: Errors, around: Surroundings) -> None:
    if name in around.seen:
        errs.duplicate(path, name)
    around.seen.add(name)


@rules
def _target(name: str, path: str, errs: Errors, around: Surroundings) -> None:
    if name not in around.targets:
        errs.not_found(path, name)


@rules
def _own_host_ports(container: Object, path: str, errs: Errors) -> None:
    """Upstream's path is that of the first container."""
    check_host_ports([container], path.rpartition("[")[0], errs)


@rules
def _env(container: Object, path: str, errs: Errors, around: Surroundings) -> None:
    if not has_plain_env(container):
        validate_env(container, path, errs, around)


@rules
def _mounts(container: Object, path: str, errs: Errors, around: Surroundings) -> None:
    if _has_plain_mounts(container, around):
        return
    mounts, devices = container.get("volumeMounts") or [], container.get("volumeDevices") or []
    validate_volume_mounts(mounts, devices, around.volumes, f"{path}.volumeMounts", errs, container=container)
    if devices:
        validate_volume_devices(devices, mounts, around.volumes, f"{path}.volumeDevices", errs)


_PLAIN = frozenset(("name", "mountPath", "readOnly"))


def _has_plain_mounts(container: Object, around: Surroundings) -> bool:
    """Whether the mounts are of the pod's volumes, at different paths. PERF: those of most containers."""
    mounts = container.get("volumeMounts")
    if "volumeDevices" in container:
        return False
    return not mounts or (
        only(mounts, _PLAIN) and within(mounts, "name", around.volumes) and distinct(mounts, "mountPath")
    )


def _requirements(requirements: Object, path: str, errs: Errors, any_huge_page: bool) -> None:
    validate_requirements(requirements, path, errs, any_huge_page=any_huge_page)


_without_claims = RememberedRule(_requirements)


@rules
def _resources(requirements: Object, path: str, errs: Errors, around: Surroundings) -> None:
    """Requirements with claims are validated each time: a pod's claims are too many to remember."""
    huge = around.options.allow_indivisible_huge_pages
    if requirements.get("claims"):
        validate_requirements(requirements, path, errs, claims=around.claims, any_huge_page=huge)
    else:
        _without_claims(requirements, path, errs, huge)


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
rules.add("readiness-probe", _readiness_probe)
rules.add("other-probe", _other_probe)


@rules
def _resize_policy(policies: Sequence[Object], path: str, errs: Errors, around: Surroundings) -> None:
    seen: set[str] = set()
    for i, policy in enumerate(policies):
        resource, restart = policy.get("resourceName", ""), policy.get("restartPolicy", "")
        if resource in seen:
            errs.duplicate(f"{path}[{i}]", resource)
        seen.add(resource)
        _resize_resource(resource, path, errs)
        _resize_restart(restart, path, errs)
        if around.restart_policy == "Never" and restart != "NotRequired":
            errs.invalid(path, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'")


rules.define(f"""
container                           api.core.v1.Container|EphemeralContainer
    name!                               dns-label
    image!
    terminationMessagePolicy!           File|FallbackToLogsOnError
    ports                               ports
    @env
    envFrom                             env-from
    @mounts
    imagePullPolicy!                    Always|IfNotPresent|Never
    resources                           resources
    resizePolicy+                       resize-policy
    securityContext                     security
handlers                            api.core.v1.Container
    lifecycle                           lifecycle
    livenessProbe                       other-probe
    readinessProbe                      readiness-probe
    startupProbe                        other-probe
restart-rules                       api.core.v1.Container
    if restartPolicyRules
      restartPolicy*                    : must specify restartPolicy when restart rules are used
    restartPolicy                       Always|Never|OnFailure
    restartPolicyRules[]                most:{MAX_RESTART_RULES}
      action                            Restart|RestartAllContainers
      exitCodes*                        : must be specified
        operator                        In|NotIn
        values[]                        most:{MAX_EXIT_CODES}
""")
_containers = rules.table("api.core.v1.PodSpec")("""
    containers[]!
      @container
      name                              unique
      @handlers
      @restart-rules
""")
"""A container's own restart policy and its rules come from KEP-5307."""
_init_containers = rules.table("api.core.v1.PodSpec")("""
    initContainers[]
      @container
      if restartPolicy given
        @restart-rules
      elif restartPolicyRules
        required                        at:restartPolicy : must specify restartPolicy when restart rules are used
      name                              unlike-regular
      @own-host-ports
      if restartPolicy == Always
        @handlers
      else
        lifecycle-?,livenessProbe-?,readinessProbe-?,startupProbe-? : may not be set for init containers without restartPolicy=Always
""")
_ephemeral_containers = rules.table("api.core.v1.PodSpec")("""
    ephemeralContainers[]
      @container
      image                             trimmed-image
      name                              unlike-others
      targetContainerName+              target
      ports-,resources-,resizePolicy-,restartPolicy-? : cannot be set for an Ephemeral Container
      restartPolicyRules-,livenessProbe-?,readinessProbe-? : cannot be set for an Ephemeral Container
      startupProbe-?,lifecycle-?        : cannot be set for an Ephemeral Container
      volumeMounts[]
        subPath-,subPathExpr-           : cannot be set for an Ephemeral Container
""")
_port = rules.table("api.core.v1.ContainerPort")("""
    containerPort!                      port
    hostPort+                           port
    protocol!                           SCTP|TCP|UDP
""")


def validate_containers(spec: Object, path: str, errs: Errors, around: Surroundings) -> None:
    """Validates the containers of all types; no two of them may have the same name."""
    regular, init = spec.get("containers") or (), spec.get("initContainers") or ()
    _containers(spec, path, errs, around)
    check_host_ports(regular, f"{path}.containers", errs)
    ephemeral = spec.get("ephemeralContainers")
    if not init and not ephemeral:  # PERF: most pods
        return
    around.seen.update(container.get("name", "") for container in regular)
    _init_containers(spec, path, errs, around)
    around.targets.update(container.get("name", "") for container in (*regular, *init))
    around.seen.update(around.targets)
    _ephemeral_containers(spec, path, errs, around)


def validate_own_parts(spec: Object, path: str, errs: Errors, around: Surroundings) -> None:
    """The rules for the members of containers that often differ among the pods of one template (templates.py)."""
    for member in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(member) or ()):
            if not has_plain_env(container):
                validate_env(container, f"{path}.{member}[{i}]", errs, around)
            if not _has_plain_mounts(container, around):
                _mounts(container, f"{path}.{member}[{i}]", errs, around)


def check_host_ports(containers: Sequence[Object], path: str, errs: Errors) -> None:
    """Check that each host port is requested only once."""
    seen: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if key in seen:
                errs.duplicate(f"{path}[{i}].ports[{j}].hostPort", key)
            seen.add(key)

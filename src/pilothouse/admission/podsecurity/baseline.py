"""The checks of the level `baseline`: what gives a pod known ways out of its isolation."""

from collections.abc import Callable, Container, Iterator

from pilothouse.admission.podsecurity.checks import (
    EMPTY,
    Check,
    Pod,
    Violation,
    containers_named,
    plural,
    quoted,
    setters,
)
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote

HANDLERS = frozenset(("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"))
"""Members of a container that may name a host."""

APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"

CONFINED = ("RuntimeDefault", "Localhost")
"""Types of a seccomp or AppArmor profile that leave a container confined."""

CAPABILITIES = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)

SELINUX_TYPES = frozenset(("", "container_t", "container_init_t", "container_kvm_t"))
SELINUX_TYPES_31 = SELINUX_TYPES | {"container_engine_t"}

SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
    )
)
SYSCTLS_27 = SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
SYSCTLS_29 = SYSCTLS_27 | {
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
SYSCTLS_32 = SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}


def _app_armor_profile(pod: Pod) -> Violation | None:
    values: set[str] = set()

    def violates(context: Object) -> bool:
        profile = context.get("appArmorProfile")
        if profile is None or profile.get("type") in CONFINED:
            return False
        values.add(profile.get("type", ""))
        return True

    who = setters(violates(pod.security), [name for name, context, _ in pod.containers if violates(context)])
    annotations = sorted(
        f"{name}={quote(value)}"
        for name, value in pod.annotations.items()
        if name.startswith(APPARMOR)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    )
    if annotations:
        who.append(plural("annotation", "annotations", len(annotations)))
    if not who:
        return None
    found = [*sorted(values), *annotations]
    return Violation(
        plural("forbidden AppArmor profile", "forbidden AppArmor profiles", len(found)),
        f"{' and '.join(who)} must not set AppArmor profile type to {quoted(found)}",
    )


def _capabilities(pod: Pod) -> Violation | None:
    who: list[str] = []
    found: set[str] = set()
    for name, context, _ in pod.containers:
        added = (context.get("capabilities") or EMPTY).get("add")
        if added and not CAPABILITIES.issuperset(added):
            who.append(name)
            found.update(one for one in added if one not in CAPABILITIES)
    if not who:
        return None
    return Violation(
        "non-default capabilities",
        f"{containers_named(who)} must not include {quoted(sorted(found))} in"
        " securityContext.capabilities.add",
    )


def _host_namespaces(pod: Pod) -> Violation | None:
    found = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(name)]
    return Violation("host namespaces", ", ".join(found)) if found else None


def _host_path_volumes(pod: Pod) -> Violation | None:
    found = [v.get("name", "") for v in pod.spec.get("volumes") or () if v.get("hostPath") is not None]
    if not found:
        return None
    return Violation("hostPath volumes", f"{plural('volume', 'volumes', len(found))} {quoted(found)}")


def _host_ports(pod: Pod) -> Violation | None:
    who: list[str] = []
    found: set[str] = set()
    for name, _, container in pod.containers:
        ports = [str(port["hostPort"]) for port in container.get("ports") or () if port.get("hostPort")]
        if ports:
            who.append(name)
            found.update(ports)
    if not who:
        return None
    uses, ports_text = plural("uses", "use", len(who)), plural("hostPort", "hostPorts", len(found))
    return Violation("hostPort", f"{containers_named(who)} {uses} {ports_text} {', '.join(sorted(found))}")


def _probe_hosts(pod: Pod) -> Violation | None:
    who: set[str] = set()
    found: set[str] = set()
    for name, _, container in pod.containers:
        hosts = set(_hosts(container)) if not HANDLERS.isdisjoint(container) else None
        if hosts:
            who.add(name)
            found |= hosts
    if not who:
        return None
    what = plural("probe or lifecycle host", "probe or lifecycle hosts", len(found))
    return Violation(
        "probe or lifecycle host",
        f"{containers_named(sorted(who))} {plural('uses', 'use', len(who))} {what} {quoted(sorted(found))}",
    )


def _hosts(container: Object) -> Iterator[str]:
    """The hosts that a container's probes and lifecycle handlers name."""
    lifecycle = container.get("lifecycle") or EMPTY
    handlers = (
        *(container.get(probe) for probe in ("livenessProbe", "readinessProbe", "startupProbe")),
        *(lifecycle.get(event) for event in ("postStart", "preStop")),
    )
    for handler in filter(None, handlers):
        for action in ("httpGet", "tcpSocket"):
            if host := (handler.get(action) or EMPTY).get("host"):
                yield host


def _privileged(pod: Pod) -> Violation | None:
    who = [name for name, context, _ in pod.containers if context.get("privileged")]
    if not who:
        return None
    return Violation("privileged", f"{containers_named(who)} must not set securityContext.privileged=true")


def proc_mount(pod: Pod) -> Violation | None:
    """Every proc mount is the masked one; a check of both levels."""
    who: list[str] = []
    found: set[str] = set()
    for name, context, _ in pod.containers:
        mount = context.get("procMount")
        if mount is not None and mount != "Default":
            who.append(name)
            found.add(mount)
    if not who:
        return None
    return Violation(
        "procMount",
        f"{containers_named(who)} must not set securityContext.procMount to {quoted(sorted(found))}",
    )


def _proc_mount_35(pod: Pod) -> Violation | None:
    return None if pod.user_namespace else proc_mount(pod)


def _selinux_options(allowed: Container[str]) -> Callable[[Pod], Violation | None]:
    def check(pod: Pod) -> Violation | None:
        types: set[str] = set()
        members: set[str] = set()

        def violates(context: Object) -> bool:
            options = context.get("seLinuxOptions")
            if options is None:
                return False
            kind = options.get("type", "")
            forbidden = [member for member in ("user", "role") if options.get(member)]
            members.update(forbidden)
            if kind not in allowed:
                types.add(kind)
            return bool(forbidden) or kind not in allowed

        who = setters(
            violates(pod.security), [name for name, context, _ in pod.containers if violates(context)]
        )
        if not who:
            return None
        found = [f"{plural('type', 'types', len(types))} {quoted(sorted(types))}"] if types else []
        found += [f"{member} may not be set" for member in ("user", "role") if member in members]
        return Violation(
            "seLinuxOptions",
            f"{' and '.join(who)} set forbidden securityContext.seLinuxOptions: {'; '.join(found)}",
        )

    return check


def _seccomp_annotations(pod: Pod) -> Violation | None:
    if not pod.annotations:
        return None
    names = {SECCOMP_POD, *(SECCOMP_CONTAINER + name for name, _, _ in pod.containers)}
    found = sorted(
        f"{name}={quote(value)}"
        for name in names
        if (value := pod.annotations.get(name)) is not None
        and value not in ("runtime/default", "docker/default")
        and not value.startswith("localhost/")
    )
    if not found:
        return None
    what = plural("annotation", "annotations", len(found))
    return Violation("seccompProfile", f"forbidden {what} {', '.join(found)}")


def seccomp_profiles(pod: Pod) -> tuple[Violation | None, bool, list[str]]:
    """The violation by the seccomp profiles that are set;
    whether the pod has a good one; containers without any."""
    values: set[str] = set()

    def violates(context: Object) -> bool:
        profile = context.get("seccompProfile")
        if profile is None or profile.get("type") in CONFINED:
            return False
        values.add(profile.get("type", ""))
        return True

    pod_violates = violates(pod.security)
    who = setters(pod_violates, [name for name, context, _ in pod.containers if violates(context)])
    unset = [name for name, context, _ in pod.containers if context.get("seccompProfile") is None]
    violation = None
    if who:
        text = (
            f"{' and '.join(who)} must not set securityContext.seccompProfile.type to"
            f" {quoted(sorted(values))}"
        )
        violation = Violation("seccompProfile", text)
    return violation, not pod_violates and pod.security.get("seccompProfile") is not None, unset


def _seccomp_fields(pod: Pod) -> Violation | None:
    return seccomp_profiles(pod)[0]


def _sysctls(allowed: Container[str]) -> Callable[[Pod], Violation | None]:
    def check(pod: Pod) -> Violation | None:
        names = [sysctl.get("name", "") for sysctl in pod.security.get("sysctls") or ()]
        found = [name for name in names if name not in allowed]
        return Violation("forbidden sysctls", ", ".join(found)) if found else None

    return check


def _windows_host_process(pod: Pod) -> Violation | None:
    def violates(context: Object) -> bool:
        return bool((context.get("windowsOptions") or EMPTY).get("hostProcess"))

    who = setters(violates(pod.security), [name for name, context, _ in pod.containers if violates(context)])
    if not who:
        return None
    text = f"{' and '.join(who)} must not set securityContext.windowsOptions.hostProcess=true"
    return Violation("hostProcess", text)


CHECKS = (
    Check("appArmorProfile", [(0, _app_armor_profile)]),
    Check("capabilities_baseline", [(0, _capabilities)]),
    Check("hostNamespaces", [(0, _host_namespaces)]),
    Check("hostPathVolumes", [(0, _host_path_volumes)]),
    Check("hostPorts", [(0, _host_ports)]),
    Check("hostProbesAndHostLifecycle", [(34, _probe_hosts)]),
    Check("privileged", [(0, _privileged)]),
    Check("procMount", [(0, proc_mount), (35, _proc_mount_35)]),
    Check("seLinuxOptions", [(0, _selinux_options(SELINUX_TYPES)), (31, _selinux_options(SELINUX_TYPES_31))]),
    Check("seccompProfile_baseline", [(0, _seccomp_annotations), (19, _seccomp_fields)]),
    Check(
        "sysctls",
        [
            (0, _sysctls(SYSCTLS)),
            (27, _sysctls(SYSCTLS_27)),
            (29, _sysctls(SYSCTLS_29)),
            (32, _sysctls(SYSCTLS_32)),
        ],
    ),
    Check("windowsHostProcess", [(0, _windows_host_process)]),
)
"""In the order of their ids, which is that of messages."""

"""Validates security contexts of pods and containers (apis/core/validation)."""

import re
from collections.abc import Sequence

import re2

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import Repeated, report
from pilothouse.api.validate.paths import validate_descending
from pilothouse.api.validate.pod.options import PodOptions

PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
SYSCTL_MAX = 253
_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"^({_SEGMENT}[\./])*{_SEGMENT}$"
_SYSCTL_RE = re.compile(rf"({_SEGMENT}[\./])*{_SEGMENT}")
_IPC_SYSCTLS = ("kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue.")
_NET_SYSCTLS = "net."

GMSA_LIMIT = 64 * 1024
DOMAIN_LIMIT = 256
USER_LIMIT = 104
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NETBIOS = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}')
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_DOMAIN = re2.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_BAD_USER = re.compile(r'["/\\:;|=,+*?<>@\[\]]')
_EMPTY_USER = re.compile(r"[. ]+")

_NOT_WINDOWS_POD = (
    "appArmorProfile",
    "seLinuxOptions",
    "hostUsers",
    "hostPID",
    "hostIPC",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "shareProcessNamespace",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
)
_OF_SPEC = ("hostUsers", "hostPID", "hostIPC", "shareProcessNamespace")
"""Fields of the spec that upstream's internal type has in the security context."""
_NOT_WINDOWS_CONTAINER = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
)


def validate_pod_security_context(spec: Object, path: str, errs: Errors, options: PodOptions) -> None:
    """Validates the pod's security context; `path` is that of the spec."""
    context = spec.get("securityContext") or {}
    path = f"{path}.securityContext"
    for member in ("fsGroup", "runAsUser", "runAsGroup"):
        _id(context.get(member), f"{path}.{member}", errs)
    for i, group in enumerate(context.get("supplementalGroups") or ()):
        _id(group, f"{path}.supplementalGroups[{i}]", errs)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        errs.invalid(f"{path}.shareProcessNamespace", True, why)
    _sysctls(context.get("sysctls") or [], spec, f"{path}.sysctls", errs, options)
    _choice(context, "fsGroupChangePolicy", ("Always", "OnRootMismatch"), path, errs)
    _seccomp(context.get("seccompProfile"), f"{path}.seccompProfile", errs)
    _windows_options(context.get("windowsOptions"), f"{path}.windowsOptions", errs)
    _apparmor(context.get("appArmorProfile"), f"{path}.appArmorProfile", errs)
    _choice(context, "supplementalGroupsPolicy", ("Merge", "Strict"), path, errs)
    _choice(context, "seLinuxChangePolicy", ("MountOption", "Recursive"), path, errs)


def _choice(context: Object, member: str, valid: Sequence[str], path: str, errs: Errors) -> None:
    if context.get(member) is not None and context[member] not in valid:
        errs.not_supported(f"{path}.{member}", context[member], valid)


def _id(number: int | None, path: str, errs: Errors) -> None:
    if number is not None:
        report(path, number, names.user_id(number), errs)


def _sysctls(sysctls: Sequence[Object], spec: Object, path: str, errs: Errors, options: PodOptions) -> None:
    seen: set[str] = set()
    for i, sysctl in enumerate(sysctls):
        at, name = f"{path}[{i}].name", sysctl.get("name", "")
        if not name:
            errs.required(at)
        elif len(name) > SYSCTL_MAX or not _SYSCTL_RE.fullmatch(name):
            errs.invalid(at, name, f"must have at most {SYSCTL_MAX} characters and match regex {_SYSCTL}")
        elif name in seen:
            errs.duplicate(at, name)
        if not options.allow_host_sysctls:
            _host_sysctl(name, spec, at, errs)
        seen.add(name)


def _host_sysctl(name: str, spec: Object, path: str, errs: Errors) -> None:
    """Refuse a namespaced sysctl if the pod uses that namespace of the host."""
    dotted = _dotted(name)
    if spec.get("hostNetwork") and dotted.startswith(_NET_SYSCTLS):
        errs.invalid(path, name, "may not be specified when 'hostNetwork' is true")
    elif spec.get("hostIPC") and dotted.startswith(_IPC_SYSCTLS):
        errs.invalid(path, name, "may not be specified when 'hostIPC' is true")


def _dotted(name: str) -> str:
    """A sysctl in dot notation; if its first separator is a slash, dots and slashes are swapped."""
    first = next((c for c in name if c in "./"), ".")
    return name.translate(str.maketrans("./", "/.")) if first == "/" else name


def validate_security_context(
    context: Object | None, path: str, errs: Errors, host_users: bool, allow_privileged: bool = False
) -> None:
    """Validates a container's security context."""
    if context is None:
        return
    if context.get("privileged") and not allow_privileged:
        errs.forbidden(f"{path}.privileged", "disallowed by cluster policy")
    for member in ("runAsUser", "runAsGroup"):
        _id(context.get(member), f"{path}.{member}", errs)
    mount = context.get("procMount")
    if mount is not None:
        if mount not in ("Default", "Unmasked"):
            errs.not_supported(f"{path}.procMount", mount, ("Default", "Unmasked"))
        if host_users and mount == "Unmasked":
            errs.invalid(f"{path}.procMount", mount, "`hostUsers` must be false to use `Unmasked`")
    _seccomp(context.get("seccompProfile"), f"{path}.seccompProfile", errs)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errs.invalid(path, shown_context(context), why)
        added = ((context.get("capabilities") or {}).get("add") or []).count("CAP_SYS_ADMIN")
        if added:
            why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            cause = Repeated(shown_context(context), why)
            for _ in range(added):
                cause.add_to(errs, path)
    _windows_options(context.get("windowsOptions"), f"{path}.windowsOptions", errs)
    _apparmor(context.get("appArmorProfile"), f"{path}.appArmorProfile", errs)


_SHOWN: dict[str, tuple[str, ...]] = {
    "": (
        "capabilities",
        "privileged",
        "seLinuxOptions",
        "windowsOptions",
        "runAsUser",
        "runAsGroup",
        "runAsNonRoot",
        "readOnlyRootFilesystem",
        "allowPrivilegeEscalation",
        "procMount",
        "seccompProfile",
        "appArmorProfile",
    ),
    "capabilities": ("add", "drop"),
    "seLinuxOptions": ("user", "role", "type", "level"),
    "windowsOptions": ("gmsaCredentialSpecName", "gmsaCredentialSpec", "runAsUserName", "hostProcess"),
    "seccompProfile": ("type", "localhostProfile"),
    "appArmorProfile": ("type", "localhostProfile"),
}
_GO_NAMES = {
    "seLinuxOptions": "SELinuxOptions",
    "gmsaCredentialSpecName": "GMSACredentialSpecName",
    "gmsaCredentialSpec": "GMSACredentialSpec",
}


def shown_context(context: Object, part: str = "") -> Object:
    """A security context as messages print it: upstream's internal type with all fields."""
    out: Object = {}
    for member in _SHOWN[part]:
        value = context.get(member)
        if value is None and part == "seLinuxOptions":
            value = ""
        if member in _SHOWN and value is not None:
            value = shown_context(value, member)
        out[_GO_NAMES.get(member, member[:1].upper() + member[1:])] = value
    return out


def _seccomp(profile: Object | None, path: str, errs: Errors) -> None:
    if profile is None:
        return
    kind, file = profile.get("type", ""), profile.get("localhostProfile")
    if not kind:
        errs.required(f"{path}.type", "type is required when seccompProfile is set")
    elif kind not in PROFILE_TYPES:
        errs.not_supported(f"{path}.type", kind, PROFILE_TYPES)
    if kind == "Localhost":
        if file is None:
            errs.required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
        else:
            validate_descending(file, f"{path}.localhostProfile", errs)
    elif file is not None:
        value = {"Type": kind, "LocalhostProfile": file}
        errs.invalid(f"{path}.localhostProfile", value, "can only be set when seccomp type is Localhost")


def _apparmor(profile: Object | None, path: str, errs: Errors) -> None:
    if profile is None:
        return
    kind, file = profile.get("type", ""), profile.get("localhostProfile")
    at = f"{path}.localhostProfile"
    if kind == "Localhost":
        if not file:
            errs.required(at, "must be set when AppArmor type is Localhost")
        elif file != file.strip():
            errs.invalid(at, file, "must not be padded with whitespace")
        if file and names.size(file) > 4095:
            errs.too_long(at, 4095)
    elif kind in PROFILE_TYPES:
        if file is not None:
            errs.invalid(at, file, "can only be set when AppArmor type is Localhost")
    elif not kind:
        errs.required(f"{path}.type", "type is required when appArmorProfile is set")
    else:
        errs.not_supported(f"{path}.type", kind, PROFILE_TYPES)


def _windows_options(windows: Object | None, path: str, errs: Errors) -> None:
    if windows is None:
        return
    name, spec, user = (
        windows.get(m) for m in ("gmsaCredentialSpecName", "gmsaCredentialSpec", "runAsUserName")
    )
    if name is not None:
        report(f"{path}.gmsaCredentialSpecName", name, names.dns_subdomain(name), errs)
    if spec is not None:
        if not spec:
            errs.invalid(f"{path}.gmsaCredentialSpec", spec, "gmsaCredentialSpec cannot be an empty string")
        elif names.size(spec) > GMSA_LIMIT:
            errs.invalid(f"{path}.gmsaCredentialSpec", spec, "gmsaCredentialSpec size must be under 64 KiB")
    if user is not None:
        report(f"{path}.runAsUserName", user, _user_name_faults(user), errs)


def _user_name_faults(text: str) -> list[str]:
    if not text:
        return ["runAsUserName cannot be an empty string"]
    if _CONTROL.search(text):
        return ["runAsUserName cannot contain control characters"]
    parts = text.split("\\")
    if len(parts) > 2:
        return ["runAsUserName cannot contain more than one backslash"]
    domain, user = parts if len(parts) == 2 else ("", parts[0])
    out = []
    if names.size(domain) >= DOMAIN_LIMIT:
        out.append(f"runAsUserName's Domain length must be under {DOMAIN_LIMIT} characters")
    if len(parts) == 2 and not (_NETBIOS.fullmatch(domain) or _DOMAIN.fullmatch(domain)):
        out.append("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    if not user:
        out.append("runAsUserName's User cannot be empty")
    elif names.size(user) > USER_LIMIT:
        out.append(f"runAsUserName's User length must not be longer than {USER_LIMIT} characters")
    if _EMPTY_USER.fullmatch(user):
        out.append("runAsUserName's User cannot contain only periods or spaces")
    if _BAD_USER.search(user):
        out.append("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]")
    return out


def validate_host_process(
    spec: Object,
    containers: Sequence[tuple[Object, str]],
    path: str,
    errs: Errors,
    allow_privileged: bool = False,
) -> None:
    """Windows host processes: all containers or none, and only in the host's network."""
    wanted = _host_process(spec.get("securityContext"))
    count = 0
    for container, at in containers:
        own = _host_process(container.get("securityContext"))
        if wanted is not None and own is not None and wanted != own:
            shown = "true" if wanted else "false"
            why = f"pod hostProcess value must be identical if both are specified, was {shown}"
            errs.invalid(f"{at}.securityContext.windowsOptions.hostProcess", own, why)
        count += bool(wanted if own is None else own)
    if not count:
        return
    if count != len(containers):
        why = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        errs.invalid(path, "", why)
    if not spec.get("hostNetwork"):
        why = "hostNetwork must be true if pod contains any hostProcess containers"
        errs.invalid(f"{path}.hostNetwork", False, why)
    if not allow_privileged:
        errs.forbidden(path, "hostProcess containers are disallowed by cluster policy")


def _host_process(context: Object | None) -> bool | None:
    return ((context or {}).get("windowsOptions") or {}).get("hostProcess")


def validate_host_users(spec: Object, path: str, errs: Errors) -> None:
    """A user namespace of its own excludes the other namespaces of the host."""
    if spec.get("hostUsers") is not False:
        return
    for member, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(member):
            errs.forbidden(f"{path}.{shown}", "when `hostUsers` is false")


def validate_os(spec: Object, containers: Sequence[tuple[Object, str]], path: str, errs: Errors) -> None:
    """Validates the operating system, and the fields that must be unset for it."""
    system = spec.get("os")
    if system is None:
        return
    name = system.get("name", "")
    if not name:
        errs.required(f"{path}.os.name", "cannot be empty")
    elif name == "linux":
        _linux(spec, containers, path, errs)
    elif name == "windows":
        _windows(spec, containers, path, errs)
    else:
        errs.not_supported(f"{path}.os", name, ("linux", "windows"))


def _linux(spec: Object, containers: Sequence[tuple[Object, str]], path: str, errs: Errors) -> None:
    for holder, at in ((spec, path), *containers):
        if (holder.get("securityContext") or {}).get("windowsOptions") is not None:
            errs.forbidden(
                f"{at}.securityContext.windowsOptions", "windows options cannot be set for a linux pod"
            )


def _windows(spec: Object, containers: Sequence[tuple[Object, str]], path: str, errs: Errors) -> None:
    context = spec.get("securityContext") or {}
    for member in _NOT_WINDOWS_POD:
        if member in _OF_SPEC:
            value, at = spec.get(member), f"{path}.{member}"
            if member in ("hostPID", "hostIPC"):
                value = value or None
        else:
            value, at = context.get(member), f"{path}.securityContext.{member}"
        if value is not None and value != []:
            errs.forbidden(at, "cannot be set for a windows pod")
    for container, where in containers:
        own = container.get("securityContext") or {}
        for member in _NOT_WINDOWS_CONTAINER:
            if own.get(member) is not None:
                errs.forbidden(f"{where}.securityContext.{member}", "cannot be set for a windows pod")

"""Validates security contexts of pods and containers (apis/core/validation)."""

import re
from typing import NamedTuple

import re2

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import Repeated
from pilothouse.api.validate.paths import validate_descending
from pilothouse.api.validate.pod.options import PodOptions
from pilothouse.api.validate.pod.visit import containers, visit
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object

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


class _Around(NamedTuple):
    host_users: bool
    allow_privileged: bool


rules = Rules(
    __name__,
    validate_descending,
    not_padded=d.holds(lambda file: file == file.strip(), "must not be padded with whitespace"),
)


@rules
def _sysctls(spec: Object, path: str, errs: Errors, options: PodOptions) -> None:
    seen: set[str] = set()
    for i, sysctl in enumerate(spec["securityContext"]["sysctls"]):
        at, name = f"{path}.securityContext.sysctls[{i}].name", sysctl.get("name", "")
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


@rules
def _no_escalation(context: Object, path: str, errs: Errors) -> None:
    cannot = "cannot set `allowPrivilegeEscalation` to false and"
    if context.get("privileged"):
        errs.invalid(path, go(context, "api.core.v1.SecurityContext"), f"{cannot} `privileged` to true")
    added = ((context.get("capabilities") or {}).get("add") or []).count("CAP_SYS_ADMIN")
    if added:
        shown = go(context, "api.core.v1.SecurityContext")
        cause = Repeated(shown, f"{cannot} `capabilities.Add` CAP_SYS_ADMIN")
        for _ in range(added):
            cause.add_to(errs, path)


@rules
def _credentials(spec: str, path: str, errs: Errors) -> None:
    if not spec:
        errs.invalid(path, spec, "gmsaCredentialSpec cannot be an empty string")
    elif names.size(spec) > GMSA_LIMIT:
        errs.invalid(path, spec, "gmsaCredentialSpec size must be under 64 KiB")


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


rules.add("user-name", d.Matches(_user_name_faults))


@rules
def _host_process(spec: Object, path: str, errs: Errors, options: PodOptions) -> None:
    """Windows host processes: all containers or none, and only in the host's network."""
    if not any(
        "windowsOptions" in (holder.get("securityContext") or ()) for holder in (spec, *containers(spec))
    ):
        return
    wanted = _runs_host_process(spec)
    listed, count = list(visit(spec, path)), 0
    for container, at in listed:
        own = _runs_host_process(container)
        if wanted is not None and own is not None and wanted != own:
            shown = "true" if wanted else "false"
            why = f"pod hostProcess value must be identical if both are specified, was {shown}"
            errs.invalid(f"{at}.securityContext.windowsOptions.hostProcess", own, why)
        count += bool(wanted if own is None else own)
    if not count:
        return
    if count != len(listed):
        why = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        errs.invalid(path, "", why)
    if not spec.get("hostNetwork"):
        why = "hostNetwork must be true if pod contains any hostProcess containers"
        errs.invalid(f"{path}.hostNetwork", False, why)
    if not options.allow_privileged:
        errs.forbidden(path, "hostProcess containers are disallowed by cluster policy")


def _runs_host_process(holder: Object) -> bool | None:
    options = (holder.get("securityContext") or {}).get("windowsOptions")
    return options.get("hostProcess") if options else None


@rules
def _windows(spec: Object, path: str, errs: Errors) -> None:
    rules["not-windows"](spec, path, errs)
    for container, at in visit(spec, path):
        rules["not-windows-container"](container, at, errs)


@rules
def _linux(spec: Object, path: str, errs: Errors) -> None:
    for holder, at in ((spec, path), *visit(spec, path)):
        if d.found(holder, ("securityContext", "windowsOptions")) is not None:
            why = "windows options cannot be set for a linux pod"
            errs.forbidden(f"{at}.securityContext.windowsOptions", why)


rules.define("""
security-context                    api.core.v1.PodSpec
    securityContext
      fsGroup,runAsUser,runAsGroup      user-id
      supplementalGroups[]              user-id
    if shareProcessNamespace and hostPID
      shareProcessNamespace+            never as:securityContext.shareProcessNamespace : ShareProcessNamespace and HostPID cannot both be enabled
    if securityContext.sysctls
      @sysctls
    securityContext
      fsGroupChangePolicy               Always|OnRootMismatch
      seccompProfile                    seccomp
      windowsOptions                    windows-options
      appArmorProfile                   apparmor
      supplementalGroupsPolicy          Merge|Strict
      seLinuxChangePolicy               MountOption|Recursive
seccomp                             api.core.v1.SeccompProfile
    type!                               : type is required when seccompProfile is set
    type+                               Localhost|RuntimeDefault|Unconfined
    if type == Localhost
      localhostProfile*                 : must be set when seccomp type is Localhost
      localhostProfile                  descending
    elif localhostProfile given
      invalid                           at:localhostProfile show:api.core.v1.SeccompProfile : can only be set when seccomp type is Localhost
apparmor                            api.core.v1.AppArmorProfile
    if type == Localhost
      localhostProfile!                 : must be set when AppArmor type is Localhost
      localhostProfile+                 not-padded max:4095
    elif type in RuntimeDefault|Unconfined
      localhostProfile                  never : can only be set when AppArmor type is Localhost
    else
      type!                             : type is required when appArmorProfile is set
      type+                             Localhost|RuntimeDefault|Unconfined
windows-options                     api.core.v1.WindowsSecurityContextOptions
    gmsaCredentialSpecName              dns-subdomain
    gmsaCredentialSpec                  credentials
    runAsUserName                       user-name
not-windows                         api.core.v1.PodSpec
    securityContext.appArmorProfile-?                            : cannot be set for a windows pod
    securityContext.seLinuxOptions-?,hostUsers-?,hostPID-        : cannot be set for a windows pod
    hostIPC-,securityContext.seccompProfile-?                    : cannot be set for a windows pod
    securityContext.fsGroup-?                                    : cannot be set for a windows pod
    securityContext.fsGroupChangePolicy-?                        : cannot be set for a windows pod
    securityContext.sysctls-,shareProcessNamespace-?             : cannot be set for a windows pod
    securityContext.runAsUser-?,securityContext.runAsGroup-?     : cannot be set for a windows pod
    securityContext.supplementalGroups-                          : cannot be set for a windows pod
    securityContext.supplementalGroupsPolicy-?                   : cannot be set for a windows pod
    securityContext.seLinuxChangePolicy-?                        : cannot be set for a windows pod
not-windows-container               api.core.v1.Container|EphemeralContainer
    securityContext.appArmorProfile-?                            : cannot be set for a windows pod
    securityContext.seLinuxOptions-?                             : cannot be set for a windows pod
    securityContext.seccompProfile-?                             : cannot be set for a windows pod
    securityContext.capabilities-?                               : cannot be set for a windows pod
    securityContext.readOnlyRootFilesystem-?                     : cannot be set for a windows pod
    securityContext.privileged-?                                 : cannot be set for a windows pod
    securityContext.allowPrivilegeEscalation-?                   : cannot be set for a windows pod
    securityContext.procMount-?,securityContext.runAsUser-?      : cannot be set for a windows pod
    securityContext.runAsGroup-?                                 : cannot be set for a windows pod
""")
_context = rules.table("api.core.v1.SecurityContext")("""
    if privileged and not $allow_privileged
      privileged-                       : disallowed by cluster policy
    runAsUser,runAsGroup                user-id
    procMount                           Default|Unmasked
    if $host_users and procMount == Unmasked
      procMount                         never : `hostUsers` must be false to use `Unmasked`
    seccompProfile                      seccomp
    if allowPrivilegeEscalation given and not allowPrivilegeEscalation
      @no-escalation
    windowsOptions                      windows-options
    appArmorProfile                     apparmor
""")
rules.define("""
host-users                          api.core.v1.PodSpec
    if hostUsers given and not hostUsers
      hostNetwork-                      : when `hostUsers` is false
      hostPID-                          as:HostPID : when `hostUsers` is false
      hostIPC-                          as:HostIPC : when `hostUsers` is false
""")
"""A user namespace of its own excludes the other namespaces of the host."""


def validate_security_context(
    context: Object, path: str, errs: Errors, host_users: bool, allow_privileged: bool = False
) -> None:
    """Validates a container's security context."""
    _context(context, path, errs, _Around(host_users, allow_privileged))

"""The checks that the level `restricted` adds to `baseline`: what hardens a pod."""

from pilothouse.admission.podsecurity.baseline import proc_mount, seccomp_profiles
from pilothouse.admission.podsecurity.checks import (
    EMPTY,
    Check,
    CheckPod,
    Pod,
    Violation,
    containers_named,
    plural,
    quoted,
    setters,
)
from pilothouse.api.values.fields import Object

VOLUMES = (
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"),
    *("projected", "secret"),
)
OTHER_VOLUMES = (
    *("hostPath", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "rbd"),
    *(
        "flexVolume",
        "cinder",
        "cephfs",
        "flocker",
        "fc",
        "azureFile",
        "vsphereVolume",
        "quobyte",
        "azureDisk",
    ),
    *("photonPersistentDisk", "portworxVolume", "scaleIO", "storageos"),
)


def _not_on_windows(check: CheckPod) -> CheckPod:
    """The same check, which lets pods pass that say they run on Windows."""
    return lambda pod: None if pod.windows else check(pod)


def _not_in_user_namespace(check: CheckPod) -> CheckPod:
    """The same check, which lets pods pass whose users are not those of the node (KEP-127)."""
    return lambda pod: None if pod.user_namespace else check(pod)


def _allow_privilege_escalation(pod: Pod) -> Violation | None:
    who = [
        name for name, context, _ in pod.containers if context.get("allowPrivilegeEscalation") is not False
    ]
    if not who:
        return None
    text = f"{containers_named(who)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", text)


def _capabilities(pod: Pod) -> Violation | None:
    keeping: list[str] = []
    adding: list[str] = []
    found: set[str] = set()
    for name, context, _ in pod.containers:
        capabilities = context.get("capabilities") or EMPTY
        if "ALL" not in (capabilities.get("drop") or ()):
            keeping.append(name)
        added = [one for one in capabilities.get("add") or () if one != "NET_BIND_SERVICE"]
        if added:
            adding.append(name)
            found.update(added)
    details = []
    if keeping:
        details.append(f'{containers_named(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        details.append(
            f"{containers_named(adding)} must not include {quoted(sorted(found))} in "
            "securityContext.capabilities.add"
        )
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def _volumes(pod: Pod) -> Violation | None:
    who: list[str] = []
    kinds: set[str] = set()
    for volume in pod.spec.get("volumes") or ():
        if all(volume.get(kind) is None for kind in VOLUMES):
            who.append(volume.get("name", ""))
            kinds.add(next((kind for kind in OTHER_VOLUMES if volume.get(kind) is not None), "unknown"))
    if not who:
        return None
    return Violation(
        "restricted volume types",
        f"{plural('volume', 'volumes', len(who))} {quoted(who)} {plural('uses', 'use', len(who))} "
        f"{plural('restricted volume type', 'restricted volume types', len(kinds))} {quoted(sorted(kinds))}",
    )


def _run_as_non_root(pod: Pod) -> Violation | None:
    reason = "runAsNonRoot != true"
    declared = pod.security.get("runAsNonRoot")
    contexts = [(name, context.get("runAsNonRoot")) for name, context, _ in pod.containers]
    who = setters(declared is False, [name for name, value in contexts if value is False])
    if who:
        return Violation(reason, f"{' and '.join(who)} must not set securityContext.runAsNonRoot=false")
    unset = [name for name, value in contexts if value is None] if not declared else []
    if unset:
        return Violation(
            reason, f"pod or {containers_named(unset)} must set securityContext.runAsNonRoot=true"
        )
    return None


def _run_as_user(pod: Pod) -> Violation | None:
    def root(context: Object) -> bool:
        return context.get("runAsUser") == 0

    who = setters(root(pod.security), [name for name, context, _ in pod.containers if root(context)])
    return Violation("runAsUser=0", f"{' and '.join(who)} must not set runAsUser=0") if who else None


def _seccomp_profile(pod: Pod) -> Violation | None:
    violation, pod_has_one, unset = seccomp_profiles(pod)
    if violation is not None or pod_has_one or not unset:
        return violation
    return Violation(
        "seccompProfile",
        f'pod or {containers_named(unset)} must set securityContext.seccompProfile.type to "RuntimeDefault"'
        ' or "Localhost"',
    )


CHECKS = (
    Check(
        "allowPrivilegeEscalation",
        [(8, _allow_privilege_escalation), (25, _not_on_windows(_allow_privilege_escalation))],
    ),
    Check(
        "capabilities_restricted",
        [(22, _capabilities), (25, _not_on_windows(_capabilities))],
        ["capabilities_baseline"],
    ),
    Check("procMount_restricted", [(35, proc_mount)], ["procMount"]),
    Check("restrictedVolumes", [(0, _volumes)], ["hostPathVolumes"]),
    Check("runAsNonRoot", [(0, _run_as_non_root), (35, _not_in_user_namespace(_run_as_non_root))]),
    Check("runAsUser", [(23, _run_as_user), (35, _not_in_user_namespace(_run_as_user))]),
    Check(
        "seccompProfile_restricted",
        [(19, _seccomp_profile), (25, _not_on_windows(_seccomp_profile))],
        ["seccompProfile_baseline"],
    ),
)
"""In the order of their ids, which is that of messages."""

"""Every cause that annotations of pods can have (pkg/apis/core/validation)."""

from pods import CONTAINER, annotated
from rules import below, put, table

from pilothouse.api.validate.pod import annotations as rules
from pilothouse.api.validate.pod.spec import validate_pod
from pilothouse.api.values.fields import Errors, Object

NEW = validate_pod
MIRROR, COST, SECCOMP = rules.MIRROR, "controller.kubernetes.io/pod-deletion-cost", rules.SECCOMP_POD
OWN_SECCOMP, APPARMOR = rules.SECCOMP_CONTAINER + "c", rules.APPARMOR + "c"


def changed(new: Object, old: Object, errs: Errors) -> None:
    """Changed annotations."""
    rules.validate_annotation_updates(new, old, "a", errs)


def profiled(annotations: dict[str, str], pod_wide: Object | None = None, **own: Object) -> Object:
    """A pod with profiles in annotations and in the security contexts of pod and container."""
    return annotated(annotations, securityContext=pod_wide or {}, containers=[{**CONTAINER, "securityContext": own}])


UNCONFINED, DEFAULT = {"type": "Unconfined"}, {"type": "RuntimeDefault"}
LOCAL = {"type": "Localhost", "localhostProfile": "x"}

test_causes = table([
    (NEW, annotated({MIRROR: "m"}), ['metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "m": must set spec.nodeName if mirror pod annotation is set']),
    (NEW, annotated({MIRROR: "m"}, nodeName="n"), []),
    (NEW, annotated({rules.TOLERATIONS: '[{"operator": "Exists"}]'}), []),
    (NEW, annotated({rules.TOLERATIONS: '[{"operator": "Equal"}]'}), ['metadata.annotations.scheduler.alpha.kubernetes.io/tolerations[0].operator: Invalid value: "Equal": <key or Exists>']),
    (NEW, annotated({rules.TOLERATIONS: "{}"}), ['metadata.annotations: Invalid value: "scheduler.alpha.kubernetes.io/tolerations": json: cannot unmarshal into Go value of type []core.Toleration']),
    (NEW, annotated({rules.TOLERATIONS: "[" * 100_000}), ['metadata.annotations: Invalid value: "scheduler.alpha.kubernetes.io/tolerations": exceeded max depth']),
    (NEW, annotated({COST: "1"}), []),
    (NEW, annotated({COST: "2147483648"}), ['metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "2147483648": must be a 32bit integer']),
    (NEW, annotated({SECCOMP: "runtime/default", OWN_SECCOMP: "localhost/a"}), []),
    (NEW, annotated({SECCOMP: "odd", OWN_SECCOMP: "localhost//a"}), ['metadata.annotations.seccomp.security.alpha.kubernetes.io/pod: Invalid value: "odd": must be a valid seccomp profile',
        'metadata.annotations.container.seccomp.security.alpha.kubernetes.io/c: Invalid value: "/a": must be a relative path']),
    (NEW, annotated({APPARMOR: "localhost/a"}), []),
    (NEW, annotated({APPARMOR: "odd", rules.APPARMOR + "d": "unconfined"}), below("metadata.annotations[container.apparmor.security.beta.kubernetes",
        '.io/c]: Invalid value: "odd": invalid AppArmor profile name: "odd"', '.io/d]: Invalid value: "d": container not found')),
    (NEW, profiled({SECCOMP: "unconfined", OWN_SECCOMP: "docker/default"}, {"seccompProfile": UNCONFINED}, seccompProfile=DEFAULT), []),
    (NEW, profiled({SECCOMP: "unconfined", OWN_SECCOMP: "localhost/y"}, {"seccompProfile": DEFAULT}, seccompProfile=LOCAL),
        ["spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match",
        "spec.containers[0].securityContext.seccompProfile.localhostProfile: Forbidden: seccomp profile in annotation and field must match"]),
    (NEW, profiled({SECCOMP: "localhost/x", OWN_SECCOMP: "localhost/x"}, {"seccompProfile": LOCAL}, seccompProfile={"type": "Odd"}),
        ['spec.containers[0].securityContext.seccompProfile.type: Unsupported value: "Odd": supported values: "Localhost", "RuntimeDefault", "Unconfined"']),
    (NEW, profiled({APPARMOR: "runtime/default"}, appArmorProfile=DEFAULT), []),
    (NEW, profiled({APPARMOR: "runtime/default"}, {"appArmorProfile": UNCONFINED}),
        ["spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must match"]),
    (NEW, put(profiled({APPARMOR: "runtime/default"}), {"spec.os": {"name": "windows"}}), []),
    (changed, ({"a": "2"}, {"a": "1"}), []),
    (changed, ({APPARMOR: "b"}, {APPARMOR: "a", MIRROR: "m"}), ["a[container.apparmor.security.beta.kubernetes.io/c]: Forbidden: may not remove or update AppArmor annotations",
        "a[kubernetes.io/config.mirror]: Forbidden: may not remove or update mirror pod annotation"]),
    (changed, ({APPARMOR: "b", MIRROR: "m"}, {}), ["a[container.apparmor.security.beta.kubernetes.io/c]: Forbidden: may not add AppArmor annotations",
        "a[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation"]),
])  # fmt: skip

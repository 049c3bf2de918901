"""Every cause that annotations of pods can have (pkg/apis/core/validation)."""

from pods import CONTAINER, annotated
from rules import below, put, table, valid

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
    (NEW, annotated({MIRROR: "m"}), "metadata.annotations[kubernetes.io/config.mirror] : must set spec.nodeName if mirror pod annotation is set"),
    *valid(NEW, annotated({MIRROR: "m"}, nodeName="n"), annotated({rules.TOLERATIONS: '[{"operator": "Exists"}]'}), annotated({COST: "1"})),
    *valid(NEW, annotated({SECCOMP: "runtime/default", OWN_SECCOMP: "localhost/a"}), annotated({APPARMOR: "localhost/a"})),
    (NEW, profiled({SECCOMP: "unconfined", OWN_SECCOMP: "docker/default"}, {"seccompProfile": UNCONFINED}, seccompProfile=DEFAULT)),
    *valid(NEW, profiled({APPARMOR: "runtime/default"}, appArmorProfile=DEFAULT), put(profiled({APPARMOR: "runtime/default"}), {"spec.os": {"name": "windows"}})),
    (NEW, annotated({rules.TOLERATIONS: '[{"operator": "Equal"}]'}), 'metadata.annotations.scheduler.alpha.kubernetes.io/tolerations[0].operator="Equal" : <key or Exists>'),
    (NEW, annotated({rules.TOLERATIONS: "{}"}), 'metadata.annotations="scheduler.alpha.kubernetes.io/tolerations" : json: cannot unmarshal into Go value of type []core.Toleration'),
    (NEW, annotated({rules.TOLERATIONS: "[" * 100_000}), 'metadata.annotations="scheduler.alpha.kubernetes.io/tolerations" : exceeded max depth'),
    (NEW, annotated({COST: "2147483648"}), "metadata.annotations[controller.kubernetes.io/pod-deletion-cost] : must be a 32bit integer"),
    (NEW, annotated({SECCOMP: "odd", OWN_SECCOMP: "localhost//a"}), 'metadata.annotations.seccomp.security.alpha.kubernetes.io/pod="odd" : must be a valid seccomp profile',
        'metadata.annotations.container.seccomp.security.alpha.kubernetes.io/c="/a" : must be a relative path'),
    (NEW, annotated({APPARMOR: "odd", rules.APPARMOR + "d": "unconfined"}), *below("metadata.annotations[container.apparmor.security.beta.kubernetes", '.io/c] : invalid AppArmor profile name: "odd"',
        '.io/d]="d" : container not found')),
    (NEW, profiled({SECCOMP: "unconfined", OWN_SECCOMP: "localhost/y"}, {"seccompProfile": DEFAULT}, seccompProfile=LOCAL),
        "spec.securityContext.seccompProfile.type- : seccomp type in annotation and field must match",
        "spec.containers[0].securityContext.seccompProfile.localhostProfile- : seccomp profile in annotation and field must match"),
    (NEW, profiled({SECCOMP: "localhost/x", OWN_SECCOMP: "localhost/x"}, {"seccompProfile": LOCAL}, seccompProfile={"type": "Odd"}),
        "spec.containers[0].securityContext.seccompProfile.type Localhost|RuntimeDefault|Unconfined"),
    (NEW, profiled({APPARMOR: "runtime/default"}, {"appArmorProfile": UNCONFINED}), "spec.containers[0].securityContext.appArmorProfile.type- : apparmor type in annotation and field must match"),
    (changed, ({"a": "2"}, {"a": "1"})),
    (changed, ({APPARMOR: "b"}, {APPARMOR: "a", MIRROR: "m"}), "a[container.apparmor.security.beta.kubernetes.io/c]- : may not remove or update AppArmor annotations",
        "a[kubernetes.io/config.mirror]- : may not remove or update mirror pod annotation"),
    (changed, ({APPARMOR: "b", MIRROR: "m"}, {}), "a[container.apparmor.security.beta.kubernetes.io/c]- : may not add AppArmor annotations",
        "a[kubernetes.io/config.mirror]- : may not add mirror pod annotation"),
])  # fmt: skip

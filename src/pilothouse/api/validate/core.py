"""Validates smaller core kinds: namespaces, replication controllers, bindings, pod log options."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import report, validate_nonnegative
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.spec import options_for, validate_pod_template_spec

STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_COUNTS = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")


def _finalizer(name: str, path: str, errs: Errors) -> None:
    report(path, name, names.qualified_name(name), errs)
    if "/" not in name and name not in STANDARD_FINALIZERS:
        errs.invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")


def validate_namespace(namespace: Object, errs: Errors) -> None:
    for name in (namespace.get("spec") or {}).get("finalizers") or ():
        _finalizer(name, "spec.finalizers", errs)


def validate_namespace_finalize(namespace: Object, old: Object, errs: Errors) -> None:
    for i, name in enumerate((namespace.get("spec") or {}).get("finalizers") or ()):
        _finalizer(name, f"spec.finalizers[{i}]", errs)


def validate_namespace_status(namespace: Object, old: Object, errs: Errors) -> None:
    """The phase must be Terminating with a deletion time, else Active."""
    phase = (namespace.get("status") or {}).get("phase", "")
    deleting = bool(namespace["metadata"].get("deletionTimestamp"))
    wanted, when = ("Terminating", "is not empty") if deleting else ("Active", "is empty")
    if phase != wanted:
        errs.invalid("status.Phase", phase, f"may only be '{wanted}' if `deletionTimestamp` {when}")


def validate_replication_controller(
    controller: Object, errs: Errors, old: Object | None = None, policy: PodPolicy = STRICT
) -> None:
    spec, before = controller.get("spec") or {}, (old or {}).get("spec") or {}
    validate_nonnegative(spec.get("minReadySeconds", 0), "spec.minReadySeconds", errs)
    selector, template = spec.get("selector") or {}, spec.get("template")
    if not selector:
        errs.required("spec.selector")
    if spec.get("replicas") is None:
        errs.required("spec.replicas")
    else:
        validate_nonnegative(spec["replicas"], "spec.replicas", errs)
    if template is None:
        errs.required("spec.template")
        return
    labels = (template.get("metadata") or {}).get("labels") or {}
    if selector and any(labels.get(k) != v for k, v in selector.items()):
        why = "`selector` does not match template `labels`"
        errs.invalid("spec.template.metadata.labels", dict(sorted(labels.items())) or None, why)
    old_template = before.get("template") or {}
    options = options_for(old_template.get("spec"), old_template.get("metadata"), policy=policy)
    validate_pod_template_spec(template, "spec.template", errs, options)
    pod = template.get("spec") or {}
    if pod.get("restartPolicy", "") != "Always":
        errs.not_supported("spec.template.spec.restartPolicy", pod.get("restartPolicy", ""), ("Always",))
    if pod.get("activeDeadlineSeconds") is not None:
        why = "activeDeadlineSeconds in ReplicationController is not Supported"
        errs.forbidden("spec.template.spec.activeDeadlineSeconds", why)


def validate_replication_controller_status(controller: Object, old: Object, errs: Errors) -> None:
    status = controller.get("status") or {}
    counts = {member: status.get(member, 0) for member in _COUNTS}
    for member, count in counts.items():
        validate_nonnegative(count, f"status.{member}", errs)
    for member in _COUNTS[1:4]:
        if counts[member] > counts["replicas"]:
            errs.invalid(f"status.{member}", counts[member], "cannot be greater than status.replicas")
    if counts["availableReplicas"] > counts["readyReplicas"]:
        errs.invalid(
            "status.availableReplicas", counts["availableReplicas"], "cannot be greater than readyReplicas"
        )


def validate_binding(binding: Object, errs: Errors) -> None:
    target = binding.get("target") or {}
    if target.get("kind") not in (None, "", "Node"):
        errs.not_supported("target.kind", target["kind"], ("Node", "<empty>"))
    if not target.get("name"):
        errs.required("target.name")

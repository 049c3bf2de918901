"""Validates smaller core kinds: namespaces, replication controllers, bindings, pod log options."""

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.apps import check_replicas_within, only_always
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.spec import options_for, validate_pod_template_spec
from pilothouse.api.validate.shown import sorted_map

STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")

_finalizer = d.every(
    d.qualified_name,
    d.holds(
        lambda name: "/" in name or name in STANDARD_FINALIZERS,
        "name is neither a standard finalizer name nor is it fully qualified",
    ),
)


def validate_namespace(namespace: Object, errs: Errors) -> None:
    for name in d.found(namespace, ("spec", "finalizers"), ()):
        _finalizer(name, "spec.finalizers", errs)


validate_namespace_finalize = d.anew(d.whole(d.each("spec.finalizers", _finalizer)))


def validate_namespace_status(namespace: Object, old: Object, errs: Errors) -> None:
    """The phase must be Terminating with a deletion time, else Active."""
    phase = (namespace.get("status") or {}).get("phase", "")
    deleting = bool(namespace["metadata"].get("deletionTimestamp"))
    wanted, when = ("Terminating", "is not empty") if deleting else ("Active", "is empty")
    if phase != wanted:
        errs.invalid("status.Phase", phase, f"may only be '{wanted}' if `deletionTimestamp` {when}")


_controller_head = d.whole(
    d.number("spec.minReadySeconds", d.nonnegative),
    d.required("spec.selector"),
    d.nonnull("spec.replicas", d.nonnegative),
    d.nonnull("spec.template"),
)


def validate_replication_controller(
    controller: Object, errs: Errors, old: Object | None = None, policy: PodPolicy = STRICT
) -> None:
    _controller_head(controller, errs)
    spec, before = controller.get("spec") or {}, (old or {}).get("spec") or {}
    selector, template = spec.get("selector") or {}, spec.get("template")
    if template is None:
        return
    labels = (template.get("metadata") or {}).get("labels") or {}
    if any(labels.get(k) != v for k, v in selector.items()):
        why = "`selector` does not match template `labels`"
        errs.invalid("spec.template.metadata.labels", sorted_map(labels), why)
    old_template = before.get("template") or {}
    options = options_for(old_template.get("spec"), old_template.get("metadata"), policy=policy)
    validate_pod_template_spec(template, "spec.template", errs, options)
    only_always("ReplicationController")(template, "spec.template", errs)


_COUNTS = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
validate_replication_controller_status = d.anew(
    d.whole(
        d.inside("status", *(d.given(member, d.nonnegative) for member in _COUNTS), check_replicas_within)
    )
)


def _node(kind: str, path: str, errs: Errors) -> None:
    if kind != "Node":
        errs.not_supported(path, kind, ("Node", "<empty>"))


validate_binding = d.whole(
    d.filled("target.kind", _node),
    d.required("target.name"),
)

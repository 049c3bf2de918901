"""Validates smaller core kinds: namespaces, replication controllers, bindings, pod log options."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.apps import validate_replica_set_status
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.spec import options_for, validate_pod_template_spec
from pilothouse.api.validate.shown import sorted_map
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.validate.workloads import only_always
from pilothouse.api.values.fields import Errors, Object

STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_in_controller = only_always("ReplicationController")
validate_replication_controller_status = validate_replica_set_status
rules = Rules(
    __name__,
    finalizer=d.every(
        d.qualified_name,
        d.holds(
            lambda name: "/" in name or name in STANDARD_FINALIZERS,
            "name is neither a standard finalizer name nor is it fully qualified",
        ),
    ),
)


@rules
def _node(kind: str, path: str, errs: Errors) -> None:
    if kind != "Node":
        errs.not_supported(path, kind, ("Node", "<empty>"))


validate_namespace = rules.kind("v1 Namespace")("spec.finalizers[=] finalizer")
validate_namespace_finalize = rules.change("v1 Namespace")("spec.finalizers[] finalizer")
_controller_head = rules.kind("v1 ReplicationController")("""
    spec.minReadySeconds                >=0
    spec.selector!
    spec.replicas*                      >=0
    spec.template*
""")
validate_binding = rules.kind("v1 Binding")("""
    target.kind+                        node
    target.name!
""")


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
    _controller_head(controller, errs)
    spec, before = controller.get("spec") or {}, (old or {}).get("spec") or {}
    selector, template = spec.get("selector") or {}, spec.get("template")
    if template is None:
        return
    labels = (template.get("metadata") or {}).get("labels") or {}
    if any(labels.get(k) != v for k, v in selector.items()):
        why = "`selector` does not match template `labels`"
        errs.invalid("spec.template.metadata.labels", sorted_map(labels) or None, why)
    old_template = before.get("template") or {}
    options = options_for(old_template.get("spec"), old_template.get("metadata"), policy=policy)
    validate_pod_template_spec(template, "spec.template", errs, options)
    _in_controller(template, "spec.template", errs)

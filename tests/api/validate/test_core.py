"""The rules of namespaces, replication controllers and bindings (pkg/apis/core/validation)."""

from pods import POD
from rules import at, each, put, table, valid

from pilothouse.api.validate import core as rules
from pilothouse.api.values.fields import Object

NAMESPACE, FINALIZE, PHASE = (rules.validate_namespace, rules.validate_namespace_finalize, rules.validate_namespace_status)
CONTROLLER, STATUS = rules.validate_replication_controller, rules.validate_replication_controller_status
DELETED = "2026-01-01T00:00:00Z"
RC = {"spec": {"replicas": 1, "selector": {"a": "b"}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]}}}
finalizers = each({}, "spec.finalizers")
counts = at({}, "status", {})


def namespace(phase: str, deleted: str | None = None) -> Object:
    return {"metadata": {"deletionTimestamp": deleted}, "status": {"phase": phase}}


test_core = table([
    (NAMESPACE, finalizers("kubernetes", "orphan", "example.com/own")),
    (NAMESPACE, finalizers("own", ""), 'spec.finalizers="own" : name is neither a standard finalizer name nor is it fully qualified', 'spec.finalizers="" : name part must be non-empty',
        'spec.finalizers="" : <name part>', 'spec.finalizers="" : name is neither a standard finalizer name nor is it fully qualified'),
    (FINALIZE, (finalizers("kubernetes"), {})),
    (FINALIZE, (finalizers("kubernetes", "own"), {}), "spec.finalizers[1] : name is neither a standard finalizer name nor is it fully qualified"),
    *valid(PHASE, (namespace("Active"), {}), (namespace("Terminating", DELETED), {})),
    (PHASE, (namespace("Terminating"), {}), "status.Phase=\"Terminating\" : may only be 'Active' if `deletionTimestamp` is empty"),
    (PHASE, (namespace("Active", DELETED), {}), "status.Phase=\"Active\" : may only be 'Terminating' if `deletionTimestamp` is not empty"),
    (CONTROLLER, RC),
    (CONTROLLER, {}, "spec.selector,replicas,template!"),
    (CONTROLLER, put(RC, {"spec.replicas": -1, "spec.minReadySeconds": -2}), "spec.minReadySeconds,replicas : <not negative>"),
    (CONTROLLER, put(RC, {"spec.template.metadata": {}}), "spec.template.metadata.labels=null : <other labels>"),
    (CONTROLLER, put(RC, {"spec.selector": {"a": "c"}}), "spec.template.metadata.labels : <other labels>"),
    (CONTROLLER, put(RC, {"spec.template.spec.restartPolicy": "Never"}), "spec.template.spec.restartPolicy |Always"),
    (CONTROLLER, put(RC, {"spec.template.spec.activeDeadlineSeconds": 5}), "spec.template.spec.activeDeadlineSeconds- : activeDeadlineSeconds in ReplicationController is not Supported"),
    (STATUS, (counts(replicas=2, readyReplicas=2, availableReplicas=1), {})),
    (STATUS, (counts(replicas=-1, observedGeneration=-1), {}), "status.replicas,observedGeneration : <not negative>",
        "status.fullyLabeledReplicas,readyReplicas,availableReplicas=0 : <at most replicas>"),
    (STATUS, (counts(replicas=1, fullyLabeledReplicas=2, readyReplicas=2, availableReplicas=3), {}), "status.fullyLabeledReplicas,readyReplicas,availableReplicas : <at most replicas>",
        "status.availableReplicas : cannot be greater than readyReplicas"),
    (rules.validate_binding, {"target": {"kind": "Node", "name": "n"}}),
    (rules.validate_binding, {"target": {"kind": "Pod"}}, "target.kind Node|<empty>", "target.name!"),
])  # fmt: skip

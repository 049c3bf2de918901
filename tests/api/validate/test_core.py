"""The rules of namespaces, replication controllers and bindings (pkg/apis/core/validation)."""

from rules import GONE, at, below, each, put, table

from pilothouse.api.validate import core as rules
from pilothouse.api.values.fields import Object

NAMESPACE, FINALIZE, PHASE = (rules.validate_namespace, rules.validate_namespace_finalize, rules.validate_namespace_status)
CONTROLLER, STATUS = rules.validate_replication_controller, rules.validate_replication_controller_status
DELETED = "2026-01-01T00:00:00Z"
CONTAINER = {"name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File", "terminationMessagePath": "/dev/termination-log"}
POD = {"containers": [CONTAINER], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30}
RC = {"spec": {"replicas": 1, "selector": {"a": "b"}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}}


finalizers = each({}, "spec.finalizers")
counts = at({}, "status", {})


def namespace(phase: str, deleted: str | None = None) -> Object:
    return {"metadata": {"deletionTimestamp": deleted}, "status": {"phase": phase}}


test_core = table([
    (NAMESPACE, finalizers("kubernetes", "orphan", "example.com/own"), []),
    (NAMESPACE, finalizers("own", ""), below("spec.finalizers", ': Invalid value: "own": name is neither a standard finalizer name nor is it fully qualified',
        ': Invalid value: "": name part must be non-empty', ': Invalid value: "": <name part>', ': Invalid value: "": name is neither a standard finalizer name nor is it fully qualified')),
    (FINALIZE, (finalizers("kubernetes"), {}), []),
    (FINALIZE, (finalizers("kubernetes", "own"), {}), ['spec.finalizers[1]: Invalid value: "own": name is neither a standard finalizer name nor is it fully qualified']),
    (PHASE, (namespace("Active"), {}), []),
    (PHASE, (namespace("Terminating"), {}), ["status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"]),
    (PHASE, (namespace("Terminating", DELETED), {}), []),
    (PHASE, (namespace("Active", DELETED), {}), ["status.Phase: Invalid value: \"Active\": may only be 'Terminating' if `deletionTimestamp` is not empty"]),
    (CONTROLLER, RC, []),
    (CONTROLLER, {}, ["spec.selector: Required value", "spec.replicas: Required value", "spec.template: Required value"]),
    (CONTROLLER, put(RC, {"spec.replicas": -1, "spec.minReadySeconds": -2}), ["spec.minReadySeconds: Invalid value: -2: <not negative>", "spec.replicas: Invalid value: -1: <not negative>"]),
    (CONTROLLER, put(RC, {"spec.template.metadata": {}}), ["spec.template.metadata.labels: Invalid value: null: <other labels>"]),
    (CONTROLLER, put(RC, {"spec.selector": {"a": "c"}}), ['spec.template.metadata.labels: Invalid value: {"a":"b"}: <other labels>']),
    (CONTROLLER, put(RC, {"spec.selector": GONE}), ["spec.selector: Required value"]),
    (CONTROLLER, put(RC, {"spec.template.spec.restartPolicy": "Never"}), ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"']),
    (CONTROLLER, put(RC, {"spec.template.spec.activeDeadlineSeconds": 5}), ["spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicationController is not Supported"]),
    (STATUS, (counts(replicas=2, readyReplicas=2, availableReplicas=1), {}), []),
    (STATUS, (counts(replicas=-1, observedGeneration=-1), {}), below("status", ".replicas: Invalid value: -1: <not negative>", ".observedGeneration: Invalid value: -1: <not negative>",
        ".fullyLabeledReplicas: Invalid value: 0: <at most replicas>", ".readyReplicas: Invalid value: 0: <at most replicas>", ".availableReplicas: Invalid value: 0: <at most replicas>")),
    (STATUS, (counts(replicas=1, fullyLabeledReplicas=2, readyReplicas=2, availableReplicas=3), {}), ["status.fullyLabeledReplicas: Invalid value: 2: <at most replicas>",
        "status.readyReplicas: Invalid value: 2: <at most replicas>", "status.availableReplicas: Invalid value: 3: <at most replicas>",
        "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas"]),
    (rules.validate_binding, {"target": {"kind": "Node", "name": "n"}}, []),
    (rules.validate_binding, {"target": {"kind": "Pod"}}, ['target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"', "target.name: Required value"]),
])  # fmt: skip

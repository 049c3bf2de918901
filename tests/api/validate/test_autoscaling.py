"""Every cause that autoscalers can have (pkg/apis/autoscaling/validation)."""

from rules import at, put, table

from pilothouse.api.validate import autoscaling as rules
from pilothouse.api.values.fields import Errors, Object

HPA: Object = {"spec": {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}
UPDATE, STATUS = rules.validate_autoscaler_update, rules.validate_autoscaler_status
VALUE = {"type": "Value", "value": "1"}
AVERAGE = {"type": "AverageValue", "averageValue": "1"}
CRONJOB = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "c"}


def new(obj: Object, errs: Errors) -> None:
    rules.validate_autoscaler(obj, None, errs)


def metric(kind: str, **sources: object) -> Object:
    return put(HPA, {"spec.metrics": [{"type": kind, **sources}]})


def scaling(**rules: object) -> Object:
    return put(HPA, {"spec.behavior.scaleUp": rules})


POLICY = {"type": "Pods", "value": 1, "periodSeconds": 1}
OBJECT = {"describedObject": CRONJOB, "metric": {"name": "m"}, "target": VALUE}
OLD_VERSION = put(HPA, {"spec.metrics": [{"type": "Object", "object": put(OBJECT, {"describedObject.apiVersion": "a/b/c"})}]})

of = at(HPA, "spec")

test_causes = table([
    (new, HPA, []),
    (new, {}, [
        "spec.maxReplicas: Required value: must be set and greater than 0",
        "spec.scaleTargetRef.kind: Required value",
        "spec.scaleTargetRef.name: Required value",
        'spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group']),
    (new, put(HPA, {"spec.minReplicas": 0}), [
        "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
        "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas"]),
    (new, put(HPA, {"spec.minReplicas": 5}), ["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"]),
    (UPDATE, (put(HPA, {"spec.minReplicas": 0}), put(HPA, {"spec.minReplicas": 0})),
        ["spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas"]),
    (new, put(HPA, {"spec.scaleTargetRef": {"kind": "a/b", "name": "..", "apiVersion": "v1"}}), [
        "spec.scaleTargetRef.kind: Invalid value: \"a/b\": may not contain '/'",
        "spec.scaleTargetRef.name: Invalid value: \"..\": may not be '..'",
        'spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group']),
    (new, put(HPA, {"spec.scaleTargetRef.apiVersion": "a/b/c"}), ['spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c']),
    (new, put(HPA, {"spec.scaleTargetRef": {"kind": "ReplicationController", "name": "r", "apiVersion": "v1"}}), []),
    (UPDATE, (put(HPA, {"spec.scaleTargetRef.apiVersion": "v1"}), put(HPA, {"spec.scaleTargetRef.apiVersion": "v1"})), []),
    (new, metric("", resource={}), [
        "spec.metrics[0].type: Required value: must specify a metric source type",
        'spec.metrics[0].type: Unsupported value: "": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"',
        "spec.metrics[0].resource.name: Required value: must specify a resource name",
        "spec.metrics[0].resource.target.type: Required value: must specify a metric target type",
        'spec.metrics[0].resource.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue',
        "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
        'spec.metrics[0].type: Unsupported value: "": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"']),
    (new, metric("Odd"), [
        'spec.metrics[0].type: Unsupported value: "Odd": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"',
        'spec.metrics[0].type: Unsupported value: "Odd": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"']),
    (new, metric("Resource"), ["spec.metrics[0].resource: Required value: must populate information for the given metric source"]),
    (new, metric("Resource", resource={"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}), []),
    (new, metric("Resource", resource={"target": {"type": "Odd", "averageUtilization": 0}}), [
        "spec.metrics[0].resource.name: Required value: must specify a resource name",
        'spec.metrics[0].resource.target.type: Invalid value: "Odd": must be either Utilization, Value, or AverageValue',
        "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0"]),
    (new, metric("Resource", resource={"name": "cpu", "target": {}}), [
        "spec.metrics[0].resource.target.type: Required value: must specify a metric target type",
        'spec.metrics[0].resource.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue',
        "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization"]),
    (new, metric("Resource", resource={"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 1, "averageValue": "1"}}),
        ["spec.metrics[0].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization"]),
    (new, metric("ContainerResource", containerResource={"target": AVERAGE}), [
        "spec.metrics[0].containerResource.name: Required value: must specify a resource name",
        "spec.metrics[0].containerResource.container: Required value: must specify a container"]),
    (new, metric("ContainerResource", containerResource={"name": "cpu", "container": "c", "target": AVERAGE}), []),
    (new, metric("Pods", pods={"metric": {"name": "m"}, "target": AVERAGE}), []),
    (new, metric("Pods", pods={"metric": {"name": "a/b"}, "target": {"type": "AverageValue", "averageValue": "-1"}}), [
        "spec.metrics[0].pods.metric.name: Invalid value: \"a/b\": may not contain '/'",
        'spec.metrics[0].pods.target.averageValue: Invalid value: "-1": must be positive']),
    (new, metric("Pods", pods={"target": VALUE}), [
        "spec.metrics[0].pods.metric.name: Required value: must specify a metric name",
        "spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue"]),
    (new, metric("Object", object=OBJECT), []),
    (new, metric("Object", object={**OBJECT, "target": {"type": "Value"}}), ["spec.metrics[0].object.target.averageValue: Required value: must set either a target value or averageValue"]),
    (new, metric("Object", object=put(OBJECT, {"describedObject.apiVersion": "a/b/c"})),
        ['spec.metrics[0].object.describedObject.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c']),
    (UPDATE, (OLD_VERSION, OLD_VERSION), []),
    (new, metric("External", external={"metric": {"name": "m"}, "target": VALUE}), []),
    (new, metric("External", external={"metric": {"name": "m"}, "target": {"type": "Value"}}),
        ["spec.metrics[0].external.target.averageValue: Required value: must set either a target value for metric or a per-pod target"]),
    (new, metric("External", external={"metric": {"name": "m"}, "target": {**VALUE, **AVERAGE}}),
        ["spec.metrics[0].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target"]),
    (new, metric("Resource", resource={"name": "cpu", "target": AVERAGE}, external={}), [
        "spec.metrics[0].external.metric.name: Required value: must specify a metric name",
        "spec.metrics[0].external.target.type: Required value: must specify a metric target type",
        'spec.metrics[0].external.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue',
        "spec.metrics[0].external.target.averageValue: Required value: must set either a target value for metric or a per-pod target",
        "spec.metrics[0].external: Forbidden: must populate the given metric source only"]),
    (new, scaling(policies=[POLICY], selectPolicy="Max", stabilizationWindowSeconds=3600, tolerance="100m"), []),
    (new, scaling(), ["spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"]),
    (new, scaling(policies=[POLICY], stabilizationWindowSeconds=-1, selectPolicy="Odd", tolerance="-1"), [
        "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero",
        'spec.behavior.scaleUp.selectPolicy: Unsupported value: "Odd": supported values: "Disabled", "Max", "Min"',
        'spec.behavior.scaleUp.tolerance: Invalid value: "-1": must be greater than or equal to 0']),
    (new, scaling(policies=[POLICY], stabilizationWindowSeconds=3601), ["spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600"]),
    (new, scaling(policies=[{}, {"type": "Percent", "value": 1, "periodSeconds": 1801}]), [
        'spec.behavior.scaleUp.policies[0].type: Unsupported value: "": supported values: "Percent", "Pods"',
        "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
        "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 0: must be greater than zero",
        "spec.behavior.scaleUp.policies[1].periodSeconds: Invalid value: 1801: must be less than or equal to 1800"]),
    (STATUS, ({"status": {"currentReplicas": 1, "desiredReplicas": 1}}, HPA), []),
    (STATUS, ({"status": {"currentReplicas": -1, "desiredReplicas": -1}}, HPA), [
        "status.currentReplicas: Invalid value: -1: must be greater than or equal to 0",
        "status.desiredReplicas: Invalid value: -1: must be greater than or equal to 0"]),
    (new, of(minReplicas=0, metrics=[{"type": "External", "external": {"metric": {"name": "m"}, "target": VALUE}}]), ["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"]),
    (new, of(maxReplicas=0), ["spec.maxReplicas: Required value: must be set and greater than 0", "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`"]),
    (new, of(scaleTargetRef={}), [
        "spec.scaleTargetRef.kind: Required value",
        "spec.scaleTargetRef.name: Required value",
        'spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group']),
    (new, metric("Pods", pods={"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "0"}}), ['spec.metrics[0].pods.target.averageValue: Invalid value: "0": must be positive']),
    (new, metric("Object", resource={"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}}),
        ["spec.metrics[0].object: Required value: must populate information for the given metric source"]),
    (new, scaling(policies=[]), ["spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"]),
    (UPDATE, (of(scaleTargetRef={"kind": "Thing", "name": "u"}), of(scaleTargetRef={"kind": "Thing", "name": "t"})), []),
    (STATUS, ({"status": {"currentReplicas": -1, "desiredReplicas": 1}}, {}), ["status.currentReplicas: Invalid value: -1: must be greater than or equal to 0"]),
    (rules.validate_scale, {"spec": {"replicas": 0}}, []),
    (rules.validate_scale, {}, []),
    (rules.validate_scale, {"spec": {"replicas": -1}}, ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
])  # fmt: skip

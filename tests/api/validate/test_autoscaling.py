"""Every cause that autoscalers can have (pkg/apis/autoscaling/validation)."""

from rules import at, below, new, put, table, within

from pilothouse.api.validate import autoscaling as rules
from pilothouse.api.values.fields import Object

HPA: Object = {"spec": {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}
NEW = within("spec.metrics[0]", new(rules.validate_autoscaler))
UPDATE, STATUS = rules.validate_autoscaler, rules.validate_autoscaler_status
VALUE = {"type": "Value", "value": "1"}
AVERAGE = {"type": "AverageValue", "averageValue": "1"}
CRONJOB = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "c"}


def metric(kind: str, **sources: object) -> Object:
    return put(HPA, {"spec.metrics": [{"type": kind, **sources}]})


scaling = at(HPA, "spec.behavior.scaleUp", {})
POLICY = {"type": "Pods", "value": 1, "periodSeconds": 1}
OBJECT = {"describedObject": CRONJOB, "metric": {"name": "m"}, "target": VALUE}
OLD_VERSION = put(HPA, {"spec.metrics": [{"type": "Object", "object": put(OBJECT, {"describedObject.apiVersion": "a/b/c"})}]})

of = at(HPA, "spec")

test_causes = table([
    (NEW, HPA, []),
    (NEW, {}, ["spec.maxReplicas: Required value: must be set and greater than 0", "spec.scaleTargetRef.kind: Required value", "spec.scaleTargetRef.name: Required value",
        'spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group']),
    (NEW, put(HPA, {"spec.minReplicas": 0}), ["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
        "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas"]),
    (NEW, put(HPA, {"spec.minReplicas": 5}), ["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"]),
    (UPDATE, (put(HPA, {"spec.minReplicas": 0}), put(HPA, {"spec.minReplicas": 0})),
        ["spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas"]),
    (NEW, put(HPA, {"spec.scaleTargetRef": {"kind": "a/b", "name": "..", "apiVersion": "v1"}}), ["spec.scaleTargetRef.kind: Invalid value: \"a/b\": may not contain '/'",
        "spec.scaleTargetRef.name: Invalid value: \"..\": may not be '..'", 'spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group']),
    (NEW, put(HPA, {"spec.scaleTargetRef.apiVersion": "a/b/c"}), ['spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c']),
    (NEW, put(HPA, {"spec.scaleTargetRef": {"kind": "ReplicationController", "name": "r", "apiVersion": "v1"}}), []),
    (UPDATE, (put(HPA, {"spec.scaleTargetRef.apiVersion": "v1"}), put(HPA, {"spec.scaleTargetRef.apiVersion": "v1"})), []),
    (NEW, metric("", resource={}), ["~.type: Required value: must specify a metric source type",
        '~.type: Unsupported value: "": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"', "~.resource.name: Required value: must specify a resource name",
        "~.resource.target.type: Required value: must specify a metric target type", '~.resource.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue',
        "~.resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
        '~.type: Unsupported value: "": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"']),
    (NEW, metric("Odd"), ['~.type: Unsupported value: "Odd": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"',
        '~.type: Unsupported value: "Odd": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"']),
    (NEW, metric("Resource"), ["~.resource: Required value: must populate information for the given metric source"]),
    (NEW, metric("Resource", resource={"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}), []),
    (NEW, metric("Resource", resource={"target": {"type": "Odd", "averageUtilization": 0}}), ["~.resource.name: Required value: must specify a resource name",
        '~.resource.target.type: Invalid value: "Odd": must be either Utilization, Value, or AverageValue', "~.resource.target.averageUtilization: Invalid value: 0: must be greater than 0"]),
    (NEW, metric("Resource", resource={"name": "cpu", "target": {}}), below("~.resource.target", ".type: Required value: must specify a metric target type",
        '.type: Invalid value: "": must be either Utilization, Value, or AverageValue', ".averageUtilization: Required value: must set either a target raw value or a target utilization")),
    (NEW, metric("Resource", resource={"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 1, "averageValue": "1"}}),
        ["~.resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization"]),
    (NEW, metric("ContainerResource", containerResource={"target": AVERAGE}), ["~.containerResource.name: Required value: must specify a resource name",
        "~.containerResource.container: Required value: must specify a container"]),
    (NEW, metric("ContainerResource", containerResource={"name": "cpu", "container": "c", "target": AVERAGE}), []),
    (NEW, metric("Pods", pods={"metric": {"name": "m"}, "target": AVERAGE}), []),
    (NEW, metric("Pods", pods={"metric": {"name": "a/b"}, "target": {"type": "AverageValue", "averageValue": "-1"}}), ["~.pods.metric.name: Invalid value: \"a/b\": may not contain '/'",
        '~.pods.target.averageValue: Invalid value: "-1": must be positive']),
    (NEW, metric("Pods", pods={"target": VALUE}), ["~.pods.metric.name: Required value: must specify a metric name",
        "~.pods.target.averageValue: Required value: must specify a positive target averageValue"]),
    (NEW, metric("Object", object=OBJECT), []),
    (NEW, metric("Object", object={**OBJECT, "target": {"type": "Value"}}), ["~.object.target.averageValue: Required value: must set either a target value or averageValue"]),
    (NEW, metric("Object", object=put(OBJECT, {"describedObject.apiVersion": "a/b/c"})), ['~.object.describedObject.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c']),
    (UPDATE, (OLD_VERSION, OLD_VERSION), []),
    (NEW, metric("External", external={"metric": {"name": "m"}, "target": VALUE}), []),
    (NEW, metric("External", external={"metric": {"name": "m"}, "target": {"type": "Value"}}),
        ["~.external.target.averageValue: Required value: must set either a target value for metric or a per-pod target"]),
    (NEW, metric("External", external={"metric": {"name": "m"}, "target": {**VALUE, **AVERAGE}}),
        ["~.external.target.value: Forbidden: may not set both a target value for metric and a per-pod target"]),
    (NEW, metric("Resource", resource={"name": "cpu", "target": AVERAGE}, external={}), ["~.external.metric.name: Required value: must specify a metric name",
        "~.external.target.type: Required value: must specify a metric target type", '~.external.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue',
        "~.external.target.averageValue: Required value: must set either a target value for metric or a per-pod target", "~.external: Forbidden: must populate the given metric source only"]),
    (NEW, scaling(policies=[POLICY], selectPolicy="Max", stabilizationWindowSeconds=3600, tolerance="100m"), []),
    (NEW, scaling(), ["spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"]),
    (NEW, scaling(policies=[POLICY], stabilizationWindowSeconds=-1, selectPolicy="Odd", tolerance="-1"),
        ["spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero",
        'spec.behavior.scaleUp.selectPolicy: Unsupported value: "Odd": supported values: "Disabled", "Max", "Min"', 'spec.behavior.scaleUp.tolerance: Invalid value: "-1": <not negative>']),
    (NEW, scaling(policies=[POLICY], stabilizationWindowSeconds=3601), ["spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600"]),
    (NEW, scaling(policies=[{}, {"type": "Percent", "value": 1, "periodSeconds": 1801}]), ['spec.behavior.scaleUp.policies[0].type: Unsupported value: "": supported values: "Percent", "Pods"',
        "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero", "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 0: must be greater than zero",
        "spec.behavior.scaleUp.policies[1].periodSeconds: Invalid value: 1801: must be less than or equal to 1800"]),
    (STATUS, ({"status": {"currentReplicas": 1, "desiredReplicas": 1}}, HPA), []),
    (STATUS, ({"status": {"currentReplicas": -1, "desiredReplicas": -1}}, HPA), ["status.currentReplicas: Invalid value: -1: <not negative>",
        "status.desiredReplicas: Invalid value: -1: <not negative>"]),
    (NEW, of(minReplicas=0, metrics=[{"type": "External", "external": {"metric": {"name": "m"}, "target": VALUE}}]), ["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"]),
    (NEW, of(maxReplicas=0), ["spec.maxReplicas: Required value: must be set and greater than 0", "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`"]),
    (NEW, of(scaleTargetRef={}), below("spec.scaleTargetRef", ".kind: Required value", ".name: Required value", '.apiVersion: Invalid value: "": apiVersion must specify API group')),
    (NEW, metric("Pods", pods={"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "0"}}), ['~.pods.target.averageValue: Invalid value: "0": must be positive']),
    (NEW, metric("Object", resource={"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}}), ["~.object: Required value: must populate information for the given metric source"]),
    (NEW, scaling(policies=[]), ["spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"]),
    (UPDATE, (of(scaleTargetRef={"kind": "Thing", "name": "u"}), of(scaleTargetRef={"kind": "Thing", "name": "t"})), []),
    (STATUS, ({"status": {"currentReplicas": -1, "desiredReplicas": 1}}, {}), ["status.currentReplicas: Invalid value: -1: <not negative>"]),
    (rules.validate_scale, {"spec": {"replicas": 0}}, []),
    (rules.validate_scale, {}, []),
    (rules.validate_scale, {"spec": {"replicas": -1}}, ["spec.replicas: Invalid value: -1: <not negative>"]),
])  # fmt: skip

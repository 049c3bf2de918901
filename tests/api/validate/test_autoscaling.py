"""Every cause that autoscalers can have (pkg/apis/autoscaling/validation)."""

from rules import at, below, new, put, table, valid, within

from pilothouse.api.validate import autoscaling as rules

HPA = {"spec": {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}
NEW = within("spec.metrics[0]", new(rules.validate_autoscaler))
UPDATE, STATUS = rules.validate_autoscaler, rules.validate_autoscaler_status
VALUE = {"type": "Value", "value": "1"}
AVERAGE = {"type": "AverageValue", "averageValue": "1"}
CRONJOB = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "c"}
metric = at(HPA, "spec.metrics[]", {})
scaling = at(HPA, "spec.behavior.scaleUp", {})
POLICY = {"type": "Pods", "value": 1, "periodSeconds": 1}
OBJECT = {"describedObject": CRONJOB, "metric": {"name": "m"}, "target": VALUE}
OLD_VERSION = put(HPA, {"spec.metrics": [{"type": "Object", "object": put(OBJECT, {"describedObject.apiVersion": "a/b/c"})}]})
of = at(HPA, "spec")

test_causes = table([
    *valid(NEW, HPA, put(HPA, {"spec.scaleTargetRef": {"kind": "ReplicationController", "name": "r", "apiVersion": "v1"}})),
    (NEW, metric(type="Resource", resource={"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}})),
    *valid(NEW, metric(type="ContainerResource", containerResource={"name": "cpu", "container": "c", "target": AVERAGE}), metric(type="Pods", pods={"metric": {"name": "m"}, "target": AVERAGE})),
    *valid(NEW, metric(type="Object", object=OBJECT), metric(type="External", external={"metric": {"name": "m"}, "target": VALUE})),
    (NEW, scaling(policies=[POLICY], selectPolicy="Max", stabilizationWindowSeconds=3600, tolerance="100m")),
    (NEW, {}, "spec.maxReplicas! : must be set and greater than 0", "spec.scaleTargetRef.kind,name!", 'spec.scaleTargetRef.apiVersion="" : apiVersion must specify API group'),
    (NEW, put(HPA, {"spec.minReplicas": 0}), "spec.minReplicas >=1", "spec.metrics- : must specify at least one Object or External metric to support scaling to zero replicas"),
    (UPDATE, (put(HPA, {"spec.minReplicas": 0}), put(HPA, {"spec.minReplicas": 0})), "spec.metrics- : must specify at least one Object or External metric to support scaling to zero replicas"),
    (NEW, put(HPA, {"spec.scaleTargetRef": {"kind": "a/b", "name": "..", "apiVersion": "v1"}}), *below("spec.scaleTargetRef", ".kind : may not contain '/'", ".name : may not be '..'",
        ".apiVersion : apiVersion must specify API group")),
    (NEW, put(HPA, {"spec.scaleTargetRef.apiVersion": "a/b/c"}), "spec.scaleTargetRef.apiVersion : unexpected GroupVersion string: a/b/c"),
    *valid(UPDATE, (put(HPA, {"spec.scaleTargetRef.apiVersion": "v1"}), put(HPA, {"spec.scaleTargetRef.apiVersion": "v1"})), (OLD_VERSION, OLD_VERSION)),
    (UPDATE, (of(scaleTargetRef={"kind": "Thing", "name": "u"}), of(scaleTargetRef={"kind": "Thing", "name": "t"}))),
    (NEW, metric(type="", resource={}), "~.type! : must specify a metric source type", "~.type ContainerResource|External|Object|Pods|Resource", "~.resource.name! : must specify a resource name",
        "~.resource.target.type! : must specify a metric target type", '~.resource.target.type="" : must be either Utilization, Value, or AverageValue',
        "~.resource.target.averageUtilization! : must set either a target raw value or a target utilization", "~.type ContainerResource|External|Object|Pods|Resource"),
    (NEW, metric(type="Odd"), "~.type ContainerResource|External|Object|Pods|Resource", "~.type ContainerResource|External|Object|Pods|Resource"),
    (NEW, metric(type="Resource"), "~.resource! : must populate information for the given metric source"),
    (NEW, metric(type="Resource", resource={"target": {"type": "Odd", "averageUtilization": 0}}), "~.resource.name! : must specify a resource name",
        "~.resource.target.type : must be either Utilization, Value, or AverageValue", "~.resource.target.averageUtilization : must be greater than 0"),
    (NEW, metric(type="Resource", resource={"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 1, "averageValue": "1"}}),
        "~.resource.target.averageValue- : may not set both a target raw value and a target utilization"),
    (NEW, metric(type="ContainerResource", containerResource={"target": AVERAGE}), *below("~.containerResource", ".name! : must specify a resource name", ".container! : must specify a container")),
    (NEW, metric(type="Pods", pods={"metric": {"name": "a/b"}, "target": {"type": "AverageValue", "averageValue": "-1"}}), "~.pods.metric.name : may not contain '/'",
        "~.pods.target.averageValue : must be positive"),
    (NEW, metric(type="Pods", pods={"target": VALUE}), "~.pods.metric.name! : must specify a metric name", "~.pods.target.averageValue! : must specify a positive target averageValue"),
    (NEW, metric(type="Object", object={**OBJECT, "target": {"type": "Value"}}), "~.object.target.averageValue! : must set either a target value or averageValue"),
    (NEW, metric(type="Object", object=put(OBJECT, {"describedObject.apiVersion": "a/b/c"})), "~.object.describedObject.apiVersion : unexpected GroupVersion string: a/b/c"),
    (NEW, metric(type="External", external={"metric": {"name": "m"}, "target": {"type": "Value"}}), "~.external.target.averageValue! : must set either a target value for metric or a per-pod target"),
    (NEW, metric(type="External", external={"metric": {"name": "m"}, "target": {**VALUE, **AVERAGE}}), "~.external.target.value- : may not set both a target value for metric and a per-pod target"),
    (NEW, metric(type="Resource", resource={"name": "cpu", "target": AVERAGE}, external={}), "~.external.metric.name! : must specify a metric name",
        "~.external.target.type! : must specify a metric target type", '~.external.target.type="" : must be either Utilization, Value, or AverageValue',
        "~.external.target.averageValue! : must set either a target value for metric or a per-pod target", "~.external- : must populate the given metric source only"),
    (NEW, scaling(), "spec.behavior.scaleUp.policies! : must specify at least one Policy"),
    (NEW, scaling(policies=[POLICY], stabilizationWindowSeconds=-1, selectPolicy="Odd", tolerance="-1"),
        *below("spec.behavior.scaleUp", ".stabilizationWindowSeconds : must be greater than or equal to zero", ".selectPolicy Disabled|Max|Min", ".tolerance : <not negative>")),
    (NEW, scaling(policies=[POLICY], stabilizationWindowSeconds=3601), "spec.behavior.scaleUp.stabilizationWindowSeconds : must be less than or equal to 3600"),
    (NEW, scaling(policies=[{}, {"type": "Percent", "value": 1, "periodSeconds": 1801}]), *below("spec.behavior.scaleUp.policies", '[0].type="" Percent|Pods',
        "[0].value,periodSeconds=0 : must be greater than zero", "[1].periodSeconds : must be less than or equal to 1800")),
    (STATUS, ({"status": {"currentReplicas": 1, "desiredReplicas": 1}}, HPA)),
    (STATUS, ({"status": {"currentReplicas": -1, "desiredReplicas": -1}}, HPA), "status.currentReplicas,desiredReplicas : <not negative>"),
    (NEW, of(minReplicas=0, metrics=[{"type": "External", "external": {"metric": {"name": "m"}, "target": VALUE}}]), "spec.minReplicas >=1"),
    (NEW, of(maxReplicas=0), "spec.maxReplicas! : must be set and greater than 0", "spec.maxReplicas : must be greater than or equal to `minReplicas`"),
    (NEW, metric(type="Pods", pods={"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "0"}}), "~.pods.target.averageValue : must be positive"),
    (NEW, metric(type="Object", resource={"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}}), "~.object! : must populate information for the given metric source"),
    *valid(rules.validate_scale, {"spec": {"replicas": 0}}, {}),
    (rules.validate_scale, {"spec": {"replicas": -1}}, "spec.replicas : <not negative>"),
])  # fmt: skip

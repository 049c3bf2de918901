"""Validation of nodes (pkg/apis/core/validation)."""

import json

from rules import at, below, table, valid

from pilothouse.api.validate import core_node as rules
from pilothouse.api.values.fields import Object

NODE, UPDATE = rules.validate_node, rules.validate_node_update
TAINT = {"key": "a", "value": "b", "effect": "NoSchedule"}
SOURCE = {"namespace": "n", "name": "c", "kubeletConfigKey": "k"}
node = at({"metadata": {"name": "n"}}, "spec", {})
status = at({"metadata": {"name": "n"}}, "status", {})


def annotated(name: str, value: object) -> Object:
    text = value if isinstance(value, str) else json.dumps(value)
    return {"metadata": {"name": "n", "annotations": {name: text}}}


_FORM = "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
FEATURE_CAUSES = [
    f'status.declaredFeatures[1]: Invalid value: "a": invalid feature name "a": {_FORM}',
    'status.declaredFeatures[2]: Duplicate value: "a"',
    f'status.declaredFeatures[2]: Invalid value: "a": invalid feature name "a": {_FORM}',
    'status.declaredFeatures[3]: Invalid value: "' + "A" * 254 + '": list must be sorted alphabetically',
    'status.declaredFeatures[3]: Invalid value: "' + "A" * 254 + '": invalid feature name "' + "A" * 254 + '": must be no more than 253 characters',
]

test_nodes = table([
    (NODE, annotated(rules.TAINTS, "nothing"), f'metadata.annotations: Invalid value: "{rules.TAINTS}": …'),
    (NODE, annotated(rules.AVOID_PODS, "[]"), f'metadata.annotations.AvoidPods: Invalid value: "{rules.AVOID_PODS}": …'),
    *valid(NODE, node(taints=[TAINT], podCIDRs=["10.0.0.0/24", "fd00::/64"]), status(declaredFeatures=["A", "B/c", "B1"], nodeInfo={"swap": {"capacity": 1}}), annotated(rules.TAINTS, [TAINT])),
    (NODE, annotated(rules.AVOID_PODS, {"preferAvoidPods": [{"podSignature": {"podController": {"controller": True}}}]})),
    (NODE, node(taints=[{"key": "a b", "value": "-", "effect": "Never"}]), *below("metadata.taints[0]", '.key="a b" : <name part>', '.value="-" : <label value>',
        '.effect="Never" NoSchedule|PreferNoSchedule|NoExecute')),
    (NODE, node(taints=[{"key": "a"}]), "metadata.taints[0].effect!"),
    (NODE, status(declaredFeatures=["B", "a", "a", "A" * 254], nodeInfo={"swap": {"capacity": 0}}), *["metadata.nodeSwapStatus.capacity=0 : must be greater than zero", *FEATURE_CAUSES]),
    (UPDATE, (status(declaredFeatures=["B", "a", "a", "A" * 254]), status()), *FEATURE_CAUSES),
    (NODE, node(taints=[TAINT, TAINT]), 'metadata.taints[1]: Duplicate value: {"Key":"a","Value":"b","Effect":"NoSchedule","TimeAdded":null}: taints must be unique by key and effect pair'),
    (NODE, node(podCIDRs=["10.0.0.0"]), "spec.podCIDRs[0] : <CIDR>"),
    (NODE, node(podCIDRs=["10.0.0.0/24", "fd00::/64", "fd00::/64"]), "spec.podCIDRs : may specify no more than one CIDR for each IP family", "spec.podCIDRs[2] unique"),
    (NODE, node(podCIDRs=["10.0.0.0/24", "x"]), "spec.podCIDRs[1] : <CIDR>",
        "spec.podCIDRs: Internal error: invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[1]: <nil> (invalid CIDR address: x)",
        "spec.podCIDRs : may specify no more than one CIDR for each IP family"),
    (NODE, status(capacity={"cpu": "-1"}, allocatable={"cpu": "-1", "a b": "1"}), "status.capacity.cpu : <not negative>", "status.allocatable.cpu : <not negative>"),
    (NODE, annotated(rules.TAINTS, [{"key": "a", "effect": "x"}]), 'metadata.annotations.scheduler.alpha.kubernetes.io/taints[0].effect="x" NoSchedule|PreferNoSchedule|NoExecute'),
    (NODE, annotated(rules.TAINTS, {}), 'metadata.annotations="scheduler.alpha.kubernetes.io/taints" : json: cannot unmarshal object into Go value of type []v1.Taint'),
    (NODE, annotated(rules.TAINTS, "[" * 100_000), 'metadata.annotations="scheduler.alpha.kubernetes.io/taints" : exceeded max depth'),
    (NODE, annotated(rules.AVOID_PODS, {"preferAvoidPods": [{}, {"podSignature": {"podController": {}}}]}),
        *below("metadata.annotations.scheduler.alpha.kubernetes.io/preferAvoidPods", "[0].PodSignature!", "[1].PodSignature.PodController.Controller=false : must point to a controller")),
    (NODE, annotated(rules.AVOID_PODS, '{"a":' * 100_000), 'metadata.annotations.AvoidPods="scheduler.alpha.kubernetes.io/preferAvoidPods" : exceeded max depth'),
    *valid(UPDATE, (node(podCIDRs=["10.0.0.0/24"], providerID="a"), node()), (node(configSource={"configMap": SOURCE}), node())),
    (UPDATE, (status(config={"assigned": {"configMap": {**SOURCE, "uid": "u", "resourceVersion": "1"}}}), node())),
    (UPDATE, (node(podCIDRs=[]), node(podCIDRs=["10.0.0.0/24"])), 'spec.podCIDRs- : node updates may not change podCIDR except from "" to valid'),
    (UPDATE, (node(podCIDRs=["10.0.1.0/24"]), node(podCIDRs=["10.0.0.0/24"])), 'spec.podCIDRs- : node updates may not change podCIDR except from "" to valid'),
    (UPDATE, (node(providerID="b", externalID="b"), node(providerID="a")), 'spec.providerID- : node updates may not change providerID except from "" to valid',
        "spec.externalID- : may not be updated"),
    (UPDATE, (status(addresses=[{"type": "Hostname", "address": "h"}] * 2), node()), 'status.addresses[1]={"Type":"Hostname","Address":"h"} unique'),
    (UPDATE, (node(configSource={"configMap": {"uid": "u", "resourceVersion": "1", "namespace": "N"}}), node()), *below("spec.configSource.configMap", ".uid- : uid must not be set in spec",
        ".resourceVersion- : resourceVersion must not be set in spec", ".namespace : <RFC 1123 label>", ".name! : name must be set", ".kubeletConfigKey! : kubeletConfigKey must be set")),
    (UPDATE, (node(configSource={}), node()), 'spec.configSource={"ConfigMap":null} : exactly one reference subfield must be non-nil'),
    (UPDATE, (status(config={"active": {"configMap": SOURCE}, "lastKnownGood": {}}), node()), *below("status.config", ".active.configMap.uid! : uid must be set in status",
        ".active.configMap.resourceVersion! : resourceVersion must be set in status", '.lastKnownGood={"ConfigMap":null} : exactly one reference subfield must be non-nil')),
])  # fmt: skip

"""Every cause that scheduling fields of pods can have (pkg/apis/core/validation)."""

from pods import POD, pod
from rules import alone, at, below, table, valid, within

from pilothouse.api.validate.pod import scheduling as rules
from pilothouse.api.validate.pod.spec import validate_pod
from pilothouse.api.validate.pod.update import validate_pod_update as UPDATE
from pilothouse.api.values.fields import Object

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
NEW = within("spec.affinity.nodeAffinity.<required>.nodeSelectorTerms", validate_pod)
A = {"key": "a", "operator": "In", "values": ["b"]}
TAINT = alone(rules.validate_taint_effect)


def node(*terms: Object, gates: list[Object] | None = None) -> Object:
    affinity = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(terms)}}}
    return pod(affinity=affinity, schedulingGates=gates or [])


gated = at(pod(schedulingGates=[{"name": "g"}]), "spec")
tolerating = at(POD, "spec.tolerations[]", {})
expression = at(node({}), f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms.0.matchExpressions[]", {})
field = at(node({}), f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms.0.matchFields[]", {})
near = at(POD, f"spec.affinity.podAffinity.{REQUIRED}[]", {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}})
spread = at(POD, "spec.topologySpreadConstraints[]", {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"})

test_causes = table([
    *valid(NEW, expression(**A), field(key="metadata.name", operator="In", values=["n"]), near(), tolerating(key="a", operator="Exists", effect="NoExecute", tolerationSeconds=1), spread()),
    (NEW, expression(key="a", operator="Gt", values=[]), "~[0].matchExpressions[0].values! : must be specified single value when `operator` is 'Lt' or 'Gt'"),
    (NEW, expression(key="a b", operator="Odd", values=["-"]), *below("~[0].matchExpressions[0]", ".operator : not a valid selector operator", ".key : <name part>", ".values[0] : <label value>")),
    (NEW, expression(key="a", operator="Exists", values=["b"]), "~[0].matchExpressions[0].values- : may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
    (NEW, field(key="metadata.name", operator="Exists", values=["N_"]), "~[0].matchFields[0].operator : not a valid selector operator", "~[0].matchFields[0].values[0] : <RFC 1123 subdomain>"),
    (NEW, field(key="metadata.uid", operator="In", values=[]), "~[0].matchFields[0].values! : must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        "~[0].matchFields[0].key : not a valid field selector key"),
    (NEW, pod(affinity={"nodeAffinity": {PREFERRED: [{"weight": 0, "preference": {"matchExpressions": [A]}}]}}), "spec.affinity.nodeAffinity.<preferred>[0].weight : must be in the range 1-100"),
    (NEW, near(topologyKey="", namespaces=["N_"]), *below("spec.affinity.podAffinity.<required>[0]", '.namespace="N_" : <RFC 1123 label>', ".topologyKey! : can not be empty",
        ".topologyKey : name part must be non-empty", ".topologyKey : <name part>")),
    (NEW, near(labelSelector={"matchExpressions": [{"key": "a", "operator": "In"}]}, namespaceSelector={"matchLabels": {"a b": ""}}),
        *below("spec.affinity.podAffinity.<required>[0]", ".labelSelector.matchExpressions[0].values! : must be specified when `operator` is 'In' or 'NotIn'",
        '.namespaceSelector.matchLabels="a b" : <name part>')),
    (NEW, near(matchLabelKeys=["a b", "c"], mismatchLabelKeys=["c"]), *below("spec.affinity.podAffinity.<required>[0].matchLabelKeys", "[0] : <name part>",
        "[1] : exists in both matchLabelKeys and mismatchLabelKeys")),
    (NEW, near(labelSelector=None, matchLabelKeys=["c"]), "spec.affinity.podAffinity.<required>[0].matchLabelKeys- : must not be specified when labelSelector is not set"),
    (NEW, near(labelSelector={"matchLabels": {"c": "d"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}, matchLabelKeys=["c"]),
        'spec.affinity.podAffinity.<required>[0][0]="c" : exists in both matchLabelKeys and labelSelector'),
    (NEW, pod(affinity={"podAntiAffinity": {PREFERRED: [{"weight": 101, "podAffinityTerm": {"topologyKey": "zone"}}]}}),
        "spec.affinity.podAntiAffinity.<preferred>[0].weight : must be in the range 1-100"),
    (TAINT, "", "~!"),
    (TAINT, "Odd", "~ NoSchedule|PreferNoSchedule|NoExecute"),
    (NEW, tolerating(key="a b", operator="Exists", value="c", tolerationSeconds=1), *below("spec.tolerations[0]", ".key : <name part>",
        ".effect=\"\" : effect must be 'NoExecute' when `tolerationSeconds` is set", ".operator=\"c\" : value must be empty when `operator` is 'Exists'")),
    (NEW, tolerating(key="a", value="-", effect="Odd"), 'spec.tolerations[0].operator="-" : <label value>', "spec.tolerations[0].effect NoSchedule|PreferNoSchedule|NoExecute"),
    (NEW, tolerating(key="a", operator="Odd"), "spec.tolerations[0].operator Equal|Exists"),
    (NEW, tolerating(key="a", operator="Gt", value="1"), "spec.tolerations[0].operator Equal|Exists|Lt|Gt"),
    (NEW, pod(schedulingGates=[{"name": "g"}, {"name": "g"}, {"name": "a b"}]), 'spec.schedulingGates[1]="g" unique', 'spec.schedulingGates[2]="a b" : <name part>'),
    (NEW, pod(readinessGates=[{"conditionType": "a b"}]), "spec.readinessGates[0].conditionType : <name part>"),
    (NEW, spread(maxSkew=0, topologyKey="", whenUnsatisfiable="Odd"), *below("spec.topologySpreadConstraints[0]", ".maxSkew : must be greater than zero", ".topologyKey! : can not be empty",
        ".whenUnsatisfiable DoNotSchedule|ScheduleAnyway")),
    (NEW, spread(minDomains=0, whenUnsatisfiable="ScheduleAnyway"), *below("spec.topologySpreadConstraints[0]", ".minDomains : must be greater than zero",
        ".minDomains : can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway")),
    (NEW, spread(nodeAffinityPolicy="Odd", nodeTaintsPolicy="Odd"), "spec.topologySpreadConstraints[0].nodeAffinityPolicy,nodeTaintsPolicy Honor|Ignore"),
    (NEW, spread(matchLabelKeys=["a b"]), *below("spec.topologySpreadConstraints[0]", ".matchLabelKeys- : must not be specified when labelSelector is not set", ".matchLabelKeys[0] : <name part>")),
    (NEW, spread(matchLabelKeys=["a"], labelSelector={"matchLabels": {"a": "b"}, "matchExpressions": [A]}),
        "spec.topologySpreadConstraints[0].matchLabelKeys[0] : exists in both matchLabelKeys and labelSelector"),
    (NEW, spread(labelSelector={"matchLabels": {"a b": "c"}}), 'spec.topologySpreadConstraints[0].labelSelector.matchLabels="a b" : <name part>'),
    (NEW, pod(topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}] * 2),
        'spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{z, DoNotSchedule}"'),
    *valid(UPDATE, (pod(tolerations=[{"operator": "Exists"}]), pod()), (gated(nodeSelector={"a": "b", "c": "d"}), gated(nodeSelector={"a": "b"}))),
    (UPDATE, (node({"matchExpressions": [A, A]}, gates=[{"name": "g"}]), node({"matchExpressions": [A]}, gates=[{"name": "g"}]))),
    (UPDATE, (node({"matchExpressions": [A]}, gates=[{"name": "g"}]), gated())),
    (UPDATE, (pod(), pod(tolerations=[{"operator": "Exists"}])), "spec.tolerations- : existing toleration can not be modified except its tolerationSeconds"),
    (UPDATE, (gated(), pod()), "spec.schedulingGates[0].name- : only deletion is allowed, but found new scheduling gate 'g'"),
    (UPDATE, (gated(nodeSelector={"z": "1", "a": "c"}), gated(nodeSelector={"a": "b"})),
        'spec.nodeSelector={"a":"c","z":"1"} : only additions to spec.nodeSelector are allowed (no mutations or deletions)'),
    (UPDATE, (node({"matchExpressions": [A]}, {"matchExpressions": [A]}, gates=[{"name": "g"}]), node({"matchExpressions": [A]}, gates=[{"name": "g"}])),
        'spec.affinity.nodeAffinity.<required>.nodeSelectorTerms=[{"MatchExpressions":[{"Key":"a","Operator":"In","Values":["b"]}],"MatchFields":null},{"MatchExpressions":[{"Key":"a","Operator":"In","Values":["b"]}],"MatchFields":null}] : no additions/deletions to non-empty NodeSelectorTerms list are allowed'),
    (UPDATE, (node({"matchExpressions": [{**A, "key": "c"}]}, gates=[{"name": "g"}]), node({"matchExpressions": [A]}, gates=[{"name": "g"}])),
        'spec.affinity.nodeAffinity.<required>.nodeSelectorTerms[0]={"MatchExpressions":[{"Key":"c","Operator":"In","Values":["b"]}],"MatchFields":null} : only additions are allowed (no mutations or deletions)'),
    (UPDATE, (gated(), node({"matchExpressions": [A]}, gates=[{"name": "g"}])),
        "spec.affinity.nodeAffinity.<required>.nodeSelectorTerms=null : no additions/deletions to non-empty NodeSelectorTerms list are allowed"),
])  # fmt: skip

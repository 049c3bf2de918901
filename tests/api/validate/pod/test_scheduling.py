"""Every cause that scheduling fields of pods can have (pkg/apis/core/validation)."""

from pods import POD, pod
from rules import at, below, table, within

from pilothouse.api.validate.pod import scheduling as rules
from pilothouse.api.validate.pod.spec import validate_pod
from pilothouse.api.validate.pod.update import validate_pod_update as UPDATE
from pilothouse.api.values.fields import Errors, Object

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
NEW = within("spec.affinity.nodeAffinity.<required>.nodeSelectorTerms", validate_pod)
A = {"key": "a", "operator": "In", "values": ["b"]}


def node(*terms: Object, gates: list[Object] | None = None) -> Object:
    affinity = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(terms)}}}
    return pod(affinity=affinity, schedulingGates=gates or [])


def taint(effect: Object, errs: Errors) -> None:
    rules.validate_taint_effect(effect["effect"], "e", errs)


gated = at(pod(schedulingGates=[{"name": "g"}]), "spec")
tolerating = at(POD, "spec.tolerations[]", {})
expression = at(node({}), f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms.0.matchExpressions[]", {})
field = at(node({}), f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms.0.matchFields[]", {})
near = at(POD, f"spec.affinity.podAffinity.{REQUIRED}[]", {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}})
spread = at(POD, "spec.topologySpreadConstraints[]", {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"})

test_causes = table([
    (NEW, expression(**A), []),
    (NEW, expression(key="a", operator="Gt", values=[]), ["~[0].matchExpressions[0].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'"]),
    (NEW, expression(key="a b", operator="Odd", values=["-"]), ['~[0].matchExpressions[0].operator: Invalid value: "Odd": not a valid selector operator',
        '~[0].matchExpressions[0].key: Invalid value: "a b": <name part>', '~[0].matchExpressions[0].values[0]: Invalid value: "-": <label value>']),
    (NEW, expression(key="a", operator="Exists", values=["b"]), ["~[0].matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"]),
    (NEW, field(key="metadata.name", operator="In", values=["n"]), []),
    (NEW, field(key="metadata.name", operator="Exists", values=["N_"]), ['~[0].matchFields[0].operator: Invalid value: "Exists": not a valid selector operator',
        '~[0].matchFields[0].values[0]: Invalid value: "N_": <RFC 1123 subdomain>']),
    (NEW, field(key="metadata.uid", operator="In", values=[]), ["~[0].matchFields[0].values: Required value: must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        '~[0].matchFields[0].key: Invalid value: "metadata.uid": not a valid field selector key']),
    (NEW, pod(affinity={"nodeAffinity": {PREFERRED: [{"weight": 0, "preference": {"matchExpressions": [A]}}]}}),
        ["spec.affinity.nodeAffinity.<preferred>[0].weight: Invalid value: 0: must be in the range 1-100"]),
    (NEW, near(), []),
    (NEW, near(topologyKey="", namespaces=["N_"]), below("spec.affinity.podAffinity.<required>[0]", '.namespace: Invalid value: "N_": <RFC 1123 label>',
        ".topologyKey: Required value: can not be empty", '.topologyKey: Invalid value: "": name part must be non-empty', '.topologyKey: Invalid value: "": <name part>')),
    (NEW, near(labelSelector={"matchExpressions": [{"key": "a", "operator": "In"}]}, namespaceSelector={"matchLabels": {"a b": ""}}), below("spec.affinity.podAffinity.<required>[0]",
        ".labelSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'", '.namespaceSelector.matchLabels: Invalid value: "a b": <name part>')),
    (NEW, near(matchLabelKeys=["a b", "c"], mismatchLabelKeys=["c"]), ['spec.affinity.podAffinity.<required>[0].matchLabelKeys[0]: Invalid value: "a b": <name part>',
        'spec.affinity.podAffinity.<required>[0].matchLabelKeys[1]: Invalid value: "c": exists in both matchLabelKeys and mismatchLabelKeys']),
    (NEW, near(labelSelector=None, matchLabelKeys=["c"]), ["spec.affinity.podAffinity.<required>[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"]),
    (NEW, near(labelSelector={"matchLabels": {"c": "d"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}, matchLabelKeys=["c"]),
        ['spec.affinity.podAffinity.<required>[0][0]: Invalid value: "c": exists in both matchLabelKeys and labelSelector']),
    (NEW, pod(affinity={"podAntiAffinity": {PREFERRED: [{"weight": 101, "podAffinityTerm": {"topologyKey": "zone"}}]}}),
        ["spec.affinity.podAntiAffinity.<preferred>[0].weight: Invalid value: 101: must be in the range 1-100"]),
    (taint, {"effect": ""}, ["e: Required value"]),
    (taint, {"effect": "Odd"}, ['e: Unsupported value: "Odd": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"']),
    (NEW, tolerating(key="a", operator="Exists", effect="NoExecute", tolerationSeconds=1), []),
    (NEW, tolerating(key="a b", operator="Exists", value="c", tolerationSeconds=1), below("spec.tolerations[0]", '.key: Invalid value: "a b": <name part>',
        ".effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set", ".operator: Invalid value: \"c\": value must be empty when `operator` is 'Exists'")),
    (NEW, tolerating(key="a", value="-", effect="Odd"), ['spec.tolerations[0].operator: Invalid value: "-": <label value>',
        'spec.tolerations[0].effect: Unsupported value: "Odd": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"']),
    (NEW, tolerating(key="a", operator="Odd"), ['spec.tolerations[0].operator: Unsupported value: "Odd": supported values: "Equal", "Exists"']),
    (NEW, tolerating(key="a", operator="Gt", value="1"), ['spec.tolerations[0].operator: Unsupported value: "Gt": supported values: "Equal", "Exists", "Lt", "Gt"']),
    (NEW, pod(schedulingGates=[{"name": "g"}, {"name": "g"}, {"name": "a b"}]), ['spec.schedulingGates[1]: Duplicate value: "g"', 'spec.schedulingGates[2]: Invalid value: "a b": <name part>']),
    (NEW, pod(readinessGates=[{"conditionType": "a b"}]), ['spec.readinessGates[0].conditionType: Invalid value: "a b": <name part>']),
    (NEW, spread(), []),
    (NEW, spread(maxSkew=0, topologyKey="", whenUnsatisfiable="Odd"), below("spec.topologySpreadConstraints[0]", ".maxSkew: Invalid value: 0: must be greater than zero",
        ".topologyKey: Required value: can not be empty", '.whenUnsatisfiable: Unsupported value: "Odd": supported values: "DoNotSchedule", "ScheduleAnyway"')),
    (NEW, spread(minDomains=0, whenUnsatisfiable="ScheduleAnyway"), ["spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: must be greater than zero",
        "spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"]),
    (NEW, spread(nodeAffinityPolicy="Odd", nodeTaintsPolicy="Odd"), ['spec.topologySpreadConstraints[0].nodeAffinityPolicy: Unsupported value: "Odd": supported values: "Honor", "Ignore"',
        'spec.topologySpreadConstraints[0].nodeTaintsPolicy: Unsupported value: "Odd": supported values: "Honor", "Ignore"']),
    (NEW, spread(matchLabelKeys=["a b"]), ["spec.topologySpreadConstraints[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
        'spec.topologySpreadConstraints[0].matchLabelKeys[0]: Invalid value: "a b": <name part>']),
    (NEW, spread(matchLabelKeys=["a"], labelSelector={"matchLabels": {"a": "b"}, "matchExpressions": [A]}),
        ['spec.topologySpreadConstraints[0].matchLabelKeys[0]: Invalid value: "a": exists in both matchLabelKeys and labelSelector']),
    (NEW, spread(labelSelector={"matchLabels": {"a b": "c"}}), ['spec.topologySpreadConstraints[0].labelSelector.matchLabels: Invalid value: "a b": <name part>']),
    (NEW, pod(topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}] * 2),
        ['spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{z, DoNotSchedule}"']),
    (UPDATE, (pod(tolerations=[{"operator": "Exists"}]), pod()), []),
    (UPDATE, (pod(), pod(tolerations=[{"operator": "Exists"}])), ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"]),
    (UPDATE, (gated(), pod()), ["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'"]),
    (UPDATE, (gated(nodeSelector={"a": "b", "c": "d"}), gated(nodeSelector={"a": "b"})), []),
    (UPDATE, (gated(nodeSelector={"z": "1", "a": "c"}), gated(nodeSelector={"a": "b"})),
        ['spec.nodeSelector: Invalid value: {"a":"c","z":"1"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)']),
    (UPDATE, (node({"matchExpressions": [A, A]}, gates=[{"name": "g"}]), node({"matchExpressions": [A]}, gates=[{"name": "g"}])), []),
    (UPDATE, (node({"matchExpressions": [A]}, {"matchExpressions": [A]}, gates=[{"name": "g"}]), node({"matchExpressions": [A]}, gates=[{"name": "g"}])),
        ['spec.affinity.nodeAffinity.<required>.nodeSelectorTerms: Invalid value: [{"MatchExpressions":[{"Key":"a","Operator":"In","Values":["b"]}],"MatchFields":null},{"MatchExpressions":[{"Key":"a","Operator":"In","Values":["b"]}],"MatchFields":null}]: no additions/deletions to non-empty NodeSelectorTerms list are allowed']),
    (UPDATE, (node({"matchExpressions": [{**A, "key": "c"}]}, gates=[{"name": "g"}]), node({"matchExpressions": [A]}, gates=[{"name": "g"}])),
        ['spec.affinity.nodeAffinity.<required>.nodeSelectorTerms[0]: Invalid value: {"MatchExpressions":[{"Key":"c","Operator":"In","Values":["b"]}],"MatchFields":null}: only additions are allowed (no mutations or deletions)']),
    (UPDATE, (node({"matchExpressions": [A]}, gates=[{"name": "g"}]), gated()), []),
    (UPDATE, (gated(), node({"matchExpressions": [A]}, gates=[{"name": "g"}])),
        ["spec.affinity.nodeAffinity.<required>.nodeSelectorTerms: Invalid value: null: no additions/deletions to non-empty NodeSelectorTerms list are allowed"]),
])  # fmt: skip

"""Every cause that roles and bindings can have (pkg/apis/rbac/validation)."""

from rules import below, changed, each, table

from pilothouse.api.validate import rbac as rules
from pilothouse.api.values.fields import Object

ROLE, CLUSTER_ROLE = rules.validate_role, rules.validate_cluster_role
BINDING, CLUSTER_BINDING = rules.validate_role_binding, rules.validate_cluster_role_binding
RULE = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
REF = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}
BAD = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}


role = each({}, "rules")
aggregated = each({}, "aggregationRule.clusterRoleSelectors")


def binding(*subjects: Object, **ref: str) -> Object:
    return {"roleRef": {**REF, **ref}, "subjects": list(subjects)}


USER = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "u"}
ACCOUNT = {"kind": "ServiceAccount", "name": "s", "namespace": "n"}

test_rules = table([
    (ROLE, role(RULE), []),
    (ROLE, role({}), ["rules[0].verbs: Required value: verbs must contain at least one value", "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
        "rules[0].resources: Required value: resource rules must supply at least one resource"]),
    (ROLE, role({"verbs": ["get"], "nonResourceURLs": ["/x"]}), ['rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs']),
    (CLUSTER_ROLE, role({"verbs": ["get"], "nonResourceURLs": ["/x"]}), []),
    (CLUSTER_ROLE, role({**RULE, "nonResourceURLs": ["/x"]}), ['rules[0].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular resources and non-resource URLs']),
    (CLUSTER_ROLE, aggregated({"matchLabels": {"a": "b"}}), []),
    (CLUSTER_ROLE, aggregated(), ["aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil"]),
    (CLUSTER_ROLE, aggregated(BAD), ['aggregationRule.clusterRoleSelectors[0].matchExpressions[0].values[0]: Invalid value: "-": <label value>',
        "aggregationRule.clusterRoleSelectors[0]: Invalid value: null: invalid label selector."]),
    (CLUSTER_ROLE, aggregated({"matchExpressions": [{"key": "a", "operator": "Odd"}]}), below("aggregationRule.clusterRoleSelectors[0]",
        '.matchExpressions[0].operator: Invalid value: "Odd": not a valid selector operator', ": Invalid value: null: invalid label selector.")),
    (changed(CLUSTER_ROLE), (aggregated(BAD), aggregated(BAD)), ["aggregationRule.clusterRoleSelectors[0]: Invalid value: null: invalid label selector."]),
    (rules.validate_role_update, (role({**RULE, "verbs": []}), role(RULE)), ["rules[0].verbs: Required value: verbs must contain at least one value"]),
    (BINDING, binding(USER, ACCOUNT), []),
    (BINDING, {}, ['roleRef.apiGroup: Unsupported value: "": supported values: "rbac.authorization.k8s.io"', 'roleRef.kind: Unsupported value: "": supported values: "Role", "ClusterRole"',
        "roleRef.name: Required value"]),
    (BINDING, binding(apiGroup="rbac", kind="Group", name="a/b"), ['roleRef.apiGroup: Unsupported value: "rbac": supported values: "rbac.authorization.k8s.io"',
        'roleRef.kind: Unsupported value: "Group": supported values: "Role", "ClusterRole"', "roleRef.name: Invalid value: \"a/b\": may not contain '/'"]),
    (CLUSTER_BINDING, binding(kind="Role"), ['roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"']),
    (BINDING, binding({"kind": "User"}), ["subjects[0].name: Required value", 'subjects[0].apiGroup: Unsupported value: "": supported values: "rbac.authorization.k8s.io"']),
    (BINDING, binding({"kind": "ServiceAccount", "apiGroup": "x", "name": "A_"}), ['subjects[0].name: Invalid value: "A_": <RFC 1123 subdomain>',
        'subjects[0].apiGroup: Unsupported value: "x": supported values: ""']),
    (CLUSTER_BINDING, binding({"kind": "ServiceAccount", "name": "s"}), ["subjects[0].namespace: Required value"]),
    (BINDING, binding({"kind": "Robot", "name": "r"}), ['subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"']),
    (rules.validate_role_binding_update, (binding(USER), binding()), []),
    (rules.validate_role_binding_update, (binding(name="other"), binding()),
        ['roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"other"}: cannot change roleRef']),
    (rules.validate_cluster_role_binding_update, (binding(name="other"), binding()),
        ['roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"other"}: cannot change roleRef']),
    (CLUSTER_BINDING, binding(ACCOUNT), []),
    (CLUSTER_BINDING, binding({"kind": "ServiceAccount", "name": "a"}), ["subjects[0].namespace: Required value"]),
    (CLUSTER_BINDING, binding({"kind": "User", "name": "a"}), ['subjects[0].apiGroup: Unsupported value: "": supported values: "rbac.authorization.k8s.io"']),
    (CLUSTER_BINDING, binding({"kind": "Robot"}), ["subjects[0].name: Required value", 'subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"']),
])  # fmt: skip

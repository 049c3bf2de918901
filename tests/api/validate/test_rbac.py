"""Every cause that roles and bindings can have (pkg/apis/rbac/validation)."""

from rules import BAD, below, changed, each, table, valid

from pilothouse.api.validate import rbac as rules
from pilothouse.api.values.fields import Object

ROLE, CLUSTER_ROLE = rules.validate_role, rules.validate_cluster_role
BINDING, CLUSTER_BINDING = rules.validate_role_binding, rules.validate_cluster_role_binding
RULE = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
REF = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}
role = each({}, "rules")
aggregated = each({}, "aggregationRule.clusterRoleSelectors")


def binding(*subjects: Object, **ref: str) -> Object:
    return {"roleRef": {**REF, **ref}, "subjects": list(subjects)}


USER = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "u"}
ACCOUNT = {"kind": "ServiceAccount", "name": "s", "namespace": "n"}

test_rules = table([
    (ROLE, role(RULE)),
    (ROLE, role({}), "rules[0].verbs! : verbs must contain at least one value", "rules[0].apiGroups! : resource rules must supply at least one api group",
        "rules[0].resources! : resource rules must supply at least one resource"),
    (ROLE, role({"verbs": ["get"], "nonResourceURLs": ["/x"]}), "rules[0].nonResourceURLs : namespaced rules cannot apply to non-resource URLs"),
    *valid(CLUSTER_ROLE, role({"verbs": ["get"], "nonResourceURLs": ["/x"]}), aggregated({"matchLabels": {"a": "b"}})),
    (CLUSTER_ROLE, role({**RULE, "nonResourceURLs": ["/x"]}), "rules[0].nonResourceURLs : rules cannot apply to both regular resources and non-resource URLs"),
    (CLUSTER_ROLE, aggregated(), "aggregationRule.clusterRoleSelectors! : at least one clusterRoleSelector required if aggregationRule is non-nil"),
    (CLUSTER_ROLE, aggregated(BAD), *below("aggregationRule.clusterRoleSelectors", "[0].matchExpressions[0].values[0] : <label value>", "[0]=null : invalid label selector.")),
    (CLUSTER_ROLE, aggregated({"matchExpressions": [{"key": "a", "operator": "Odd"}]}),
        *below("aggregationRule.clusterRoleSelectors", "[0].matchExpressions[0].operator : not a valid selector operator", "[0]=null : invalid label selector.")),
    (changed(CLUSTER_ROLE), (aggregated(BAD), aggregated(BAD)), "aggregationRule.clusterRoleSelectors[0]=null : invalid label selector."),
    (rules.validate_role_update, (role({**RULE, "verbs": []}), role(RULE)), "rules[0].verbs! : verbs must contain at least one value"),
    (BINDING, binding(USER, ACCOUNT)),
    (BINDING, {}, 'roleRef.apiGroup="" |rbac.authorization.k8s.io', 'roleRef.kind="" Role|ClusterRole', "roleRef.name!"),
    (BINDING, binding(apiGroup="rbac", kind="Group", name="a/b"), "roleRef.apiGroup |rbac.authorization.k8s.io", "roleRef.kind Role|ClusterRole", "roleRef.name : may not contain '/'"),
    (CLUSTER_BINDING, binding(kind="Role"), "roleRef.kind |ClusterRole"),
    (BINDING, binding({"kind": "User"}), "subjects[0].name!", 'subjects[0].apiGroup="" |rbac.authorization.k8s.io'),
    (BINDING, binding({"kind": "ServiceAccount", "apiGroup": "x", "name": "A_"}), "subjects[0].name : <RFC 1123 subdomain>", 'subjects[0].apiGroup: Unsupported value: "x": supported values: ""'),
    (CLUSTER_BINDING, binding({"kind": "ServiceAccount", "name": "s"}), "subjects[0].namespace!"),
    (BINDING, binding({"kind": "Robot", "name": "r"}), "subjects[0].kind ServiceAccount|User|Group"),
    (rules.validate_role_binding_update, (binding(USER), binding())),
    (rules.validate_role_binding_update, (binding(name="other"), binding()), 'roleRef={"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"other"} : cannot change roleRef'),
    (rules.validate_cluster_role_binding_update, (binding(name="other"), binding()), 'roleRef={"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"other"} : cannot change roleRef'),
    (CLUSTER_BINDING, binding(ACCOUNT)),
    (CLUSTER_BINDING, binding({"kind": "User", "name": "a"}), 'subjects[0].apiGroup="" |rbac.authorization.k8s.io'),
    (CLUSTER_BINDING, binding({"kind": "Robot"}), "subjects[0].name!", "subjects[0].kind ServiceAccount|User|Group"),
])  # fmt: skip

"""Every cause that admission policies and their bindings can have (pkg/apis/admissionregistration/validation)."""

from rules import GONE, at, below, each, put, table, valid

from pilothouse.api.validate import policies as rules

RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
MATCH = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [RULE]}
BASE = {"metadata": {"name": "p"}, "spec": {"failurePolicy": "Fail", "matchConstraints": MATCH, "validations": [{"expression": "true"}]}}
PATCH = '[JSONPatch{op: "remove", path: "/a"}]'
MUTATION = {"patchType": "JSONPatch", "jsonPatch": {"expression": PATCH}}
MUTATING = {"metadata": {"name": "p"}, "spec": {"failurePolicy": "Fail", "matchConstraints": MATCH, "mutations": [MUTATION], "reinvocationPolicy": "Never"}}
BINDING = {"spec": {"policyName": "p", "validationActions": ["Deny"]}}
NEW, MUTATE, STATUS = (rules.validate_validating_policy, rules.validate_mutating_policy, rules.validate_policy_status)
BIND, MUTATING_BIND = rules.validate_validating_binding, rules.validate_mutating_binding
of = at(BASE, "spec")
matching = at(BASE, "spec.matchConstraints")
validation = at(BASE, "spec.validations[]", {"expression": "true"})
annotations = each(BASE, "spec.auditAnnotations")
mutation = at(MUTATING, "spec.mutations[]", {})
bound = at(BINDING, "spec")
NOTE = {"key": "k", "valueExpression": "'v'"}

test_causes = table([
    *valid(NEW, BASE, of(paramKind={"apiVersion": "v1", "kind": "ConfigMap"}), validation(message="m", messageExpression="'m'", reason="Invalid"), annotations(NOTE)),
    (NEW, {}, "spec.failurePolicy,matchConstraints!", "spec.validations,auditAnnotations! : validations or auditAnnotations must contain at least one item"),
    (NEW, of(failurePolicy="Odd"), "spec.failurePolicy Fail|Ignore"),
    (NEW, of(paramKind={"apiVersion": "G_/1", "kind": "1a"}), *below("spec.paramKind", '.apiVersion="G_" : <RFC 1123 subdomain>', '.apiVersion="1" : <DNS-1035 label>',
        ".kind : may have mixed case, but should otherwise match: <DNS-1035 label>")),
    (NEW, of(paramKind={"apiVersion": "a/", "kind": "A"}), "spec.paramKind.apiVersion : version must be specified"),
    (NEW, of(paramKind={}), "spec.paramKind.apiVersion,kind!"),
    (NEW, matching(matchPolicy="Odd", namespaceSelector=GONE, objectSelector={"matchLabels": {"a b": ""}}), *below("spec.matchConstraints", ".matchPolicy Equivalent|Exact", ".namespaceSelector!",
        '.objectSelector.matchLabels="a b" : <name part>')),
    (NEW, matching(matchPolicy=GONE, resourceRules=[], excludeResourceRules=[{**RULE, "resourceNames": ["a", "a", "b/c"]}]), *below("spec.matchConstraints", ".matchPolicy!",
        ".excludeResourceRules[0].resourceNames[1] unique", ".excludeResourceRules[0].resourceNames[2] : may not contain '/'", ".resourceRules!")),
    (NEW, of(variables=[{"name": "a", "expression": "1"}, {}, {"name": "1a", "expression": "1"}]), *below("spec.variables", "[1].name! : name is not specified",
        "[1].expression! : expression is not specified", "[2].name : must be a valid CEL identifier")),
    (NEW, validation(expression=" "), "spec.validations[0].expression! : expression is not specified"),
    (NEW, validation(message=" ", messageExpression=" ", reason="Odd"), "spec.validations[0].messageExpression,message : must be non-empty if specified",
        "spec.validations[0].reason Forbidden|Invalid|RequestEntityTooLarge"),
    (NEW, validation(message="a\nb"), "spec.validations[0].message : must not contain line breaks"),
    (NEW, annotations(NOTE, NOTE, {"key": "a b", "valueExpression": "x" * 5121}, {}), *below("spec.auditAnnotations", "[1].key unique", '[2].key="p/a b" : <name part>',
        "[2].valueExpression! : must not exceed 5120 bytes in length", '[3].key="p/" : name part must be non-empty', '[3].key="p/" : <name part>',
        "[3].valueExpression! : valueExpression is not specified")),
    (NEW, put(annotations(NOTE), {"metadata.name": ""}), "spec.auditAnnotations[0].key : requires metadata.name be non-empty"),
    (NEW, annotations(*({**NOTE, "key": f"k{i}"} for i in range(21))),
        "spec.auditAnnotations=[{\"Key\":\"k0\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k1\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k2\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k3\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k4\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k5\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k6\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k7\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k8\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k9\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k10\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k11\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k12\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k13\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k14\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k15\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k16\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k17\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k18\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k19\",\"ValueExpression\":\"'v'\"},{\"Key\":\"k20\",\"ValueExpression\":\"'v'\"}] : must not have more than 20 auditAnnotations"),
    (MUTATE, MUTATING),
    (MUTATE, put(MUTATING, {"spec.mutations": [], "spec.reinvocationPolicy": ""}), "spec.mutations! : mutations must contain at least one item", "spec.reinvocationPolicy!"),
    (MUTATE, put(MUTATING, {"spec.reinvocationPolicy": "Odd"}), "spec.reinvocationPolicy IfNeeded|Never"),
    (MUTATE, mutation(), "spec.mutations[0].patchType!"),
    (MUTATE, mutation(patchType="Odd"), "spec.mutations[0].patchType ApplyConfiguration|JSONPatch"),
    (MUTATE, mutation(patchType="ApplyConfiguration", jsonPatch={}), "spec.mutations[0].applyConfiguration! : must be specified when patchType is ApplyConfiguration",
        'spec.mutations[0].jsonPatch="{jsonPatch}" : must not be specified when patchType is ApplyConfiguration'),
    (MUTATE, mutation(patchType="JSONPatch", jsonPatch={}), "spec.mutations[0].jsonPatch.expression!"),
    (STATUS, ({"status": {"typeChecking": {"expressionWarnings": [{"warning": "w", "fieldRef": "f"}, {}]}}}, {}), "status.typeChecking.expressionWarnings[1].warning,fieldRef!"),
    *valid(BIND, BINDING, bound(matchResources=MATCH), bound(paramRef={"name": "n", "parameterNotFoundAction": "Deny"})),
    (BIND, bound(policyName="P_", validationActions=["Deny", "Deny", "Odd", "Warn"]), "spec.policyName : <RFC 1123 subdomain>", "spec.validationActions[1] unique",
        "spec.validationActions[2] Audit|Deny|Warn",
        "spec.validationActions : must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"),
    (BIND, bound(paramRef={"name": "a/b", "selector": {"matchLabels": {"a b": ""}}, "parameterNotFoundAction": "Odd"}), *below("spec.paramRef", ".name : may not contain '/'",
        ".name- : name and selector are mutually exclusive", '.selector.matchLabels="a b" : <name part>', ".selector- : name and selector are mutually exclusive",
        ".parameterNotFoundAction Deny|Allow")),
    (BIND, bound(paramRef={}), "spec.paramRef! : one of name or selector must be specified", "spec.paramRef.parameterNotFoundAction!"),
    (MUTATING_BIND, bound()),
    (MUTATING_BIND, {"spec": {"matchResources": {**MATCH, "resourceRules": [{**RULE, "operations": ["DELETE"]}]}}}, "spec.policyName!",
        'spec.matchResources.resourceRules.operations="DELETE" *|CONNECT|CREATE|UPDATE'),
    (NEW, of(paramKind={"apiVersion": "a/b/c"}), "spec.paramKind.apiVersion : unexpected GroupVersion string: a/b/c", "spec.paramKind.kind!"),
    (NEW, of(variables=[{"name": "in", "expression": "1"}]), "spec.variables[0].name : must be a valid CEL identifier"),
    (NEW, of(matchConditions=[{}]), "spec.matchConditions[0].expression,name!"),
    (MUTATE, put(mutation(patchType="JSONPatch"), {"spec.matchConstraints.resourceRules": [{**RULE, "operations": ["DELETE"]}]}),
        'spec.matchConstraints.resourceRules.operations="DELETE" *|CONNECT|CREATE|UPDATE', "spec.mutations[0].jsonPatch! : must be specified when patchType is JSONPatch"),
    (BIND, {"spec": {}}, "spec.policyName!", "spec.validationActions! : at least one validation action is required"),
])  # fmt: skip

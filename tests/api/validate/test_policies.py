"""Every cause that admission policies and their bindings can have
(pkg/apis/admissionregistration/validation)."""

from rules import GONE, at, below, each, put, table

from pilothouse.api.validate import policies as rules
from pilothouse.api.values.fields import Object

RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
MATCH = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [RULE]}
BASE: Object = {"metadata": {"name": "p"}, "spec": {"failurePolicy": "Fail", "matchConstraints": MATCH, "validations": [{"expression": "true"}]}}
PATCH = '[JSONPatch{op: "remove", path: "/a"}]'
MUTATION = {"patchType": "JSONPatch", "jsonPatch": {"expression": PATCH}}
MUTATING: Object = {"metadata": {"name": "p"}, "spec": {"failurePolicy": "Fail", "matchConstraints": MATCH, "mutations": [MUTATION], "reinvocationPolicy": "Never"}}
BINDING: Object = {"spec": {"policyName": "p", "validationActions": ["Deny"]}}
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
    (NEW, BASE, []),
    (NEW, {}, ["spec.failurePolicy: Required value", "spec.matchConstraints: Required value", "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
        "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item"]),
    (NEW, of(failurePolicy="Odd"), ['spec.failurePolicy: Unsupported value: "Odd": supported values: "Fail", "Ignore"']),
    (NEW, of(paramKind={"apiVersion": "v1", "kind": "ConfigMap"}), []),
    (NEW, of(paramKind={"apiVersion": "G_/1", "kind": "1a"}), ['spec.paramKind.apiVersion: Invalid value: "G_": <RFC 1123 subdomain>',
        'spec.paramKind.apiVersion: Invalid value: "1": <DNS-1035 label>', 'spec.paramKind.kind: Invalid value: "1a": may have mixed case, but should otherwise match: <DNS-1035 label>']),
    (NEW, of(paramKind={"apiVersion": "a/", "kind": "A"}), ['spec.paramKind.apiVersion: Invalid value: "a/": version must be specified']),
    (NEW, of(paramKind={}), ["spec.paramKind.apiVersion: Required value", "spec.paramKind.kind: Required value"]),
    (NEW, matching(matchPolicy="Odd", namespaceSelector=GONE, objectSelector={"matchLabels": {"a b": ""}}), below("spec.matchConstraints",
        '.matchPolicy: Unsupported value: "Odd": supported values: "Equivalent", "Exact"', ".namespaceSelector: Required value", '.objectSelector.matchLabels: Invalid value: "a b": <name part>')),
    (NEW, matching(matchPolicy=GONE, resourceRules=[], excludeResourceRules=[{**RULE, "resourceNames": ["a", "a", "b/c"]}]), below("spec.matchConstraints", ".matchPolicy: Required value",
        '.excludeResourceRules[0].resourceNames[1]: Duplicate value: "a"', ".excludeResourceRules[0].resourceNames[2]: Invalid value: \"b/c\": may not contain '/'", ".resourceRules: Required value")),
    (NEW, of(variables=[{"name": "a", "expression": "1"}, {}, {"name": "1a", "expression": "1"}]), ["spec.variables[1].name: Required value: name is not specified",
        "spec.variables[1].expression: Required value: expression is not specified", 'spec.variables[2].name: Invalid value: "1a": must be a valid CEL identifier']),
    (NEW, validation(expression=" "), ["spec.validations[0].expression: Required value: expression is not specified"]),
    (NEW, validation(message="m", messageExpression="'m'", reason="Invalid"), []),
    (NEW, validation(message=" ", messageExpression=" ", reason="Odd"), below("spec.validations[0]", '.messageExpression: Invalid value: " ": must be non-empty if specified',
        '.message: Invalid value: " ": must be non-empty if specified', '.reason: Unsupported value: "Odd": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"')),
    (NEW, validation(message="a\nb"), ['spec.validations[0].message: Invalid value: "a\\nb": must not contain line breaks']),
    (NEW, annotations(NOTE), []),
    (NEW, annotations(NOTE, NOTE, {"key": "a b", "valueExpression": "x" * 5121}, {}), below("spec.auditAnnotations", '[1].key: Duplicate value: "k"', '[2].key: Invalid value: "p/a b": <name part>',
        "[2].valueExpression: Required value: must not exceed 5120 bytes in length", '[3].key: Invalid value: "p/": name part must be non-empty', '[3].key: Invalid value: "p/": <name part>',
        "[3].valueExpression: Required value: valueExpression is not specified")),
    (NEW, put(annotations(NOTE), {"metadata.name": ""}), ['spec.auditAnnotations[0].key: Invalid value: "k": requires metadata.name be non-empty']),
    (NEW, annotations(*({**NOTE, "key": f"k{i}"} for i in range(21))),
        ['spec.auditAnnotations: Invalid value: [{"Key":"k0","ValueExpression":"\'v\'"},{"Key":"k1","ValueExpression":"\'v\'"},{"Key":"k2","ValueExpression":"\'v\'"},{"Key":"k3","ValueExpression":"\'v\'"},{"Key":"k4","ValueExpression":"\'v\'"},{"Key":"k5","ValueExpression":"\'v\'"},{"Key":"k6","ValueExpression":"\'v\'"},{"Key":"k7","ValueExpression":"\'v\'"},{"Key":"k8","ValueExpression":"\'v\'"},{"Key":"k9","ValueExpression":"\'v\'"},{"Key":"k10","ValueExpression":"\'v\'"},{"Key":"k11","ValueExpression":"\'v\'"},{"Key":"k12","ValueExpression":"\'v\'"},{"Key":"k13","ValueExpression":"\'v\'"},{"Key":"k14","ValueExpression":"\'v\'"},{"Key":"k15","ValueExpression":"\'v\'"},{"Key":"k16","ValueExpression":"\'v\'"},{"Key":"k17","ValueExpression":"\'v\'"},{"Key":"k18","ValueExpression":"\'v\'"},{"Key":"k19","ValueExpression":"\'v\'"},{"Key":"k20","ValueExpression":"\'v\'"}]: must not have more than 20 auditAnnotations']),
    (MUTATE, MUTATING, []),
    (MUTATE, put(MUTATING, {"spec.mutations": [], "spec.reinvocationPolicy": ""}), ["spec.mutations: Required value: mutations must contain at least one item",
        "spec.reinvocationPolicy: Required value"]),
    (MUTATE, put(MUTATING, {"spec.reinvocationPolicy": "Odd"}), ['spec.reinvocationPolicy: Unsupported value: "Odd": supported values: "IfNeeded", "Never"']),
    (MUTATE, mutation(), ["spec.mutations[0].patchType: Required value"]),
    (MUTATE, mutation(patchType="Odd"), ['spec.mutations[0].patchType: Unsupported value: "Odd": supported values: "ApplyConfiguration", "JSONPatch"']),
    (MUTATE, mutation(patchType="ApplyConfiguration", jsonPatch={}), ["spec.mutations[0].applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration",
        'spec.mutations[0].jsonPatch: Invalid value: "{jsonPatch}": must not be specified when patchType is ApplyConfiguration']),
    (MUTATE, mutation(patchType="JSONPatch", jsonPatch={}), ["spec.mutations[0].jsonPatch.expression: Required value"]),
    (STATUS, ({"status": {"typeChecking": {"expressionWarnings": [{"warning": "w", "fieldRef": "f"}, {}]}}}, {}), ["status.typeChecking.expressionWarnings[1].warning: Required value",
        "status.typeChecking.expressionWarnings[1].fieldRef: Required value"]),
    (BIND, BINDING, []),
    (BIND, bound(policyName="P_", validationActions=["Deny", "Deny", "Odd", "Warn"]), ['spec.policyName: Invalid value: "P_": <RFC 1123 subdomain>',
        'spec.validationActions[1]: Duplicate value: "Deny"', 'spec.validationActions[2]: Unsupported value: "Odd": supported values: "Audit", "Deny", "Warn"',
        'spec.validationActions: Invalid value: ["Deny","Deny","Odd","Warn"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)']),
    (BIND, bound(matchResources=MATCH), []),
    (BIND, bound(paramRef={"name": "n", "parameterNotFoundAction": "Deny"}), []),
    (BIND, bound(paramRef={"name": "a/b", "selector": {"matchLabels": {"a b": ""}}, "parameterNotFoundAction": "Odd"}), ["spec.paramRef.name: Invalid value: \"a/b\": may not contain '/'",
        "spec.paramRef.name: Forbidden: name and selector are mutually exclusive", 'spec.paramRef.selector.matchLabels: Invalid value: "a b": <name part>',
        "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive", 'spec.paramRef.parameterNotFoundAction: Unsupported value: "Odd": supported values: "Deny", "Allow"']),
    (BIND, bound(paramRef={}), ["spec.paramRef: Required value: one of name or selector must be specified", "spec.paramRef.parameterNotFoundAction: Required value"]),
    (MUTATING_BIND, bound(), []),
    (MUTATING_BIND, {"spec": {"matchResources": {**MATCH, "resourceRules": [{**RULE, "operations": ["DELETE"]}]}}}, ["spec.policyName: Required value",
        'spec.matchResources.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"']),
    (NEW, of(validations=[]), ["spec.validations: Required value: validations or auditAnnotations must contain at least one item",
        "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item"]),
    (NEW, of(matchConstraints=None), ["spec.matchConstraints: Required value"]),
    (NEW, of(paramKind={"apiVersion": "a/b/c"}), ['spec.paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c', "spec.paramKind.kind: Required value"]),
    (NEW, of(variables=[{"name": "in", "expression": "1"}]), ['spec.variables[0].name: Invalid value: "in": must be a valid CEL identifier']),
    (NEW, of(matchConditions=[{}]), ["spec.matchConditions[0].expression: Required value", "spec.matchConditions[0].name: Required value"]),
    (NEW, validation(reason="Teapot"), ['spec.validations[0].reason: Unsupported value: "Teapot": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"']),
    (MUTATE, put(mutation(patchType="JSONPatch"), {"spec.matchConstraints.resourceRules": [{**RULE, "operations": ["DELETE"]}]}),
        ['spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"',
        "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch"]),
    (BIND, {"spec": {}}, ["spec.policyName: Required value", "spec.validationActions: Required value: at least one validation action is required"]),
    (BIND, bound(validationActions=["Deny", "Warn"]),
        ['spec.validationActions: Invalid value: ["Deny","Warn"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)']),
])  # fmt: skip

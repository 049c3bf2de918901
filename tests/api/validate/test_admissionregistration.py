"""Every cause that webhook configurations can have (pkg/apis/admissionregistration/validation)."""

from rules import causes, put, table

from pilothouse.api.validate import admissionregistration as rules
from pilothouse.api.values.fields import Errors, Object

RULE = {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}
HOOK: Object = {"name": "h.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": {"url": "https://h.example.com/x"}, "rules": [RULE]}
BAD = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}
CONDITION = {"name": "c", "expression": "true"}


def new(obj: Object, errs: Errors) -> None:
    rules.validate_validating_webhooks(obj, errs)


def changed(obj: Object, old: Object, errs: Errors) -> None:
    rules.validate_validating_webhooks(obj, errs, old)


def mutating(obj: Object, errs: Errors) -> None:
    rules.validate_mutating_webhooks(obj, errs)


def mutating_changed(obj: Object, old: Object, errs: Errors) -> None:
    rules.validate_mutating_webhooks(obj, errs, old)


def of(**members: object) -> Object:
    return {"webhooks": [{**HOOK, **members}]}


def rule(**members: object) -> Object:
    return of(rules=[{**RULE, **members}])


def url(text: str) -> Object:
    return of(clientConfig={"url": text})


def service(**members: object) -> Object:
    return of(clientConfig={"service": {"namespace": "n", "name": "s", "port": 443, **members}})


test_causes = table([
    (new, of(), []),
    (new, {"webhooks": [{}]}, [
        "webhooks[0].name: Required value",
        "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
        "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
        "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1"]),
    (new, {"webhooks": [HOOK, HOOK]}, ['webhooks[1].name: Duplicate value: "h.example.com"']),
    (new, of(name="h"), ['webhooks[0].name: Invalid value: "h": should be a domain with at least three segments separated by dots']),
    (new, rule(operations=[], apiGroups=[], apiVersions=[], resources=[]), [
        "webhooks[0].rules[0].operations: Required value",
        "webhooks[0].rules[0].apiGroups: Required value",
        "webhooks[0].rules[0].apiVersions: Required value",
        "webhooks[0].rules[0].resources: Required value"]),
    (new, rule(operations=["*", "CREATE"], apiGroups=["*", "a"], apiVersions=["*", "v1"], resources=["*/*", "a"]), [
        'webhooks[0].rules[0].operations: Invalid value: ["*","CREATE"]: if \'*\' is present, must not specify other operations',
        'webhooks[0].rules[0].apiGroups: Invalid value: ["*","a"]: if \'*\' is present, must not specify other API groups',
        'webhooks[0].rules[0].apiVersions: Invalid value: ["*","v1"]: if \'*\' is present, must not specify other API versions',
        'webhooks[0].rules[0].resources: Invalid value: ["*/*","a"]: if \'*/*\' is present, must not specify other resources']),
    (new, rule(operations=["Odd"], apiVersions=[""], scope="Odd", resources=[""]), [
        'webhooks[0].rules[0].operations[0]: Unsupported value: "Odd": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"',
        "webhooks[0].rules[0].apiVersions[0]: Required value",
        "webhooks[0].rules[0].resources[0]: Required value",
        'webhooks[0].rules[0].scope: Unsupported value: "Odd": supported values: "*", "Cluster", "Namespaced"']),
    (new, rule(resources=["pods/*", "pods/status", "*/scale", "pods/scale"]), [
        "webhooks[0].rules[0].resources[1]: Invalid value: \"pods/status\": if 'pods/*' is present, must not specify pods/status",
        "webhooks[0].rules[0].resources[3]: Invalid value: \"pods/scale\": if 'pods/*' is present, must not specify pods/scale",
        "webhooks[0].rules[0].resources[3]: Invalid value: \"pods/scale\": if '*/scale' is present, must not specify pods/scale"]),
    (new, rule(resources=["*", "pods"]), ['webhooks[0].rules[0].resources: Invalid value: ["*","pods"]: if \'*\' is present, must not specify other resources without subresources']),
    (new, of(failurePolicy="Odd", matchPolicy="Odd", sideEffects="Some", timeoutSeconds=31), [
        'webhooks[0].failurePolicy: Unsupported value: "Odd": supported values: "Fail", "Ignore"',
        'webhooks[0].matchPolicy: Unsupported value: "Odd": supported values: "Equivalent", "Exact"',
        'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"',
        "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"]),
    (new, of(namespaceSelector=BAD, objectSelector={"matchLabels": {"a b": ""}}), [
        'webhooks[0].namespaceSelector.matchExpressions[0].values[0]: Invalid value: "-": <label value>',
        'webhooks[0].objectSelector.matchLabels: Invalid value: "a b": <name part>']),
    (changed, (of(namespaceSelector=BAD), of(objectSelector=BAD)), []),
    (mutating, of(reinvocationPolicy="Odd"), ['webhooks[0].reinvocationPolicy: Unsupported value: "Odd": supported values: "IfNeeded", "Never"']),
    (new, of(admissionReviewVersions=["v2"]), ['webhooks[0].admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1']),
    (new, of(admissionReviewVersions=["v1", "v1", "1"]), [
        'webhooks[0].admissionReviewVersions[1]: Invalid value: "v1": duplicate version',
        'webhooks[0].admissionReviewVersions[2]: Invalid value: "1": <DNS-1035 label>']),
    (changed, (of(admissionReviewVersions=["v2"]), of(admissionReviewVersions=["v2"])), []),
    (new, of(matchConditions=[CONDITION, CONDITION, {}, {"name": "a b", "expression": " "}]), [
        'webhooks[0].matchConditions[1].name: Duplicate value: "c"',
        "webhooks[0].matchConditions[2].expression: Required value",
        "webhooks[0].matchConditions[2].name: Required value",
        "webhooks[0].matchConditions[3].expression: Required value",
        'webhooks[0].matchConditions[3].name: Invalid value: "a b": <name part>']),
    (changed, (of(matchConditions=[{}]), of(matchConditions=[{}])), []),
    (new, of(matchConditions=[{**CONDITION, "name": f"c{i}"} for i in range(65)]), ["webhooks[0].matchConditions: Too many: 65: must have at most 64 items"]),
    (new, of(clientConfig={"url": "https://a", "service": {}}), ["webhooks[0].clientConfig: Required value: exactly one of url or service is required"]),
    (new, url("http://a"), ["webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]"]),
    (new, url("https://"), ['webhooks[0].clientConfig.url: Invalid value: "": host must be specified; desired format: https://host[/path]']),
    (new, url("https://u@a/x?q=1#f"), [
        'webhooks[0].clientConfig.url: Invalid value: "u": user information is not permitted in the URL',
        'webhooks[0].clientConfig.url: Invalid value: "f": fragments are not permitted in the URL',
        'webhooks[0].clientConfig.url: Invalid value: "q=1": query parameters are not permitted in the URL']),
    (new, service(path="/a/b"), []),
    (new, service(namespace="", port=0), [
        "webhooks[0].clientConfig.service.name: Required value",
        "webhooks[0].clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive"]),
    (new, service(name=""), ["webhooks[0].clientConfig.service.namespace: Required value"]),
    (new, service(path="//"), ['webhooks[0].clientConfig.service.path: Invalid value: "//": segment[0] may not be empty']),
    (new, service(path="a//B_"), [
        "webhooks[0].clientConfig.service.path: Invalid value: \"a//B_\": must start with a '/'",
        'webhooks[0].clientConfig.service.path: Invalid value: "a//B_": segment[0] may not be empty',
        'webhooks[0].clientConfig.service.path: Invalid value: "a//B_": segment[1] may not be empty',
        'webhooks[0].clientConfig.service.path: Invalid value: "a//B_": segment[2]: <RFC 1123 subdomain>']),
    (new, of(rules=[]), []),
    (new, of(sideEffects=None), ["webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun"]),
    (new, of(timeoutSeconds=31), ["webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"]),
    (new, of(clientConfig={}), ["webhooks[0].clientConfig: Required value: exactly one of url or service is required"]),
    (new, url("http://u@h/x?a=b"), [
        "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
        'webhooks[0].clientConfig.url: Invalid value: "u": user information is not permitted in the URL',
        'webhooks[0].clientConfig.url: Invalid value: "a=b": query parameters are not permitted in the URL']),
    (new, of(clientConfig={"service": {"name": "s", "port": 443}}), ["webhooks[0].clientConfig.service.name: Required value"]),
    (mutating, {"webhooks": [HOOK, HOOK]}, ['webhooks[1].name: Duplicate value: "h.example.com"']),
])  # fmt: skip


test_urls_are_parsed_as_go_parses_them = table(
    [
        (new, url(text), [f"webhooks[0].clientConfig.url: Required value: url must be a valid URL: parse {why}; desired format: https://host[/path]"])
        for text, why in [
            ("https://a/x\r\nX-Evil: 1", '"https://a/x\\r\\nX-Evil: 1": net/url: invalid control character in URL'),
            ("https://a\tb", '"https://a\\tb": net/url: invalid control character in URL'),
            ("https://a/%zz", '"https://a/%zz": invalid URL escape "%zz"'),
            ("https://a:x/", '"https://a:x/": invalid port ":x" after host'),
        ]
    ]
)


def test_what_is_no_url_is_refused() -> None:
    [cause] = causes(new, url("https://[::1"))
    assert cause.startswith("webhooks[0].clientConfig.url: Required value: url must be a valid URL: ")


def test_changed_conditions_are_looked_at() -> None:
    before = of(matchConditions=[{"name": "c", "expression": "nothing"}])
    assert causes(mutating_changed, (before, before)) == []
    after = put(before, {"webhooks.0.matchConditions.0.expression": "1"})
    assert causes(mutating_changed, (after, before)) == ['webhooks[0].matchConditions[0].expression: Invalid value: "1": must evaluate to bool but got int']

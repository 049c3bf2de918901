"""Every cause that webhook configurations can have (pkg/apis/admissionregistration/validation)."""

from rules import at, below, causes, changed, put, table, within

from pilothouse.api.validate import admissionregistration as rules
from pilothouse.api.values.fields import Object

RULE = {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}
HOOK: Object = {"name": "h.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": {"url": "https://h.example.com/x"}, "rules": [RULE]}
BAD = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}
CONDITION = {"name": "c", "expression": "true"}


NEW, UPDATE = within("webhooks[0]", rules.validate_validating_webhooks), changed(rules.validate_validating_webhooks)
MUTATING, MUTATING_UPDATE = within("webhooks[0]", rules.validate_mutating_webhooks), changed(rules.validate_mutating_webhooks)
of = at({}, "webhooks[]", HOOK)
rule = at(of(), "webhooks.0.rules[]", RULE)
service = at(of(clientConfig={}), "webhooks.0.clientConfig.service", {"namespace": "n", "name": "s", "port": 443})


def url(text: str) -> Object:
    return of(clientConfig={"url": text})


test_causes = table([
    (NEW, of(), []),
    (NEW, {"webhooks": [{}]}, ["~.name: Required value", "~.sideEffects: Required value: must specify one of None, NoneOnDryRun",
        "~.clientConfig: Required value: exactly one of url or service is required", "~.admissionReviewVersions: Required value: must specify one of v1, v1beta1"]),
    (NEW, {"webhooks": [HOOK, HOOK]}, ['webhooks[1].name: Duplicate value: "h.example.com"']),
    (NEW, of(name="h"), ['~.name: Invalid value: "h": should be a domain with at least three segments separated by dots']),
    (NEW, rule(operations=[], apiGroups=[], apiVersions=[], resources=[]), ["~.rules[0].operations: Required value", "~.rules[0].apiGroups: Required value", "~.rules[0].apiVersions: Required value",
        "~.rules[0].resources: Required value"]),
    (NEW, rule(operations=["*", "CREATE"], apiGroups=["*", "a"], apiVersions=["*", "v1"], resources=["*/*", "a"]),
        ['~.rules[0].operations: Invalid value: ["*","CREATE"]: if \'*\' is present, must not specify other operations',
        '~.rules[0].apiGroups: Invalid value: ["*","a"]: if \'*\' is present, must not specify other API groups',
        '~.rules[0].apiVersions: Invalid value: ["*","v1"]: if \'*\' is present, must not specify other API versions',
        '~.rules[0].resources: Invalid value: ["*/*","a"]: if \'*/*\' is present, must not specify other resources']),
    (NEW, rule(operations=["Odd"], apiVersions=[""], scope="Odd", resources=[""]),
        ['~.rules[0].operations[0]: Unsupported value: "Odd": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"', "~.rules[0].apiVersions[0]: Required value",
        "~.rules[0].resources[0]: Required value", '~.rules[0].scope: Unsupported value: "Odd": supported values: "*", "Cluster", "Namespaced"']),
    (NEW, rule(resources=["pods/*", "pods/status", "*/scale", "pods/scale"]), below("~.rules[0].resources", "[1]: Invalid value: \"pods/status\": if 'pods/*' is present, must not specify pods/status",
        "[3]: Invalid value: \"pods/scale\": if 'pods/*' is present, must not specify pods/scale", "[3]: Invalid value: \"pods/scale\": if '*/scale' is present, must not specify pods/scale")),
    (NEW, rule(resources=["*", "pods"]), ['~.rules[0].resources: Invalid value: ["*","pods"]: if \'*\' is present, must not specify other resources without subresources']),
    (NEW, of(failurePolicy="Odd", matchPolicy="Odd", sideEffects="Some", timeoutSeconds=31), ['~.failurePolicy: Unsupported value: "Odd": supported values: "Fail", "Ignore"',
        '~.matchPolicy: Unsupported value: "Odd": supported values: "Equivalent", "Exact"', '~.sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"',
        "~.timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"]),
    (NEW, of(namespaceSelector=BAD, objectSelector={"matchLabels": {"a b": ""}}), ['~.namespaceSelector.matchExpressions[0].values[0]: Invalid value: "-": <label value>',
        '~.objectSelector.matchLabels: Invalid value: "a b": <name part>']),
    (UPDATE, (of(namespaceSelector=BAD), of(objectSelector=BAD)), []),
    (MUTATING, of(reinvocationPolicy="Odd"), ['~.reinvocationPolicy: Unsupported value: "Odd": supported values: "IfNeeded", "Never"']),
    (NEW, of(admissionReviewVersions=["v2"]), ['~.admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1']),
    (NEW, of(admissionReviewVersions=["v1", "v1", "1"]), below("~.admissionReviewVersions", '[1]: Invalid value: "v1": duplicate version', '[2]: Invalid value: "1": <DNS-1035 label>')),
    (UPDATE, (of(admissionReviewVersions=["v2"]), of(admissionReviewVersions=["v2"])), []),
    (NEW, of(matchConditions=[CONDITION, CONDITION, {}, {"name": "a b", "expression": " "}]), ['~.matchConditions[1].name: Duplicate value: "c"', "~.matchConditions[2].expression: Required value",
        "~.matchConditions[2].name: Required value", "~.matchConditions[3].expression: Required value", '~.matchConditions[3].name: Invalid value: "a b": <name part>']),
    (UPDATE, (of(matchConditions=[{}]), of(matchConditions=[{}])), []),
    (NEW, of(matchConditions=[{**CONDITION, "name": f"c{i}"} for i in range(65)]), ["~.matchConditions: Too many: 65: must have at most 64 items"]),
    (NEW, of(clientConfig={"url": "https://a", "service": {}}), ["~.clientConfig: Required value: exactly one of url or service is required"]),
    (NEW, url("http://a"), ["~.clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]"]),
    (NEW, url("https://"), ['~.clientConfig.url: Invalid value: "": host must be specified; desired format: https://host[/path]']),
    (NEW, url("https://u@a/x?q=1#f"), ['~.clientConfig.url: Invalid value: "u": user information is not permitted in the URL',
        '~.clientConfig.url: Invalid value: "f": fragments are not permitted in the URL', '~.clientConfig.url: Invalid value: "q=1": query parameters are not permitted in the URL']),
    (NEW, service(path="/a/b"), []),
    (NEW, service(namespace="", port=0), ["~.clientConfig.service.name: Required value", "~.clientConfig.service.port: Invalid value: 0: port is not valid: <port>"]),
    (NEW, service(name=""), ["~.clientConfig.service.namespace: Required value"]),
    (NEW, service(path="//"), ['~.clientConfig.service.path: Invalid value: "//": segment[0] may not be empty']),
    (NEW, service(path="a//B_"), ["~.clientConfig.service.path: Invalid value: \"a//B_\": must start with a '/'", '~.clientConfig.service.path: Invalid value: "a//B_": segment[0] may not be empty',
        '~.clientConfig.service.path: Invalid value: "a//B_": segment[1] may not be empty', '~.clientConfig.service.path: Invalid value: "a//B_": segment[2]: <RFC 1123 subdomain>']),
    (NEW, of(rules=[]), []),
    (NEW, of(sideEffects=None), ["~.sideEffects: Required value: must specify one of None, NoneOnDryRun"]),
    (NEW, of(timeoutSeconds=31), ["~.timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"]),
    (NEW, of(clientConfig={}), ["~.clientConfig: Required value: exactly one of url or service is required"]),
    (NEW, url("http://u@h/x?a=b"), ["~.clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
        '~.clientConfig.url: Invalid value: "u": user information is not permitted in the URL', '~.clientConfig.url: Invalid value: "a=b": query parameters are not permitted in the URL']),
    (NEW, of(clientConfig={"service": {"name": "s", "port": 443}}), ["~.clientConfig.service.name: Required value"]),
    (MUTATING, {"webhooks": [HOOK, HOOK]}, ['webhooks[1].name: Duplicate value: "h.example.com"']),
])  # fmt: skip


test_urls_are_parsed_as_go_parses_them = table(
    [
        (NEW, url(text), [f"~.clientConfig.url: Required value: url must be a valid URL: parse {why}; desired format: https://host[/path]"])
        for text, why in [
            ("https://a/x\r\nX-Evil: 1", '"https://a/x\\r\\nX-Evil: 1": net/url: invalid control character in URL'),
            ("https://a\tb", '"https://a\\tb": net/url: invalid control character in URL'),
            ("https://a/%zz", '"https://a/%zz": invalid URL escape "%zz"'),
            ("https://a:x/", '"https://a:x/": invalid port ":x" after host'),
        ]
    ]
)


def test_what_is_no_url_is_refused() -> None:
    [cause] = causes(NEW, url("https://[::1"))
    assert cause.startswith("~.clientConfig.url: Required value: url must be a valid URL: ")


def test_changed_conditions_are_looked_at() -> None:
    before = of(matchConditions=[{"name": "c", "expression": "nothing"}])
    assert causes(MUTATING_UPDATE, (before, before)) == []
    after = put(before, {"webhooks.0.matchConditions.0.expression": "1"})
    assert causes(MUTATING_UPDATE, (after, before)) == ['webhooks[0].matchConditions[0].expression: Invalid value: "1": must evaluate to bool but got int']

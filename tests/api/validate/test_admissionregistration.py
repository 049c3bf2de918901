"""Every cause that webhook configurations can have (pkg/apis/admissionregistration/validation)."""

import json

from rules import BAD, at, below, changed, put, table, valid, within

from pilothouse.api.validate import admissionregistration as rules

RULE = {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}
HOOK = {"name": "h.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": {"url": "https://h.example.com/x"}, "rules": [RULE]}
CONDITION = {"name": "c", "expression": "true"}
NEW, UPDATE = within("webhooks[0]", rules.validate_validating_webhooks), changed(rules.validate_validating_webhooks)
MUTATING, MUTATING_UPDATE = within("webhooks[0]", rules.validate_mutating_webhooks), within("webhooks[0]", changed(rules.validate_mutating_webhooks))
of = at({}, "webhooks[]", HOOK)
rule = at(of(), "webhooks.0.rules[]", RULE)
url = at(of(clientConfig={}), "webhooks.0.clientConfig.url")
service = at(of(clientConfig={}), "webhooks.0.clientConfig.service", {"namespace": "n", "name": "s", "port": 443})
UNDECLARED = of(matchConditions=[{"name": "c", "expression": "nothing"}])

test_causes = table([
    (MUTATING_UPDATE, (UNDECLARED, UNDECLARED)),
    (MUTATING_UPDATE, (put(UNDECLARED, {"webhooks.0.matchConditions.0.expression": "1"}), UNDECLARED), "~.matchConditions[0].expression : must evaluate to bool but got int"),
    *valid(NEW, of(), service(path="/a/b"), of(rules=[])),
    (NEW, {"webhooks": [{}]}, "~.name!", "~.sideEffects! : must specify one of None, NoneOnDryRun", "~.clientConfig! : exactly one of url or service is required",
        "~.admissionReviewVersions! : must specify one of v1, v1beta1"),
    (NEW, {"webhooks": [HOOK, HOOK]}, "webhooks[1].name unique"),
    (NEW, of(name="h"), "~.name : should be a domain with at least three segments separated by dots"),
    (NEW, rule(operations=[], apiGroups=[], apiVersions=[], resources=[]), "~.rules[0].operations,apiGroups,apiVersions,resources!"),
    (NEW, rule(operations=["*", "CREATE"], apiGroups=["*", "a"], apiVersions=["*", "v1"], resources=["*/*", "a"]),
        *below("~.rules[0]", ".operations : if '*' is present, must not specify other operations", ".apiGroups : if '*' is present, must not specify other API groups",
        ".apiVersions : if '*' is present, must not specify other API versions", ".resources : if '*/*' is present, must not specify other resources")),
    (NEW, rule(operations=["Odd"], apiVersions=[""], scope="Odd", resources=[""]), "~.rules[0].operations[0] *|CONNECT|CREATE|DELETE|UPDATE", "~.rules[0].apiVersions[0],resources[0]!",
        "~.rules[0].scope *|Cluster|Namespaced"),
    (NEW, rule(resources=["pods/*", "pods/status", "*/scale", "pods/scale"]), *below("~.rules[0].resources", "[1] : if 'pods/*' is present, must not specify pods/status",
        "[3] : if 'pods/*' is present, must not specify pods/scale", "[3] : if '*/scale' is present, must not specify pods/scale")),
    (NEW, rule(resources=["*", "pods"]), "~.rules[0].resources : if '*' is present, must not specify other resources without subresources"),
    (NEW, of(failurePolicy="Odd", matchPolicy="Odd", sideEffects="Some", timeoutSeconds=31), "~.failurePolicy Fail|Ignore", "~.matchPolicy Equivalent|Exact", "~.sideEffects None|NoneOnDryRun",
        "~.timeoutSeconds : the timeout value must be between 1 and 30 seconds"),
    (NEW, of(namespaceSelector=BAD, objectSelector={"matchLabels": {"a b": ""}}), "~.namespaceSelector.matchExpressions[0].values[0] : <label value>",
        '~.objectSelector.matchLabels="a b" : <name part>'),
    *valid(UPDATE, (of(namespaceSelector=BAD), of(objectSelector=BAD)), (of(admissionReviewVersions=["v2"]), of(admissionReviewVersions=["v2"])), (of(matchConditions=[{}]), of(matchConditions=[{}]))),
    (MUTATING, of(reinvocationPolicy="Odd"), "~.reinvocationPolicy IfNeeded|Never"),
    (NEW, of(admissionReviewVersions=["v2"]), "~.admissionReviewVersions : must include at least one of v1, v1beta1"),
    (NEW, of(admissionReviewVersions=["v1", "v1", "1"]), *below("~.admissionReviewVersions", "[1] : duplicate version", "[2] : <DNS-1035 label>")),
    (NEW, of(matchConditions=[CONDITION, CONDITION, {}, {"name": "a b", "expression": " "}]), *below("~.matchConditions", "[1].name unique", "[2].expression,name!", "[3].expression!",
        "[3].name : <name part>")),
    (NEW, of(matchConditions=[{**CONDITION, "name": f"c{i}"} for i in range(65)]), "~.matchConditions most:64"),
    (NEW, of(clientConfig={"url": "https://a", "service": {}}), "~.clientConfig! : exactly one of url or service is required"),
    (NEW, url("https://"), '~.clientConfig.url="" : host must be specified; desired format: https://host[/path]'),
    (NEW, url("https://u@a/x?q=1#f"), *below("~.clientConfig", '.url="u" : user information is not permitted in the URL', '.url="f" : fragments are not permitted in the URL',
        '.url="q=1" : query parameters are not permitted in the URL')),
    (NEW, service(namespace="", port=0), "~.clientConfig.service.name!", "~.clientConfig.service.port : port is not valid: <port>"),
    (NEW, service(name=""), "~.clientConfig.service.namespace!"),
    (NEW, service(path="//"), "~.clientConfig.service.path : segment[0] may not be empty"),
    (NEW, service(path="a//B_"), *below("~.clientConfig.service", ".path : must start with a '/'", ".path : segment[0] may not be empty", ".path : segment[1] may not be empty",
        ".path : segment[2]: <RFC 1123 subdomain>")),
    (NEW, url("http://u@h/x?a=b"), *below("~.clientConfig", ".url=\"http\" : 'https' is the only allowed URL scheme; desired format: https://host[/path]",
        '.url="u" : user information is not permitted in the URL', '.url="a=b" : query parameters are not permitted in the URL')),
    (MUTATING, {"webhooks": [HOOK, HOOK]}, "webhooks[1].name unique"),
])  # fmt: skip
test_urls_are_parsed_as_go_parses_them = table([
    (NEW, url("https://[::1"), "~.clientConfig.url: Required value: url must be a valid URL: …"),
    *((NEW, url(text), f"~.clientConfig.url! : url must be a valid URL: parse {json.dumps(text)}: {why}; desired format: https://host[/path]") for text, why in [
        ("https://a/x\r\nX-Evil: 1", "net/url: invalid control character in URL"), ("https://a\tb", "net/url: invalid control character in URL"),
        ("https://a/%zz", 'invalid URL escape "%zz"'), ("https://a:x/", 'invalid port ":x" after host')]),
])  # fmt: skip

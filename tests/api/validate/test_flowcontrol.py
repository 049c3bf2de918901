"""Every cause that flow schemas and priority levels can have (pkg/apis/flowcontrol/validation)."""

from collections.abc import Iterable

from rules import GONE, at, below, put, table, valid, within

from pilothouse.api.validate import flowcontrol as rules
from pilothouse.api.values import mandatory_flows
from pilothouse.api.values.fields import Object

SCHEMA, LEVEL = within("spec.rules[0]", rules.validate_flow_schema), within("spec.limited", rules.validate_priority_level)
STATUS = rules.validate_conditions_status
RESOURCES = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["n"]}
URLS = {"verbs": ["get"], "nonResourceURLs": ["/x/*"]}
USER = {"kind": "User", "user": {"name": "u"}}
SPEC = {"matchingPrecedence": 100, "priorityLevelConfiguration": {"name": "l"}, "distinguisherMethod": {"type": "ByUser"}}
BASE: Object = {"metadata": {"name": "f"}, "spec": {**SPEC, "rules": [{"subjects": [USER], "resourceRules": [RESOURCES], "nonResourceRules": [URLS]}]}}
QUEUING = {"queues": 64, "handSize": 6, "queueLengthLimit": 50}
LIMITED: Object = {"metadata": {"name": "l"}, "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Queue", "queuing": QUEUING}}}}
EXEMPT: Object = {"metadata": {"name": "exempt"}, "spec": mandatory_flows.MANDATORY_LEVELS["exempt"]}
schema = at(BASE, "spec")
subject = at(BASE, "spec.rules.0.subjects[]", {})
resources = at(BASE, "spec.rules.0.resourceRules[]", RESOURCES)
limited = at(LIMITED, "spec.limited")
queuing = at(LIMITED, "spec.limited.limitResponse.queuing", QUEUING)


def urls(*listed: str, verbs: Iterable[str] = ("get",)) -> Object:
    return put(BASE, {"spec.rules.0.nonResourceRules": [{"verbs": list(verbs), "nonResourceURLs": list(listed)}]})


test_causes = table([
    *((SCHEMA, {"metadata": {"name": name}, "spec": spec}) for name, spec in mandatory_flows.MANDATORY_SCHEMAS.items()),
    *((LEVEL, {"metadata": {"name": name}, "spec": spec}) for name, spec in mandatory_flows.MANDATORY_LEVELS.items()),
    *valid(SCHEMA, BASE, put(BASE, {"metadata.name": "catch-all", "spec": mandatory_flows.MANDATORY_SCHEMAS["catch-all"]}), subject(kind="ServiceAccount", serviceAccount={"name": "*", "namespace": "n"})),
    *valid(SCHEMA, resources(verbs=["*"], apiGroups=["*"], resources=["*"], namespaces=["*"]), resources(namespaces=[], clusterScope=True), urls("*"), schema(distinguisherMethod=GONE)),
    (SCHEMA, {}, "spec.matchingPrecedence=0 : must be a positive value", "spec.priorityLevelConfiguration.name! : must reference a priority level"),
    (SCHEMA, schema(matchingPrecedence=1), "spec.matchingPrecedence : only the schema named 'exempt' may have matchingPrecedence 1"),
    (SCHEMA, schema(matchingPrecedence=10_001), "spec.matchingPrecedence : must not be greater than 10000"),
    (SCHEMA, schema(distinguisherMethod={"type": "ByNobody"}), 'spec.distinguisherMethod.type={"Type":"ByNobody"} ByNamespace|ByUser'),
    (SCHEMA, schema(priorityLevelConfiguration={"name": "L_"}), "spec.priorityLevelConfiguration.name : <RFC 1123 subdomain>"),
    (SCHEMA, schema(rules=[{}]), "~.subjects! : subjects must contain at least one value", "~! : at least one of resourceRules and nonResourceRules has to be non-empty"),
    (SCHEMA, {"metadata": {"name": "exempt"}, "spec": {**mandatory_flows.MANDATORY_SCHEMAS["exempt"], "rules": []}},
        "spec={\"PriorityLevelConfiguration\":{\"Name\":\"exempt\"},\"MatchingPrecedence\":1,\"DistinguisherMethod\":null,\"Rules\":[]} : spec of 'exempt' must equal the fixed value"),
    (SCHEMA, put(BASE, {"metadata.name": "catch-all"}),
        "spec={\"PriorityLevelConfiguration\":{\"Name\":\"l\"},\"MatchingPrecedence\":100,\"DistinguisherMethod\":{\"Type\":\"ByUser\"},\"Rules\":[{\"Subjects\":[{\"Kind\":\"User\",\"User\":{\"Name\":\"u\"},\"Group\":null,\"ServiceAccount\":null}],\"ResourceRules\":[{\"Verbs\":[\"get\"],\"APIGroups\":[\"\"],\"Resources\":[\"pods\"],\"ClusterScope\":false,\"Namespaces\":[\"n\"]}],\"NonResourceRules\":[{\"Verbs\":[\"get\"],\"NonResourceURLs\":[\"/x/*\"]}]}]} : spec of 'catch-all' must equal the fixed value"),
    (SCHEMA, subject(kind="Robot"), "~.subjects[0].kind Group|ServiceAccount|User"),
    (SCHEMA, subject(kind="User"), "~.subjects[0].user! : user is required when subject kind is 'User'"),
    (SCHEMA, subject(kind="Group", group={"name": ""}, user={"name": "u"}), "~.subjects[0].group.name!", "~.subjects[0].user- : user is forbidden when subject kind is not 'User'"),
    (SCHEMA, subject(kind="ServiceAccount", serviceAccount={"name": "S_", "namespace": "N_"}), *below("~.subjects[0].serviceAccount", ".name : <RFC 1123 subdomain>", ".namespace : <RFC 1123 label>")),
    (SCHEMA, subject(kind="ServiceAccount", serviceAccount={"name": "s"}), "~.subjects[0].serviceAccount.namespace! : must specify namespace for service account"),
    (SCHEMA, resources(verbs=["*", "get"], apiGroups=["*", "a"], resources=["*", "b"], namespaces=["*", "n"]), *below("~.resourceRules[0]", ".verbs : if '*' is present, must not specify other verbs",
        ".apiGroups : if '*' is present, must not specify other api groups", ".resources : if '*' is present, must not specify other resources",
        ".namespaces : if '*' is present, must not specify other namespaces")),
    (SCHEMA, resources(verbs=[], apiGroups=[], resources=[], namespaces=[]), *below("~.resourceRules[0]", ".verbs! : verbs must contain at least one value",
        ".apiGroups! : resource rules must supply at least one api group", ".resources! : resource rules must supply at least one resource",
        ".namespaces! : resource rules that are not cluster scoped must supply at least one namespace")),
    (SCHEMA, resources(verbs=["get", "peek"], namespaces=["N_"]), "~.resourceRules[0].verbs create|delete|deletecollection|get|list|patch|proxy|update|watch",
        "~.resourceRules[0].namespaces[0] : each member of this list must be '*' or a DNS-1123 label; <RFC 1123 label>"),
    (SCHEMA, urls("*", "/a"), "~.nonResourceRules[0].nonResourceURLs : if '*' is present, must not specify other non-resource URLs"),
    (SCHEMA, urls(verbs=()), "~.nonResourceRules[0].verbs! : verbs must contain at least one value", "~.nonResourceRules[0].nonResourceURLs! : nonResourceURLs must contain at least one value"),
    (SCHEMA, urls("", "a", "/a b", "/a//b", "/a*", "/*/b", "/a/*"), *below("~.nonResourceRules[0].nonResourceURLs", "[0] : must not be empty", "[1] : must start with slash",
        "[2] : must not contain white-space", "[3] : must not contain double slash", "[4],[5] : wildcard can only do suffix matching")),
    (rules.validate_flow_schema_update, (schema(matchingPrecedence=0), BASE), "spec.matchingPrecedence : must be a positive value"),
    (STATUS, ({"status": {"conditions": [{"type": "A"}, {"type": "A"}, {}]}}, BASE), "status.conditions[1].type unique", "status.conditions[2].type! : must not be empty"),
    *valid(LEVEL, LIMITED, EXEMPT, {"metadata": {"name": "catch-all"}, "spec": mandatory_flows.MANDATORY_LEVELS["catch-all"]}),
    (LEVEL, {"metadata": {"name": "exempt"}, "spec": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 7}}}),
    (LEVEL, {}, 'spec.type="" Exempt|Limited'),
    (LEVEL, put(LIMITED, {"metadata.name": "exempt"}), "spec.type : must be 'Exempt' if and only if `name` is 'exempt'",
        "spec={\"Type\":\"Limited\",\"Limited\":{\"NominalConcurrencyShares\":5,\"LimitResponse\":{\"Type\":\"Queue\",\"Queuing\":{\"Queues\":64,\"HandSize\":6,\"QueueLengthLimit\":50}},\"LendablePercent\":null,\"BorrowingLimitPercent\":null},\"Exempt\":null} : spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"),
    (LEVEL, put(LIMITED, {"spec": {"type": "Limited", "exempt": {}}}), "spec.exempt- : must be nil if the type is Limited", "~! : must not be empty when type is Limited"),
    (LEVEL, put(EXEMPT, {"metadata.name": "other"}), "spec.type : must be 'Exempt' if and only if `name` is 'exempt'"),
    (LEVEL, put(EXEMPT, {"spec.exempt": {"nominalConcurrencyShares": -1, "lendablePercent": 101}}), "spec.exempt.nominalConcurrencyShares : must be a non-negative integer",
        "spec.exempt.lendablePercent 0..100"),
    (LEVEL, put(EXEMPT, {"spec.limited": {"nominalConcurrencyShares": 1}}), "~- : must be nil if the type is not Limited",
        "spec={\"Type\":\"Exempt\",\"Limited\":{\"NominalConcurrencyShares\":1,\"LimitResponse\":{\"Type\":\"\",\"Queuing\":null},\"LendablePercent\":null,\"BorrowingLimitPercent\":null},\"Exempt\":{\"NominalConcurrencyShares\":0,\"LendablePercent\":0}} : spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"),
    (LEVEL, put(LIMITED, {"metadata.name": "catch-all"}),
        "spec={\"Type\":\"Limited\",\"Limited\":{\"NominalConcurrencyShares\":5,\"LimitResponse\":{\"Type\":\"Queue\",\"Queuing\":{\"Queues\":64,\"HandSize\":6,\"QueueLengthLimit\":50}},\"LendablePercent\":null,\"BorrowingLimitPercent\":null},\"Exempt\":null} : spec of 'catch-all' must equal the fixed value"),
    (LEVEL, limited(nominalConcurrencyShares=-1, lendablePercent=-1, borrowingLimitPercent=-1), "~.nominalConcurrencyShares : must be a non-negative integer", "~.lendablePercent 0..100",
        "~.borrowingLimitPercent : if specified, must be a non-negative integer"),
    (LEVEL, limited(limitResponse={}), '~.limitResponse.type="" Queue|Reject'),
    (LEVEL, limited(limitResponse={"type": "Reject", "queuing": QUEUING}), "~.limitResponse.queuing- : must be nil if limited.limitResponse.type is not Limited"),
    (LEVEL, limited(limitResponse={"type": "Queue"}), "~.limitResponse.queuing! : must not be empty if limited.limitResponse.type is Limited"),
    (LEVEL, queuing(queueLengthLimit=0, queues=0, handSize=0), "~.limitResponse.queuing.queueLengthLimit,queues,handSize : must be positive"),
    (LEVEL, queuing(queues=10_000_001, handSize=2), "~.limitResponse.queuing.queues : must not be greater than 10000000"),
    (LEVEL, queuing(handSize=65), "~.limitResponse.queuing.handSize : should not be greater than queues (64)"),
    (LEVEL, queuing(queues=512, handSize=7), "~.limitResponse.queuing.handSize : required entropy bits of deckSize 512 and handSize 7 should not be greater than 60"),
    (rules.validate_priority_level_update, (limited(limitResponse=GONE), LIMITED), 'spec.limited.limitResponse.type="" Queue|Reject'),
    (SCHEMA, schema(matchingPrecedence=0), "spec.matchingPrecedence : must be a positive value"),
    (SCHEMA, schema(distinguisherMethod={"type": "X"}), 'spec.distinguisherMethod.type={"Type":"X"} ByNamespace|ByUser'),
    (LEVEL, {"metadata": {"name": "catch-all"}, "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 99, "limitResponse": {"type": "Reject"}}}},
        "spec={\"Type\":\"Limited\",\"Limited\":{\"NominalConcurrencyShares\":99,\"LimitResponse\":{\"Type\":\"Reject\",\"Queuing\":null},\"LendablePercent\":null,\"BorrowingLimitPercent\":null},\"Exempt\":null} : spec of 'catch-all' must equal the fixed value"),
    (LEVEL, queuing(queues=4, handSize=8, queueLengthLimit=5), "~.limitResponse.queuing.handSize : should not be greater than queues (4)"),
    (LEVEL, queuing(queues=1024, handSize=10, queueLengthLimit=5), "~.limitResponse.queuing.handSize : required entropy bits of deckSize 1024 and handSize 10 should not be greater than 60"),
])  # fmt: skip

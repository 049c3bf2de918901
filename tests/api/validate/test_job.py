"""Every cause that jobs can have (pkg/apis/batch/validation)."""

import json

from pods import CONTAINER, POD
from rules import GONE, at, below, each, new, put, table, valid, within

from pilothouse.api.validate import job as rules
from pilothouse.api.validate.job_update import validate_job_update
from pilothouse.api.values.fields import Object

LABELS = {"controller-uid": "u", "job-name": "j", "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "j"}
LONG, SHOWN = "j" * 62, json.dumps(dict(sorted(LABELS.items())), separators=(",", ":"))
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {**POD["spec"], "restartPolicy": "Never"}}
JOB: Object = {"metadata": {"name": "j", "uid": "u"}, "spec": {"selector": {"matchLabels": {"controller-uid": "u"}}, "template": TEMPLATE}}
NEW, UPDATE = within("spec.podFailurePolicy.rules", new(rules.validate_job)), validate_job_update
of = at(JOB, "spec")
indexed = at(of(completionMode="Indexed", completions=2, parallelism=1), "spec")
succeeding = each(indexed(), "spec.successPolicy.rules")


def failing(*failure_rules: Object, **spec: object) -> Object:
    return of(podFailurePolicy={"rules": list(failure_rules)}, **spec)


exits = at(failing({"action": "FailJob"}), "spec.podFailurePolicy.rules.0.onExitCodes", {"operator": "In", "values": [1]})
CONDITION = {"type": "DisruptionTarget", "status": "True"}
IGNORED = {"action": "Ignore", "onPodConditions": [CONDITION]}
SUSPENDED = of(suspend=True)

test_causes = table([
    (UPDATE, (put(SUSPENDED, {"spec.template.spec.containers": [{**CONTAINER, "image": "j"}]}), SUSPENDED), "spec.template.spec: …: field is immutable"),
    (UPDATE, (put(JOB, {"spec.template.spec.nodeSelector": {"a": "b"}}), JOB), "spec.template: …: field is immutable"),
    *valid(NEW, JOB, indexed(), exits(containerName="c")),
    (NEW, {"metadata": {"name": "j"}, "spec": {"selector": {}}}, "metadata.uid!", "spec.template.metadata.labels[controller-uid]! : must be ''",
        "spec.template.metadata.labels[job-name]! : must be 'j'", "spec.template.metadata.labels[batch.kubernetes.io/controller-uid]! : must be ''",
        "spec.template.metadata.labels[batch.kubernetes.io/job-name]! : must be 'j'", "spec.template.spec.terminationGracePeriodSeconds,containers,restartPolicy,dnsPolicy!",
        'spec.template.spec.restartPolicy! : valid values: "OnFailure", "Never"'),
    (NEW, put(JOB, {"spec.template.metadata.labels": {"job-name": "k"}}), *below("spec.template.metadata", ".labels[controller-uid]! : must be 'u'",
        ".labels[job-name]={\"job-name\":\"k\"} : must be 'j'", ".labels[batch.kubernetes.io/controller-uid]! : must be 'u'", ".labels[batch.kubernetes.io/job-name]! : must be 'j'",
        ".labels : <other labels>")),
    (NEW, of(selector=GONE), "spec.selector!",
        'spec.template.metadata.labels={"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"} : <other labels>'),
    (NEW, of(selector={"matchLabels": {"a": "b"}}), "spec.selector : `selector` not auto-generated",
        'spec.template.metadata.labels={"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"} : <other labels>'),
    (NEW, of(manualSelector=True, selector={"matchLabels": {"a": "b"}}),
        'spec.template.metadata.labels={"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"} : <other labels>'),
    (NEW, of(parallelism=-1, backoffLimit=-1, completions=-1), "spec.parallelism,completions,backoffLimit : <not negative>"),
    (NEW, of(maxFailedIndexes=1), "spec.backoffLimitPerIndex! : when maxFailedIndexes is specified", "spec.maxFailedIndexes : requires indexed completion mode"),
    (NEW, of(managedBy="odd"), 'spec.managedBy : must be a domain-prefixed path (such as "acme.io/foo")'),
    (NEW, of(managedBy="example.com/" + "m" * 63), "spec.managedBy max:63"),
    (NEW, of(completionMode="Odd"), "spec.completionMode NonIndexed|Indexed"),
    (NEW, of(completionMode="NonIndexed", backoffLimitPerIndex=1), "spec.backoffLimitPerIndex : requires indexed completion mode"),
    (NEW, of(completionMode="Indexed", parallelism=100_001), "spec.completions! : when completion mode is Indexed",
        "spec.parallelism : must be less than or equal to 100000 when completion mode is Indexed"),
    (NEW, indexed(backoffLimitPerIndex=1, maxFailedIndexes=3), "spec.maxFailedIndexes : must be less than or equal to completions"),
    (NEW, indexed(completions=100_001, backoffLimitPerIndex=1, parallelism=10_001), "spec.maxFailedIndexes! : must be specified when completions is above 100000",
        "spec.parallelism : must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index"),
    (NEW, indexed(completions=100_002, backoffLimitPerIndex=1, maxFailedIndexes=100_001), "spec.maxFailedIndexes : must be less than or equal to 100000",
        "spec.maxFailedIndexes : must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index"),
    (NEW, put(indexed(completions=1000), {"metadata.name": LONG}), *below("", *(f"spec.template.metadata.labels[{name}]={SHOWN} : must be '{LONG}'" for name in ("job-name", "batch.kubernetes.io/job-name")),
        f"metadata.name : will not able to create pod with invalid DNS label: {LONG}-999")),
    (NEW, of(podReplacementPolicy="Odd"), "spec.podReplacementPolicy Failed|TerminatingOrFailed"),
    (NEW, failing(IGNORED, podReplacementPolicy="TerminatingOrFailed"), "spec.podReplacementPolicy |Failed"),
    (NEW, put(JOB, {"spec.template.spec.restartPolicy": "Always"}), 'spec.template.spec.restartPolicy! : valid values: "OnFailure", "Never"'),
    (NEW, put(JOB, {"spec.template.spec.restartPolicy": "Odd"}), "spec.template.spec.restartPolicy Always|OnFailure|Never", "spec.template.spec.restartPolicy OnFailure|Never"),
    (NEW, put(failing(IGNORED), {"spec.template.spec.restartPolicy": "OnFailure"}), 'spec.template.spec.restartPolicy : only "Never" is supported when podFailurePolicy is specified'),
    (NEW, failing(*[IGNORED] * 21), "~ most:20"),
    (NEW, failing({}, {"action": "Odd", "onPodConditions": [CONDITION]}), '~[0].action! : valid values: ["Count" "FailIndex" "FailJob" "Ignore"]',
        "~[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required", "~[1].action Count|FailIndex|FailJob|Ignore"),
    (NEW, failing({"action": "FailIndex", "onPodConditions": [CONDITION], "onExitCodes": {"operator": "In", "values": [1]}}), "~[0].action : requires the backoffLimitPerIndex to be set",
        "~[0]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"),
    (NEW, failing({"action": "Count", "onPodConditions": [{"type": "a b"}, {"type": "A", "status": "Odd"}]}), *below("~[0].onPodConditions", "[0].type : <name part>",
        '[0].status! : valid values: ["False" "True" "Unknown"]', "[1].status False|True|Unknown")),
    (NEW, failing({"action": "Count", "onPodConditions": [CONDITION] * 21}), "~[0].onPodConditions most:20"),
    (NEW, exits(containerName="x", operator="", values=[]), *below("~[0].onExitCodes", '.operator! : valid values: ["In" "NotIn"]',
        ".containerName : must be one of the container or initContainer names in the pod template", ".values : at least one value is required")),
    (NEW, exits(operator="Odd", values=[2, 1, 1]), *below("~[0].onExitCodes", ".operator In|NotIn", ".values[2] unique", ".values : must be ordered")),
    (NEW, exits(values=[0, 1]), "~[0].onExitCodes.values[0] : must not be 0 for the In operator"),
    (NEW, exits(values=list(range(1, 257))), "~[0].onExitCodes.values most:255"),
    (NEW, of(successPolicy={"rules": [{"succeededCount": 1}]}), 'spec.successPolicy={"Rules":[{"SucceededIndexes":null,"SucceededCount":1}]} : requires indexed completion mode'),
    (NEW, succeeding(), "spec.successPolicy.rules! : at least one rules must be specified when the successPolicy is specified"),
    (NEW, succeeding(*[{"succeededCount": 1}] * 21), "spec.successPolicy.rules most:20"),
    (NEW, succeeding({}, {"succeededIndexes": "0-1", "succeededCount": 2}), "spec.successPolicy.rules[0]! : at least one of succeededCount or succeededIndexes must be specified"),
    (NEW, succeeding({"succeededIndexes": "1-0"}, {"succeededCount": -1}, {"succeededCount": 3}),
        *below("spec.successPolicy.rules", "[0].succeededIndexes : error parsing succeededIndexes: non-increasing order, previous: 1, current: 0", "[1].succeededCount : <not negative>",
        "[2].succeededCount : must be less than or equal to 2 (the number of specified completions)")),
    (NEW, succeeding({"succeededIndexes": "0", "succeededCount": 2}),
        "spec.successPolicy.rules[0].succeededCount : must be less than or equal to 1 (the number of indexes in the specified succeededIndexes field)"),
    (NEW, succeeding({"succeededIndexes": "x"}), 'spec.successPolicy.rules[0].succeededIndexes : error parsing succeededIndexes: cannot convert string to integer for index: "x"'),
    *valid(UPDATE, (JOB, JOB), (indexed(completions=3, parallelism=3), indexed())),
    (UPDATE, (put(SUSPENDED, {"spec.template.spec.nodeSelector": {"a": "b"}, "spec.template.metadata.annotations": {"a": "b"}}), SUSPENDED)),
    *valid(UPDATE, (put(SUSPENDED, {"spec.template.spec.affinity": {"nodeAffinity": {}}}), SUSPENDED), (SUSPENDED, put(SUSPENDED, {"spec.template.spec.affinity": {"nodeAffinity": {}}}))),
    (UPDATE, (put(SUSPENDED, {"spec.template.spec.containers.0.resources": {"requests": {"cpu": "2"}}}), SUSPENDED)),
    (UPDATE, (put(JOB, {"spec.template.metadata.labels": {**LABELS, "a": "b"}}), put(JOB, {"spec.template.metadata.labels": {**LABELS, "a": "b"}}))),
    (UPDATE, (of(completions=2), JOB), "spec.completions fixed"),
    (UPDATE, (indexed(completions=3), indexed()), "spec.completions : can only be modified in tandem with spec.parallelism"),
    (UPDATE, (failing(IGNORED), JOB), 'spec.podFailurePolicy={"Rules":[{"Action":"Ignore","OnExitCodes":null,"OnPodConditions":[{"Type":"DisruptionTarget","Status":"True"}]}]} fixed'),
    (UPDATE, (indexed(successPolicy={"rules": [{"succeededCount": 1}]}), indexed()), 'spec.successPolicy={"Rules":[{"SucceededIndexes":null,"SucceededCount":1}]} fixed'),
])  # fmt: skip

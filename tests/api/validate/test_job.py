"""Every cause that jobs can have (pkg/apis/batch/validation)."""

from pods import CONTAINER, POD
from rules import GONE, at, below, causes, each, new, put, table, within

from pilothouse.api.validate import job as rules
from pilothouse.api.validate.job_update import validate_job_update
from pilothouse.api.values.fields import Object

LABELS = {"controller-uid": "u", "job-name": "j", "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "j"}
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
    (NEW, JOB, []),
    (NEW, {"metadata": {"name": "j"}, "spec": {"selector": {}}}, ["metadata.uid: Required value", "spec.template.metadata.labels[controller-uid]: Required value: must be ''",
        "spec.template.metadata.labels[job-name]: Required value: must be 'j'", "spec.template.metadata.labels[batch.kubernetes.io/controller-uid]: Required value: must be ''",
        "spec.template.metadata.labels[batch.kubernetes.io/job-name]: Required value: must be 'j'", "spec.template.spec.terminationGracePeriodSeconds: Required value",
        "spec.template.spec.containers: Required value", "spec.template.spec.restartPolicy: Required value", "spec.template.spec.dnsPolicy: Required value",
        'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']),
    (NEW, put(JOB, {"spec.template.metadata.labels": {"job-name": "k"}}), ["spec.template.metadata.labels[controller-uid]: Required value: must be 'u'",
        'spec.template.metadata.labels[job-name]: Invalid value: {"job-name":"k"}: must be \'j\'', "spec.template.metadata.labels[batch.kubernetes.io/controller-uid]: Required value: must be 'u'",
        "spec.template.metadata.labels[batch.kubernetes.io/job-name]: Required value: must be 'j'", 'spec.template.metadata.labels: Invalid value: {"job-name":"k"}: <other labels>']),
    (NEW, of(selector=GONE), ["spec.selector: Required value",
        'spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"}: <other labels>']),
    (NEW, of(selector={"matchLabels": {"a": "b"}}), ['spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` not auto-generated',
        'spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"}: <other labels>']),
    (NEW, of(manualSelector=True, selector={"matchLabels": {"a": "b"}}),
        ['spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"}: <other labels>']),
    (NEW, of(parallelism=-1, backoffLimit=-1, completions=-1), ["spec.parallelism: Invalid value: -1: <not negative>", "spec.completions: Invalid value: -1: <not negative>",
        "spec.backoffLimit: Invalid value: -1: <not negative>"]),
    (NEW, of(maxFailedIndexes=1), ["spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified", "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode"]),
    (NEW, of(managedBy="odd"), ['spec.managedBy: Invalid value: "odd": must be a domain-prefixed path (such as "acme.io/foo")']),
    (NEW, of(managedBy="example.com/" + "m" * 63), ["spec.managedBy: Too long: may not be more than 63 bytes"]),
    (NEW, of(completionMode="Odd"), ['spec.completionMode: Unsupported value: "Odd": supported values: "NonIndexed", "Indexed"']),
    (NEW, of(completionMode="NonIndexed", backoffLimitPerIndex=1), ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"]),
    (NEW, indexed(), []),
    (NEW, of(completionMode="Indexed", parallelism=100_001), ["spec.completions: Required value: when completion mode is Indexed",
        "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed"]),
    (NEW, indexed(backoffLimitPerIndex=1, maxFailedIndexes=3), ["spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions"]),
    (NEW, indexed(completions=100_001, backoffLimitPerIndex=1, parallelism=10_001), ["spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
        "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index"]),
    (NEW, indexed(completions=100_002, backoffLimitPerIndex=1, maxFailedIndexes=100_001), ["spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 100000",
        "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index"]),
    (NEW, put(indexed(completions=1000), {"metadata.name": "j" * 62}),
        ['spec.template.metadata.labels[job-name]: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"}: must be \'jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj\'',
        'spec.template.metadata.labels[batch.kubernetes.io/job-name]: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"}: must be \'jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj\'',
        'metadata.name: Invalid value: "jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj": will not able to create pod with invalid DNS label: jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj-999']),
    (NEW, of(podReplacementPolicy="Odd"), ['spec.podReplacementPolicy: Unsupported value: "Odd": supported values: "Failed", "TerminatingOrFailed"']),
    (NEW, failing(IGNORED, podReplacementPolicy="TerminatingOrFailed"), ['spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"']),
    (NEW, put(JOB, {"spec.template.spec.restartPolicy": "Always"}), ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']),
    (NEW, put(JOB, {"spec.template.spec.restartPolicy": "Odd"}), ['spec.template.spec.restartPolicy: Unsupported value: "Odd": supported values: "Always", "OnFailure", "Never"',
        'spec.template.spec.restartPolicy: Unsupported value: "Odd": supported values: "OnFailure", "Never"']),
    (NEW, put(failing(IGNORED), {"spec.template.spec.restartPolicy": "OnFailure"}),
        ['spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified']),
    (NEW, failing(*[IGNORED] * 21), ["~: Too many: 21: must have at most 20 items"]),
    (NEW, failing({}, {"action": "Odd", "onPodConditions": [CONDITION]}), ['~[0].action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]',
        "~[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required", '~[1].action: Unsupported value: "Odd": supported values: "Count", "FailIndex", "FailJob", "Ignore"']),
    (NEW, failing({"action": "FailIndex", "onPodConditions": [CONDITION], "onExitCodes": {"operator": "In", "values": [1]}}),
        ['~[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set', "~[0]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"]),
    (NEW, failing({"action": "Count", "onPodConditions": [{"type": "a b"}, {"type": "A", "status": "Odd"}]}), below("~[0].onPodConditions", '[0].type: Invalid value: "a b": <name part>',
        '[0].status: Required value: valid values: ["False" "True" "Unknown"]', '[1].status: Unsupported value: "Odd": supported values: "False", "True", "Unknown"')),
    (NEW, failing({"action": "Count", "onPodConditions": [CONDITION] * 21}), ["~[0].onPodConditions: Too many: 21: must have at most 20 items"]),
    (NEW, exits(containerName="c"), []),
    (NEW, exits(containerName="x", operator="", values=[]), below("~[0].onExitCodes", '.operator: Required value: valid values: ["In" "NotIn"]',
        '.containerName: Invalid value: "x": must be one of the container or initContainer names in the pod template', ".values: Invalid value: []: at least one value is required")),
    (NEW, exits(operator="Odd", values=[2, 1, 1]), ['~[0].onExitCodes.operator: Unsupported value: "Odd": supported values: "In", "NotIn"', "~[0].onExitCodes.values[2]: Duplicate value: 1",
        "~[0].onExitCodes.values: Invalid value: [2,1,1]: must be ordered"]),
    (NEW, exits(values=[0, 1]), ["~[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"]),
    (NEW, exits(values=list(range(1, 257))), ["~[0].onExitCodes.values: Too many: 256: must have at most 255 items"]),
    (NEW, of(successPolicy={"rules": [{"succeededCount": 1}]}), ['spec.successPolicy: Invalid value: {"Rules":[{"SucceededIndexes":null,"SucceededCount":1}]}: requires indexed completion mode']),
    (NEW, succeeding(), ["spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified"]),
    (NEW, succeeding(*[{"succeededCount": 1}] * 21), ["spec.successPolicy.rules: Too many: 21: must have at most 20 items"]),
    (NEW, succeeding({}, {"succeededIndexes": "0-1", "succeededCount": 2}), ["spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified"]),
    (NEW, succeeding({"succeededIndexes": "1-0"}, {"succeededCount": -1}, {"succeededCount": 3}), below("spec.successPolicy.rules",
        '[0].succeededIndexes: Invalid value: "1-0": error parsing succeededIndexes: non-increasing order, previous: 1, current: 0', "[1].succeededCount: Invalid value: -1: <not negative>",
        "[2].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of specified completions)")),
    (NEW, succeeding({"succeededIndexes": "0", "succeededCount": 2}),
        ["spec.successPolicy.rules[0].succeededCount: Invalid value: 2: must be less than or equal to 1 (the number of indexes in the specified succeededIndexes field)"]),
    (NEW, succeeding({"succeededIndexes": "x"}), ['spec.successPolicy.rules[0].succeededIndexes: Invalid value: "x": error parsing succeededIndexes: cannot convert string to integer for index: "x"']),
    (UPDATE, (JOB, JOB), []),
    (UPDATE, (of(completions=2), JOB), ["spec.completions: Invalid value: 2: field is immutable"]),
    (UPDATE, (indexed(completions=3, parallelism=3), indexed()), []),
    (UPDATE, (indexed(completions=3), indexed()), ["spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism"]),
    (UPDATE, (failing(IGNORED), JOB),
        ['spec.podFailurePolicy: Invalid value: {"Rules":[{"Action":"Ignore","OnExitCodes":null,"OnPodConditions":[{"Type":"DisruptionTarget","Status":"True"}]}]}: field is immutable']),
    (UPDATE, (indexed(successPolicy={"rules": [{"succeededCount": 1}]}), indexed()),
        ['spec.successPolicy: Invalid value: {"Rules":[{"SucceededIndexes":null,"SucceededCount":1}]}: field is immutable']),
    (UPDATE, (exits(containerName="c"), JOB),
        ['spec.podFailurePolicy: Invalid value: {"Rules":[{"Action":"FailJob","OnExitCodes":{"ContainerName":"c","Operator":"In","Values":[1]},"OnPodConditions":null}]}: field is immutable']),
    (UPDATE, (put(SUSPENDED, {"spec.template.spec.nodeSelector": {"a": "b"}, "spec.template.metadata.annotations": {"a": "b"}}), SUSPENDED), []),
    (UPDATE, (put(SUSPENDED, {"spec.template.spec.affinity": {"nodeAffinity": {}}}), SUSPENDED), []),
    (UPDATE, (SUSPENDED, put(SUSPENDED, {"spec.template.spec.affinity": {"nodeAffinity": {}}})), []),
    (UPDATE, (put(SUSPENDED, {"spec.template.spec.containers.0.resources": {"requests": {"cpu": "2"}}}), SUSPENDED), []),
    (UPDATE, (put(JOB, {"spec.template.metadata.labels": {**LABELS, "a": "b"}}), put(JOB, {"spec.template.metadata.labels": {**LABELS, "a": "b"}})), []),
])  # fmt: skip


def test_the_rest_of_a_suspended_template_is_fixed() -> None:
    changed = put(SUSPENDED, {"spec.template.spec.containers": [{**CONTAINER, "image": "j"}]})
    [cause] = causes(UPDATE, (changed, SUSPENDED))
    assert cause.startswith("spec.template.spec: Invalid value: ") and cause.endswith(": field is immutable")


def test_the_template_of_a_running_job_is_fixed() -> None:
    [cause] = causes(UPDATE, (put(JOB, {"spec.template.spec.nodeSelector": {"a": "b"}}), JOB))
    assert cause.startswith("spec.template: Invalid value: ") and cause.endswith(": field is immutable")

"""Every cause that jobs and cron jobs can have (pkg/apis/batch/validation)."""

from pods import CONTAINER, POD
from rules import GONE, at, causes, put, table

from pilothouse.api.validate import batch as rules
from pilothouse.api.values.fields import Errors, Object

LABELS = {"controller-uid": "u", "job-name": "j", "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "j"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {**POD["spec"], "restartPolicy": "Never"}}
JOB: Object = {"metadata": {"name": "j", "uid": "u"}, "spec": {"selector": {"matchLabels": {"controller-uid": "u"}}, "template": TEMPLATE}}
CRON: Object = {"metadata": {"name": "c"}, "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Allow", "jobTemplate": {"spec": {"template": {"spec": TEMPLATE["spec"]}}}}}
UPDATE = rules.validate_job_update


def new(obj: Object, errs: Errors) -> None:
    rules.validate_job(obj, None, errs)


of = at(JOB, "spec")


def indexed(**spec: object) -> Object:
    return of(**{"completionMode": "Indexed", "completions": 2, "parallelism": 1, **spec})


def failing(*failure_rules: Object, **spec: object) -> Object:
    return of(podFailurePolicy={"rules": list(failure_rules)}, **spec)


def exits(**codes: object) -> Object:
    return failing({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1], **codes}})


def succeeding(*success_rules: Object) -> Object:
    return indexed(successPolicy={"rules": list(success_rules)})


cron = at(CRON, "spec")


CONDITION = {"type": "DisruptionTarget", "status": "True"}
IGNORED = {"action": "Ignore", "onPodConditions": [CONDITION]}
SUSPENDED = of(suspend=True)

test_causes = table([
    (new, JOB, []),
    (new, {"metadata": {"name": "j"}, "spec": {"selector": {}}}, [
        "metadata.uid: Required value",
        "spec.template.metadata.labels[controller-uid]: Required value: must be ''",
        "spec.template.metadata.labels[job-name]: Required value: must be 'j'",
        "spec.template.metadata.labels[batch.kubernetes.io/controller-uid]: Required value: must be ''",
        "spec.template.metadata.labels[batch.kubernetes.io/job-name]: Required value: must be 'j'",
        "spec.template.spec.terminationGracePeriodSeconds: Required value",
        "spec.template.spec.containers: Required value",
        "spec.template.spec.restartPolicy: Required value",
        "spec.template.spec.dnsPolicy: Required value",
        'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']),
    (new, put(JOB, {"spec.template.metadata.labels": {"job-name": "k"}}), [
        "spec.template.metadata.labels[controller-uid]: Required value: must be 'u'",
        'spec.template.metadata.labels[job-name]: Invalid value: {"job-name":"k"}: must be \'j\'',
        "spec.template.metadata.labels[batch.kubernetes.io/controller-uid]: Required value: must be 'u'",
        "spec.template.metadata.labels[batch.kubernetes.io/job-name]: Required value: must be 'j'",
        'spec.template.metadata.labels: Invalid value: {"job-name":"k"}: `selector` does not match template `labels`']),
    (new, of(selector=GONE), [
        "spec.selector: Required value",
        'spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"}: `selector` does not match template `labels`']),
    (new, of(selector={"matchLabels": {"a": "b"}}), [
        'spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` not auto-generated',
        'spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"}: `selector` does not match template `labels`']),
    (new, of(manualSelector=True, selector={"matchLabels": {"a": "b"}}),
        ['spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"}: `selector` does not match template `labels`']),
    (new, of(parallelism=-1, backoffLimit=-1, completions=-1), [
        "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
        "spec.completions: Invalid value: -1: must be greater than or equal to 0",
        "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"]),
    (new, of(maxFailedIndexes=1), ["spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified", "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode"]),
    (new, of(managedBy="odd"), ['spec.managedBy: Invalid value: "odd": must be a domain-prefixed path (such as "acme.io/foo")']),
    (new, of(managedBy="example.com/" + "m" * 63), ["spec.managedBy: Too long: may not be more than 63 bytes"]),
    (new, of(completionMode="Odd"), ['spec.completionMode: Unsupported value: "Odd": supported values: "NonIndexed", "Indexed"']),
    (new, of(completionMode="NonIndexed", backoffLimitPerIndex=1), ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"]),
    (new, indexed(), []),
    (new, of(completionMode="Indexed", parallelism=100_001), [
        "spec.completions: Required value: when completion mode is Indexed",
        "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed"]),
    (new, indexed(backoffLimitPerIndex=1, maxFailedIndexes=3), ["spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions"]),
    (new, indexed(completions=100_001, backoffLimitPerIndex=1, parallelism=10_001), [
        "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
        "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index"]),
    (new, indexed(completions=100_002, backoffLimitPerIndex=1, maxFailedIndexes=100_001), [
        "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 100000",
        "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index"]),
    (new, put(indexed(completions=1000), {"metadata.name": "j" * 62}), [
        'spec.template.metadata.labels[job-name]: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"}: must be \'jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj\'',
        'spec.template.metadata.labels[batch.kubernetes.io/job-name]: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"}: must be \'jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj\'',
        'metadata.name: Invalid value: "jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj": will not able to create pod with invalid DNS label: jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj-999']),
    (new, of(podReplacementPolicy="Odd"), ['spec.podReplacementPolicy: Unsupported value: "Odd": supported values: "Failed", "TerminatingOrFailed"']),
    (new, failing(IGNORED, podReplacementPolicy="TerminatingOrFailed"), ['spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"']),
    (new, put(JOB, {"spec.template.spec.restartPolicy": "Always"}), ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']),
    (new, put(JOB, {"spec.template.spec.restartPolicy": "Odd"}), [
        'spec.template.spec.restartPolicy: Unsupported value: "Odd": supported values: "Always", "OnFailure", "Never"',
        'spec.template.spec.restartPolicy: Unsupported value: "Odd": supported values: "OnFailure", "Never"']),
    (new, put(failing(IGNORED), {"spec.template.spec.restartPolicy": "OnFailure"}),
        ['spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified']),
    (new, failing(*[IGNORED] * 21), ["spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items"]),
    (new, failing({}, {"action": "Odd", "onPodConditions": [CONDITION]}), [
        'spec.podFailurePolicy.rules[0].action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]',
        "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
        'spec.podFailurePolicy.rules[1].action: Unsupported value: "Odd": supported values: "Count", "FailIndex", "FailJob", "Ignore"']),
    (new, failing({"action": "FailIndex", "onPodConditions": [CONDITION], "onExitCodes": {"operator": "In", "values": [1]}}), [
        'spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
        "spec.podFailurePolicy.rules[0]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"]),
    (new, failing({"action": "Count", "onPodConditions": [{"type": "a b"}, {"type": "A", "status": "Odd"}]}), [
        'spec.podFailurePolicy.rules[0].onPodConditions[0].type: Invalid value: "a b": <name part>',
        'spec.podFailurePolicy.rules[0].onPodConditions[0].status: Required value: valid values: ["False" "True" "Unknown"]',
        'spec.podFailurePolicy.rules[0].onPodConditions[1].status: Unsupported value: "Odd": supported values: "False", "True", "Unknown"']),
    (new, failing({"action": "Count", "onPodConditions": [CONDITION] * 21}), ["spec.podFailurePolicy.rules[0].onPodConditions: Too many: 21: must have at most 20 items"]),
    (new, exits(containerName="c"), []),
    (new, exits(containerName="x", operator="", values=[]), [
        'spec.podFailurePolicy.rules[0].onExitCodes.operator: Required value: valid values: ["In" "NotIn"]',
        'spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: "x": must be one of the container or initContainer names in the pod template',
        "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: []: at least one value is required"]),
    (new, exits(operator="Odd", values=[2, 1, 1]), [
        'spec.podFailurePolicy.rules[0].onExitCodes.operator: Unsupported value: "Odd": supported values: "In", "NotIn"',
        "spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 1",
        "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,1,1]: must be ordered"]),
    (new, exits(values=[0, 1]), ["spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"]),
    (new, exits(values=list(range(1, 257))), ["spec.podFailurePolicy.rules[0].onExitCodes.values: Too many: 256: must have at most 255 items"]),
    (new, of(successPolicy={"rules": [{"succeededCount": 1}]}), ['spec.successPolicy: Invalid value: {"Rules":[{"SucceededIndexes":null,"SucceededCount":1}]}: requires indexed completion mode']),
    (new, succeeding(), ["spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified"]),
    (new, succeeding(*[{"succeededCount": 1}] * 21), ["spec.successPolicy.rules: Too many: 21: must have at most 20 items"]),
    (new, succeeding({}, {"succeededIndexes": "0-1", "succeededCount": 2}), ["spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified"]),
    (new, succeeding({"succeededIndexes": "1-0"}, {"succeededCount": -1}, {"succeededCount": 3}), [
        'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "1-0": error parsing succeededIndexes: non-increasing order, previous: 1, current: 0',
        "spec.successPolicy.rules[1].succeededCount: Invalid value: -1: must be greater than or equal to 0",
        "spec.successPolicy.rules[2].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of specified completions)"]),
    (new, succeeding({"succeededIndexes": "0", "succeededCount": 2}),
        ["spec.successPolicy.rules[0].succeededCount: Invalid value: 2: must be less than or equal to 1 (the number of indexes in the specified succeededIndexes field)"]),
    (new, succeeding({"succeededIndexes": "x"}), ['spec.successPolicy.rules[0].succeededIndexes: Invalid value: "x": error parsing succeededIndexes: cannot convert string to integer for index: "x"']),
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
    (rules.validate_cron_job, CRON, []),
    (rules.validate_cron_job, {"metadata": {"name": "c" * 53}, "spec": {"jobTemplate": {"spec": {"template": {"spec": TEMPLATE["spec"]}}}}}, [
        "spec.schedule: Required value",
        "spec.concurrencyPolicy: Required value",
        'metadata.name: Invalid value: "ccccccccccccccccccccccccccccccccccccccccccccccccccccc": must be no more than 52 characters']),
    (rules.validate_cron_job, cron(schedule="odd", concurrencyPolicy="Odd"), [
        'spec.schedule: Invalid value: "odd": expected exactly 5 fields, found 1: [odd]',
        'spec.concurrencyPolicy: Unsupported value: "Odd": supported values: "Allow", "Forbid", "Replace"']),
    (rules.validate_cron_job, cron(schedule="TZ=UTC * * * * *"), ['spec.schedule: Invalid value: "TZ=UTC * * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead']),
    (rules.validate_cron_job_update, (cron(schedule="TZ=UTC * * * * *", timeZone="Etc/UTC"), cron(schedule="TZ=UTC * * * * *")),
        ['spec.schedule: Invalid value: "TZ=UTC * * * * *": cannot use both timeZone field and TZ or CRON_TZ in schedule']),
    (rules.validate_cron_job, cron(timeZone=""), ['spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string']),
    (rules.validate_cron_job, cron(timeZone="../x"), ['spec.timeZone: Invalid value: "../x": unknown time zone ../x']),
    (rules.validate_cron_job, cron(timeZone="Local"), ['spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones']),
    (rules.validate_cron_job, cron(timeZone="Mars/Base"), ['spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base']),
    (rules.validate_cron_job, cron(startingDeadlineSeconds=-1, successfulJobsHistoryLimit=-1, failedJobsHistoryLimit=-1), [
        "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
        "spec.successfulJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
        "spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0"]),
    (rules.validate_cron_job, put(CRON, {"spec.jobTemplate.spec.selector": {}, "spec.jobTemplate.spec.manualSelector": True}), [
        "spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated",
        'spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"']),
])  # fmt: skip


def test_the_rest_of_a_suspended_template_is_fixed() -> None:
    changed = put(SUSPENDED, {"spec.template.spec.containers": [{**CONTAINER, "image": "j"}]})
    [cause] = causes(UPDATE, (changed, SUSPENDED))
    assert cause.startswith("spec.template.spec: Invalid value: ") and cause.endswith(": field is immutable")


def test_the_template_of_a_running_job_is_fixed() -> None:
    [cause] = causes(UPDATE, (put(JOB, {"spec.template.spec.nodeSelector": {"a": "b"}}), JOB))
    assert cause.startswith("spec.template: Invalid value: ") and cause.endswith(": field is immutable")

"""Validates jobs (apis/batch/validation); job_update.py validates their changes, job_status.py their status."""

from itertools import pairwise

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.job_indexes import parse_indexes
from pilothouse.api.validate.pod.options import PodOptions
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.spec import validate_pod_template_spec
from pilothouse.api.validate.shown import label_selector, sorted_map
from pilothouse.api.validate.tables.rules import Rules, Table
from pilothouse.api.validate.workloads import check_template_labels, compile_selector, template_options
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object, key

JOB_NAME, CONTROLLER_UID = "batch.kubernetes.io/job-name", "batch.kubernetes.io/controller-uid"
OLD_JOB_NAME, OLD_CONTROLLER_UID = "job-name", "controller-uid"
MANY = 100_000
"""Most pods at once and most failed indexes of an indexed job; with more completions, only FEWER of both."""
FEWER = 10_000
_FEWER = (
    f"must be less than or equal to {FEWER} when completions are above {MANY} and used with backoff limit per"
    " index"
)
MAX_RULES = 20
MAX_EXIT_CODES = 255
MAX_SUCCEEDED_INDEXES = 64 * 1024
rules = Rules(
    __name__,
    validate_pod_template_spec,
    success_policy=lambda spec, path, errs: _success_policy(spec, path, errs, spec.get("completions") or 0),
)


@rules
def _failure_policy(spec: Object, path: str, errs: Errors) -> None:
    pod = (spec.get("template") or {}).get("spec") or {}
    containers = {c.get("name", "") for k in ("containers", "initContainers") for c in pod.get(k) or ()}
    _failure_policy_rules(spec, path, errs, containers)


@rules
def _known_container(name: str, path: str, errs: Errors, containers: set[str]) -> None:
    if name not in containers:
        why = "must be one of the container or initContainer names in the pod template"
        errs.invalid(path, name, why)


@rules
def _exit_codes(codes: Object, path: str, errs: Errors) -> None:
    values, path = codes.get("values") or [], f"{path}.values"
    if not values:
        errs.invalid(path, codes.get("values"), "at least one value is required")
    elif len(values) > MAX_EXIT_CODES:
        errs.too_many(path, len(values), MAX_EXIT_CODES)
    seen: set[int] = set()
    for i, value in enumerate(values):
        if codes.get("operator") == "In" and value == 0:
            errs.invalid(f"{path}[{i}]", value, "must not be 0 for the In operator")
        if value in seen:
            errs.duplicate(f"{path}[{i}]", value)
        seen.add(value)
    if any(a > b for a, b in pairwise(values)):
        errs.invalid(path, values, "must be ordered")


@rules
def _success_rule(rule: Object, path: str, errs: Errors, completions: int) -> None:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    total = 0
    if indexes is not None:
        if len(indexes.encode()) > MAX_SUCCEEDED_INDEXES:
            errs.too_long(f"{path}.succeededIndexes", MAX_SUCCEEDED_INDEXES)
        try:
            total = parse_indexes(indexes, completions)
        except ValueError as err:
            errs.invalid(f"{path}.succeededIndexes", indexes, f"error parsing succeededIndexes: {err}")
    if count is None:
        return
    path = f"{path}.succeededCount"
    d.nonnegative(count, path, errs)
    if count > completions:
        why = f"must be less than or equal to {completions} (the number of specified completions)"
        errs.invalid(path, count, why)
    if indexes is not None and count > total:
        what = "the number of indexes in the specified succeededIndexes field"
        errs.invalid(path, count, f"must be less than or equal to {total} ({what})")


rules.define(f"""
job-spec                            api.batch.v1.JobSpec
    parallelism                         >=0
    completions                         >=0
    activeDeadlineSeconds               >=0
    backoffLimit                        >=0
    ttlSecondsAfterFinished             >=0
    backoffLimitPerIndex                >=0
    maxFailedIndexes                    >=0
    if maxFailedIndexes given
      backoffLimitPerIndex*             : when maxFailedIndexes is specified
    managedBy                           domain-prefixed-path max:63
    completionMode                      NonIndexed|Indexed
    if completionMode == Indexed
      completions*                      : when completion mode is Indexed
      parallelism                       <={MANY} : must be less than or equal to {MANY} when completion mode is Indexed
      if completions given
        maxFailedIndexes                <=.completions : must be less than or equal to completions
      maxFailedIndexes                  <={MANY}
      if completions given and completions > {MANY} and backoffLimitPerIndex given
        maxFailedIndexes*               : must be specified when completions is above {MANY}
        parallelism                     <={FEWER} : {_FEWER}
        maxFailedIndexes                <={FEWER} : {_FEWER}
    elif not completionMode given or completionMode == NonIndexed
      backoffLimitPerIndex              never : requires indexed completion mode
      maxFailedIndexes                  never : requires indexed completion mode
    if podFailurePolicy given
      @failure-policy
    if completionMode == Indexed
      if successPolicy given
        @success-policy
    else
      successPolicy                     never show:api.batch.v1.SuccessPolicy : requires indexed completion mode
    if podFailurePolicy given
      podReplacementPolicy              only:Failed
    else
      podReplacementPolicy              Failed|TerminatingOrFailed
    template                            pod-template-spec
    if not template.spec.restartPolicy or template.spec.restartPolicy == Always
      required at:template.spec.restartPolicy : valid values: "OnFailure", "Never"
    else
      template.spec.restartPolicy       OnFailure|Never
      if podFailurePolicy given and template.spec.restartPolicy == OnFailure
        template.spec.restartPolicy     never : only "Never" is supported when podFailurePolicy is specified
""")
_spec = rules["job-spec"]
"""Rules shared by jobs and templates of jobs (validateJobSpec); around them are the options for pods."""
_failure_policy_rules = rules.table("api.batch.v1.JobSpec")(f"""
    podFailurePolicy.rules[]            most:{MAX_RULES}
      if action == FailIndex and not /backoffLimitPerIndex given
        action                          never : requires the backoffLimitPerIndex to be set
      action!                           : valid values: ["Count" "FailIndex" "FailJob" "Ignore"]
      action+                           Count|FailIndex|FailJob|Ignore
      onExitCodes
        operator!                       : valid values: ["In" "NotIn"]
        operator+                       In|NotIn
        containerName                   known-container
        @exit-codes
      onPodConditions[]                 most:{MAX_RULES}
        type                            qualified-name
        status!                         : valid values: ["False" "True" "Unknown"]
        status+                         False|True|Unknown
      if onExitCodes given and onPodConditions
        invalid                         show:omit : specifying both OnExitCodes and OnPodConditions is not supported
      if not onExitCodes given and not onPodConditions
        invalid                         show:omit : specifying one of OnExitCodes and OnPodConditions is required
""")
_success_policy: Table = rules.table("api.batch.v1.JobSpec")(f"""
    successPolicy.rules[]!              most:{MAX_RULES} : at least one rules must be specified when the successPolicy is specified
      if not succeededCount given and not succeededIndexes given
        required                        : at least one of succeededCount or succeededIndexes must be specified
      @success-rule
""")


def validate_job(obj: Object, old: Object | None, errs: Errors, policy: PodPolicy = STRICT) -> None:
    """Rules for new jobs, which upstream also applies to changed ones."""
    metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    _generated_selector(obj, old, errs)
    validate_job_spec(spec, errs, template_options(old, policy))
    completions = spec.get("completions") or 0
    if spec.get("completionMode") == "Indexed" and completions > 0:
        host = f"{metadata.get('name', '')}-{completions - 1}"
        if names.dns_label(host):
            why = f"will not able to create pod with invalid DNS label: {host}"
            errs.invalid("metadata.name", metadata.get("name", ""), why)


def _generated_selector(obj: Object, old: Object | None, errs: Errors) -> None:
    """Check that a generated selector and its labels equal those that the generator makes."""
    metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    selector = spec.get("selector")
    if spec.get("manualSelector") or selector is None:
        return
    uid, name = metadata.get("uid", ""), metadata.get("name", "")
    if not uid:
        errs.required("metadata.uid")
    expected = {OLD_CONTROLLER_UID: uid, OLD_JOB_NAME: name}
    if _has_prefixed_labels(old):
        expected |= {CONTROLLER_UID: uid, JOB_NAME: name}
    for label, value in expected.items():
        _has_label(spec.get("template") or {}, label, value, errs)
    compiled = compile_selector(selector)
    if compiled is not None and not compiled.matches_labels(expected):
        errs.invalid("spec.selector", label_selector(selector), "`selector` not auto-generated")


def _has_prefixed_labels(old: Object | None) -> bool:
    """Whether prefixed labels are required: they are for new jobs; old jobs may lack them."""
    if old is None:
        return True
    labels = _labels((old.get("spec") or {}).get("template") or {})
    return JOB_NAME in labels and CONTROLLER_UID in labels


def _labels(template: Object) -> dict[str, str]:
    return (template.get("metadata") or {}).get("labels") or {}


def _has_label(template: Object, label: str, value: str, errs: Errors) -> None:
    labels = _labels(template)
    path = key("spec.template.metadata.labels", label)
    if label not in labels:
        errs.required(path, f"must be '{value}'")
    elif labels[label] != value:
        errs.invalid(path, sorted_map(labels), f"must be '{value}'")


def validate_job_spec(spec: Object, errs: Errors, options: PodOptions) -> None:
    """Validates the spec of a new or changed job."""
    _spec(spec, "spec", errs, options)
    selector = spec.get("selector")
    if selector is None:
        errs.required("spec.selector")
    else:
        d.selector(options.allow_invalid_selector_values)(selector, "spec.selector", errs)
    check_template_labels(selector, spec.get("template") or {}, "spec.template", errs)

"""Validates the specs of batch/v1: jobs and cron jobs; job_status.py validates the status of jobs."""

import re
from itertools import pairwise

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.apps import (
    check_template_labels,
    compile_selector,
    fixed_selector,
    template_options,
)
from pilothouse.api.validate.common import copy_members, equal, is_true
from pilothouse.api.validate.cron import schedule_fault, zone_fault
from pilothouse.api.validate.job_indexes import parse_indexes
from pilothouse.api.validate.pod.options import PodOptions
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.spec import validate_pod_template_spec
from pilothouse.api.validate.shown import go, label_selector, sorted_map
from pilothouse.api.validate.tables.rules import Rules
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

_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")

rules = Rules(
    __name__,
    validate_pod_template_spec,
    success_policy=lambda spec, path, errs: _success_policy(spec, path, errs, spec.get("completions") or 0),
)

# Jobs


def validate_job(obj: Object, old: Object | None, errs: Errors, policy: PodPolicy = STRICT) -> None:
    """Rules for new jobs, which upstream also applies to changed ones."""
    metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    _generated_selector(obj, old, errs)
    _whole_spec(spec, errs, template_options(old, policy))
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


def _whole_spec(spec: Object, errs: Errors, options: PodOptions) -> None:
    _spec(spec, "spec", errs, options)
    selector = spec.get("selector")
    if selector is None:
        errs.required("spec.selector")
    else:
        d.selector(options.allow_invalid_selector_values)(selector, "spec.selector", errs)
    check_template_labels(selector, spec.get("template") or {}, "spec.template", errs)


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
_success_policy = rules.table("api.batch.v1.JobSpec")(f"""
    successPolicy.rules[]!              most:{MAX_RULES} : at least one rules must be specified when the successPolicy is specified
      if not succeededCount given and not succeededIndexes given
        required                        : at least one of succeededCount or succeededIndexes must be specified
      @success-rule
""")


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


def validate_job_update(obj: Object, old: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    """Validates a changed job; upstream's strategy applies the rules for new jobs before."""
    _whole_spec(obj.get("spec") or {}, errs, template_options(old, policy))
    _fixed(obj, old, errs)


_same_completions = d.fixed("spec.completions")


def _fixed_completions(obj: Object, old: Object, errs: Errors) -> None:
    """Completions of an indexed job may change together with its parallelism (KEP-3715)."""
    spec, before = obj.get("spec") or {}, old.get("spec") or {}
    completions = spec.get("completions")
    if spec.get("completionMode") != "Indexed":
        _same_completions(obj, old, errs)
    elif completions not in (None, before.get("completions"), spec.get("parallelism")):
        errs.invalid("spec.completions", completions, "can only be modified in tandem with spec.parallelism")


def _fixed_template(obj: Object, old: Object, errs: Errors) -> None:
    """Check that the template is unchanged, except scheduling and resources of a suspended job."""
    new = (obj.get("spec") or {}).get("template") or {}
    before = (old.get("spec") or {}).get("template") or {}
    if _is_suspended(old):
        before = _with_mutable_fields(new, before)
        if not equal(new.get("spec"), before.get("spec")):
            shown = go(new.get("spec") or {}, "api.core.v1.PodSpec")
            errs.invalid("spec.template.spec", shown, "field is immutable")
            return
    if any(not equal(new.get(member) or {}, before.get(member) or {}) for member in ("metadata", "spec")):
        errs.invalid("spec.template", go(new, "api.core.v1.PodTemplateSpec"), "field is immutable")


_fixed = d.change(
    _fixed_completions,
    fixed_selector,
    _fixed_template,
    d.fixed("spec.completionMode"),
    d.fixed("spec.podFailurePolicy", show="api.batch.v1.PodFailurePolicy"),
    d.fixed("spec.backoffLimitPerIndex"),
    d.fixed("spec.managedBy"),
    d.fixed("spec.successPolicy", show="api.batch.v1.SuccessPolicy"),
)


def _is_suspended(job: Object) -> bool:
    """Whether a job is suspended and has no pods: it never started, or its suspension is complete."""
    if not (job.get("spec") or {}).get("suspend"):
        return False
    return not (job.get("status") or {}).get("startTime") or is_true(job, "Suspended")


def _with_mutable_fields(new: Object, before: Object) -> Object:
    """The old template with the new values of fields that may change;
    unchanged parts are shared, not copied."""
    before = {**before, "metadata": {**before.get("metadata", {})}, "spec": {**before.get("spec", {})}}
    _copy_scheduling(new, before)
    _copy_resources(new, before)
    return before


def _copy_scheduling(new: Object, before: Object) -> None:
    """Copy the fields for scheduling into the old template (KEP-2926)."""
    copy_members(before["metadata"], new.get("metadata") or {}, "annotations", "labels")
    new_spec, spec = new.get("spec") or {}, before["spec"]
    copy_members(spec, new_spec, "nodeSelector", "tolerations", "schedulingGates")
    affinity, old_affinity = new_spec.get("affinity"), spec.get("affinity")
    if affinity is None and old_affinity is not None:
        spec["affinity"] = {k: v for k, v in old_affinity.items() if k != "nodeAffinity"}
        if not spec["affinity"]:
            del spec["affinity"]
    elif affinity is not None:
        spec["affinity"] = {**spec.get("affinity", {})}
        copy_members(spec["affinity"], affinity, "nodeAffinity")
    if not before["metadata"]:
        del before["metadata"]


def _copy_resources(new: Object, before: Object) -> None:
    """Copy the containers' resources into the old template (KEP-5440)."""
    for member in ("containers", "initContainers"):
        changed = {c.get("name"): c for c in (new.get("spec") or {}).get(member) or ()}
        kept = []
        for container in before["spec"].get(member) or ():
            kept.append(dict(container))
            if container.get("name") in changed:
                copy_members(kept[-1], changed[container["name"]], "resources")
        if kept:
            before["spec"][member] = kept


# Cron jobs


def validate_cron_job(obj: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    validate_cron_job_update(obj, None, errs, policy)
    name = (obj.get("metadata") or {}).get("name", "")
    if len(name) > 63 - 11:  # the controller appends 11 characters to the names of its jobs
        errs.invalid("metadata.name", name, "must be no more than 52 characters")


_cron_head = rules.kind("batch/v1 CronJob")("""
    spec.schedule!
    spec.startingDeadlineSeconds        >=0
""")
_cron_rest = rules.kind("batch/v1 CronJob")("""
    spec.concurrencyPolicy!             Allow|Forbid|Replace
    spec.jobTemplate.spec               job-spec
    spec.jobTemplate.spec.selector      never show:label-selector : `selector` will be auto-generated
    spec.jobTemplate.spec.manualSelector+ nil|false
    spec.successfulJobsHistoryLimit     >=0
    spec.failedJobsHistoryLimit         >=0
""")


def validate_cron_job_update(
    obj: Object, old: Object | None, errs: Errors, policy: PodPolicy = STRICT
) -> None:
    """Validates a changed cron job; without an old one, what new ones have in common with those."""
    spec, before = obj.get("spec") or {}, (old or {}).get("spec") or {}
    schedule, zone = spec.get("schedule", ""), spec.get("timeZone")
    if schedule:
        _schedule(schedule, zone, "TZ" in before.get("schedule", ""), errs)
    _cron_head(obj, errs)
    if zone is not None and (old is None or before.get("timeZone") != zone):
        _zone(zone, errs)
    options = template_options(old, policy, "spec", "jobTemplate", "spec", "template")
    _cron_rest(obj, errs, options)


def _schedule(schedule: str, zone: str | None, may_name_zone: bool, errs: Errors) -> None:
    fault = schedule_fault(schedule)
    if fault:
        errs.invalid("spec.schedule", schedule, fault)
    if "TZ" in schedule:
        if not may_name_zone:
            why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            errs.invalid("spec.schedule", schedule, why)
        elif zone is not None:
            errs.invalid(
                "spec.schedule", schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"
            )


def _zone(zone: str, errs: Errors) -> None:
    if not zone:
        errs.invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")
        return
    for part in zone.split("/"):
        if part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part):
            errs.invalid("spec.timeZone", zone, f"unknown time zone {zone}")
            return
    if zone.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        errs.invalid("spec.timeZone", zone, why)
        if zone == "Local":
            return
    fault = zone_fault(zone)
    if fault:
        errs.invalid("spec.timeZone", zone, fault)

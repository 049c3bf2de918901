"""Validates cron jobs (apis/batch/validation)."""

import re

from pilothouse.api.validate import job
from pilothouse.api.validate.cron import schedule_fault, zone_fault
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.validate.workloads import template_options
from pilothouse.api.values.fields import Errors, Object

_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")
rules = Rules(__name__, job.rules)
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


def validate_cron_job(obj: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    validate_cron_job_update(obj, None, errs, policy)
    name = (obj.get("metadata") or {}).get("name", "")
    if len(name) > 63 - 11:  # the controller appends 11 characters to the names of its jobs
        errs.invalid("metadata.name", name, "must be no more than 52 characters")


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

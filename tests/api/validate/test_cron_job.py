"""Every cause that cron jobs can have (pkg/apis/batch/validation)."""

from pods import POD
from rules import at, put, table

from pilothouse.api.validate import cron_job as rules

NEW, UPDATE = rules.validate_cron_job, rules.validate_cron_job_update
POD_SPEC = {**POD["spec"], "restartPolicy": "Never"}
CRON = {"metadata": {"name": "c"}, "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Allow", "jobTemplate": {"spec": {"template": {"spec": POD_SPEC}}}}}
cron = at(CRON, "spec")

test_causes = table([
    (NEW, CRON),
    (NEW, {"metadata": {"name": "c" * 53}, "spec": {"jobTemplate": {"spec": {"template": {"spec": POD_SPEC}}}}}, "spec.schedule,concurrencyPolicy!",
        "metadata.name : must be no more than 52 characters"),
    (NEW, cron(schedule="odd", concurrencyPolicy="Odd"), "spec.schedule : expected exactly 5 fields, found 1: [odd]", "spec.concurrencyPolicy Allow|Forbid|Replace"),
    (NEW, cron(schedule="TZ=UTC * * * * *"), "spec.schedule : cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
    (UPDATE, (cron(schedule="TZ=UTC * * * * *", timeZone="Etc/UTC"), cron(schedule="TZ=UTC * * * * *")), "spec.schedule : cannot use both timeZone field and TZ or CRON_TZ in schedule"),
    (NEW, cron(timeZone=""), "spec.timeZone : timeZone must be nil or non-empty string"),
    (NEW, cron(timeZone="../x"), "spec.timeZone : unknown time zone ../x"),
    (NEW, cron(timeZone="Local"), "spec.timeZone : timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"),
    (NEW, cron(timeZone="Mars/Base"), "spec.timeZone : unknown time zone Mars/Base"),
    (NEW, cron(startingDeadlineSeconds=-1, successfulJobsHistoryLimit=-1, failedJobsHistoryLimit=-1),
        "spec.startingDeadlineSeconds,successfulJobsHistoryLimit,failedJobsHistoryLimit : <not negative>"),
    (NEW, put(CRON, {"spec.jobTemplate.spec.selector": {}, "spec.jobTemplate.spec.manualSelector": True}), "spec.jobTemplate.spec.selector : `selector` will be auto-generated",
        "spec.jobTemplate.spec.manualSelector nil|false"),
])  # fmt: skip

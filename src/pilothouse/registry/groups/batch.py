"""batch/v1: jobs and cron jobs."""

from pilothouse.registry.groups.records import COUNTS_SPEC, STATUS_APART, resource, status_strategy
from pilothouse.registry.strategy import Strategy

GROUP = "batch"

JOB = Strategy(**COUNTS_SPEC, **STATUS_APART)
CRON_JOB = Strategy(**COUNTS_SPEC, **STATUS_APART)


def _succeeded(job: dict) -> str:
    return str((job.get("status") or {}).get("succeeded", 0))


RESOURCES = [
    resource(
        GROUP,
        "v1",
        "CronJob",
        "cronjobs",
        "sd5LIXh4Fjs=",
        CRON_JOB,
        namespaced=True,
        short_names=("cj",),
        categories=("all",),
        status=status_strategy(CRON_JOB),
    ),
    resource(
        GROUP,
        "v1",
        "Job",
        "jobs",
        "mudhfqk/qZY=",
        JOB,
        namespaced=True,
        categories=("all",),
        selectable={"status.successful": _succeeded},
        field_error='field label "{label}" not supported for Job',
        status=status_strategy(JOB),
    ),
]

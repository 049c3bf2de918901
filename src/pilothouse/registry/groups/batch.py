"""batch/v1: jobs and cron jobs."""

from pilothouse.api.values.fields import Object
from pilothouse.api.values.names import label_value
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    STATUS_APART,
    pod_policy,
    resource,
    spec_of,
    status_strategy,
)
from pilothouse.registry.groups.workloads import generation_changes, name_warnings
from pilothouse.registry.strategy import WHOLE_FIRST, Strategy, WriteContext

GROUP = "batch"

_MANY_INDEXES = (
    "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
    "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
)

_ORPHANS = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
    "them or set propagationPolicy=Orphan to suppress this warning"
)


def _prepare_job(ctx: WriteContext, obj: Object) -> None:
    """Set a selector and labels from the job's UID,
    unless the client manages the selector (manualSelector)."""
    spec = obj.setdefault("spec", {})
    if spec.get("manualSelector"):
        return
    name, uid = obj["metadata"].get("name", ""), obj["metadata"].get("uid", "")
    metadata = spec.setdefault("template", {}).setdefault("metadata", {})
    labels = metadata["labels"] = dict(metadata.get("labels") or {})
    for label in (rules.job.OLD_JOB_NAME, rules.job.JOB_NAME):
        labels.setdefault(label, name)
    for label in (rules.job.OLD_CONTROLLER_UID, rules.job.CONTROLLER_UID):
        labels.setdefault(label, uid)
    selector = spec["selector"] = dict(spec.get("selector") or {})
    selector["matchLabels"] = {rules.job.CONTROLLER_UID: uid, **(selector.get("matchLabels") or {})}
    if not label_value(name):  # one that is no label fails validation first
        _label_job(obj)


def _label_job(obj: Object) -> None:
    """Give a job without labels those of its template;
    upstream's defaulting does so whenever it reads the stored job."""
    labels = ((spec_of(obj).get("template") or {}).get("metadata") or {}).get("labels")
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(labels)


def _has_default_labels(obj: Object) -> bool:
    metadata = obj["metadata"]
    return bool((metadata.get("labels") or {}).get(rules.job.CONTROLLER_UID) == metadata["uid"])


def _job_spec_warnings(spec: Object, path: str) -> list[str]:
    out = []
    many = (spec.get("completions") or 0) > 10**5 and (spec.get("parallelism") or 0) > 10**4
    if many and spec.get("completionMode") == "Indexed":
        out.append(f"{path}: {_MANY_INDEXES}")
    return out + rules.pod_warnings.template_warnings(spec.get("template") or {}, f"{path}.template")


def _job_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    if old is None:
        return name_warnings(obj) + _job_spec_warnings(spec_of(obj), "spec")
    if not generation_changes(obj, old):
        return []
    return _job_spec_warnings(spec_of(obj), "spec")


def _delete_warnings(options: Object) -> list[str]:
    """Warn that the job's pods are orphaned by default, because most clients do not expect this."""
    propagation_given = (
        options.get("propagationPolicy") is not None or options.get("orphanDependents") is not None
    )
    return [] if propagation_given else [_ORPHANS]


def _job_of(cron_job: Object) -> Object:
    return (spec_of(cron_job).get("jobTemplate") or {}).get("spec") or {}


def _cron_job_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    out = []
    if old is None:
        out = name_warnings(obj)
        out += _job_spec_warnings(_job_of(obj), "spec.jobTemplate.spec")
    elif generation_changes(obj, old):
        out = _job_spec_warnings(_job_of(obj), "spec.jobTemplate.spec")
    if "TZ" in spec_of(obj).get("schedule", ""):
        out.append(
            "CRON_TZ or TZ used in spec.schedule is not officially supported, see "
            "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        )
    return out


JOB = Strategy(
    prepare_create=_prepare_job,
    validate=lambda ctx, obj, errs: rules.job.validate_job(obj, None, errs, pod_policy(ctx)),
    validate_anew=lambda ctx, obj, old, errs: rules.job.validate_job(obj, old, errs, pod_policy(ctx)),
    validate_update=lambda ctx, obj, old, errs: rules.job_update.validate_job_update(
        obj, old, errs, pod_policy(ctx)
    ),
    update_order=WHOLE_FIRST,
    defaults_not_stored=_has_default_labels,
    warnings=_job_warnings,
    delete_warnings=_delete_warnings,
    garbage_collection="orphan",
    **COUNTS_SPEC,
    **STATUS_APART,
)
CRON_JOB = Strategy(
    validate=lambda ctx, obj, errs: rules.cron_job.validate_cron_job(obj, errs, pod_policy(ctx)),
    validate_update=lambda ctx, obj, old, errs: rules.cron_job.validate_cron_job_update(
        obj, old, errs, pod_policy(ctx)
    ),
    warnings=_cron_job_warnings,
    **COUNTS_SPEC,
    **STATUS_APART,
)


def _succeeded(job: Object) -> str:
    return str((job.get("status") or {}).get("succeeded", 0))


RESOURCES = [
    resource(
        GROUP,
        "CronJob",
        "cronjobs",
        "sd5LIXh4Fjs=",
        CRON_JOB,
        namespaced=True,
        short_names=("cj",),
        categories=("all",),
        status=status_strategy(CRON_JOB, update_order=()),
    ),
    resource(
        GROUP,
        "Job",
        "jobs",
        "mudhfqk/qZY=",
        JOB,
        namespaced=True,
        categories=("all",),
        selectable={"status.successful": _succeeded},
        field_error='field label "{label}" not supported for Job',
        status=status_strategy(
            JOB,
            lambda ctx, obj, old, errs: rules.job_status.validate_job_status(obj, old, errs),
            prepare_update=lambda ctx, obj, old: _label_job(obj),
        ),
    ),
]

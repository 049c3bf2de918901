"""Validates changes of jobs (apis/batch/validation)."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import copy_members, equal, is_true
from pilothouse.api.validate.job import validate_job_spec
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.workloads import fixed_selector, template_options
from pilothouse.api.values.fields import Errors, Object


def validate_job_update(obj: Object, old: Object, errs: Errors, policy: PodPolicy = STRICT) -> None:
    """Validates a changed job; upstream's strategy applies the rules for new jobs before."""
    validate_job_spec(obj.get("spec") or {}, errs, template_options(old, policy))
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
    """The old template with the new values of fields that may change; other parts are shared."""
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

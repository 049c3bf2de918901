"""Validates a job's status: terminal conditions must be consistent with its counters and times."""

from pilothouse.api.fields import OMIT, Errors, Object
from pilothouse.api.validate.apps import check_counts
from pilothouse.api.validate.job_indexes import overlap, parse_indexes

_CONDITIONS = "status.conditions"


class _Job:
    """The parts of a job that the rules use."""

    def __init__(self, obj: Object) -> None:
        self.spec: Object = obj.get("spec") or {}
        self.status: Object = obj.get("status") or {}
        self._true = {c.get("type") for c in self.status.get("conditions") or () if c.get("status") == "True"}
        self.complete, self.failed = self.is_true("Complete"), self.is_true("Failed")
        self.finished = self.complete or self.failed
        self.failure_target, self.success = self.is_true("FailureTarget"), self.is_true("SuccessCriteriaMet")

    def is_true(self, kind: str) -> bool:
        return kind in self._true


def validate_job_status(obj: Object, old: Object, errs: Errors) -> None:
    """Validates only what the update changes, so that jobs of older servers can still be completed."""
    new, before = _Job(obj), _Job(old)
    check_counts(new.status, ("active", "succeeded", "failed", "ready", "terminating"), errs)
    _uncounted(new.status.get("uncountedTerminatedPods") or {}, errs)
    _conditions(new, before, errs)
    _finished(new, before, errs)
    _indexes(new, before, errs)
    _counters(new, before, errs)
    _success(new, errs)
    _transition(new, before, errs)


def _changed(new: _Job, before: _Job, *members: str) -> bool:
    """Whether one of these status fields changes, or with `@`, whether a condition's status changes."""
    for member in members:
        if member[0] == "@":
            if getattr(new, member[1:]) != getattr(before, member[1:]):
                return True
        elif new.status.get(member) != before.status.get(member):
            return True
    return False


def _uncounted(pods: Object, errs: Errors) -> None:
    seen: set[str] = set()
    for member in ("succeeded", "failed"):
        for i, uid in enumerate(pods.get(member) or ()):
            path = f"status.uncountedTerminatedPods.{member}[{i}]"
            if not uid:
                errs.invalid(path, uid, "must not be empty")
            elif uid in seen:
                errs.duplicate(path, uid)
            seen.add(uid)


def _conditions(new: _Job, before: _Job, errs: Errors) -> None:
    completed, started = new.status.get("completionTime"), new.status.get("startTime")
    if _changed(new, before, "@complete", "@failed") and new.complete and new.failed:
        errs.invalid(_CONDITIONS, OMIT, "cannot set Complete=True and Failed=true conditions")
    if _changed(new, before, "@complete", "@failure_target") and new.complete and new.failure_target:
        errs.invalid(_CONDITIONS, OMIT, "cannot set Complete=True and FailureTarget=true conditions")
    if _changed(new, before, "@complete", "completionTime"):
        if completed and not new.complete:
            why = "cannot set completionTime when there is no Complete=True condition"
            errs.invalid("status.completionTime", completed, why)
        if not completed and new.complete:
            errs.required("status.completionTime", "completionTime is required for Complete jobs")
    if _changed(new, before, "startTime", "completionTime") and started and completed and completed < started:
        errs.invalid("status.completionTime", completed, "completionTime cannot be set before startTime")
    if _changed(new, before, "@failed", "@failure_target") and new.failed and not new.failure_target:
        errs.invalid(
            _CONDITIONS, OMIT, "cannot set Failed=True condition without the FailureTarget=true condition"
        )
    if _changed(new, before, "@complete", "@success") and new.complete and not new.success:
        why = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        errs.invalid(_CONDITIONS, OMIT, why)


def _finished(new: _Job, before: _Job, errs: Errors) -> None:
    if not new.finished:
        return
    active, pods = new.status.get("active", 0), new.status.get("uncountedTerminatedPods") or {}
    if active > 0 and _changed(new, before, "@finished", "active"):
        errs.invalid("status.active", active, "active>0 is invalid for finished job")
    if not new.status.get("startTime") and _changed(new, before, "@finished", "startTime"):
        errs.required("status.startTime", "startTime is required for finished job")
    left = pods.get("succeeded") or pods.get("failed")
    if left and _changed(new, before, "@finished", "uncountedTerminatedPods"):
        shown = {"Succeeded": pods.get("succeeded"), "Failed": pods.get("failed")}
        why = "uncountedTerminatedPods needs to be empty for finished job"
        errs.invalid("status.uncountedTerminatedPods", shown, why)


def _indexes(new: _Job, before: _Job, errs: Errors) -> None:
    completions, per_index = new.spec.get("completions"), new.spec.get("backoffLimitPerIndex")
    completed, failed = new.status.get("completedIndexes", ""), new.status.get("failedIndexes")
    completed_changes = _changed(new, before, "completedIndexes")
    failed_changes = _changed(new, before, "failedIndexes")
    if completed_changes and completions is not None:
        _index_list(completed, completions, "completedIndexes", errs)
    if failed_changes and completions is not None and per_index is not None and failed is not None:
        _index_list(failed, completions, "failedIndexes", errs)
    if completed_changes and completed and new.spec.get("completionMode", "NonIndexed") != "Indexed":
        why = "cannot set non-empty completedIndexes when non-indexed completion mode"
        errs.invalid("status.completedIndexes", completed, why)
    if failed_changes and per_index is None and failed is not None:
        why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        errs.invalid("status.failedIndexes", failed, why)
    if (failed_changes or completed_changes) and completions is not None and failed is not None:
        index = overlap(completed, failed, completions)
        if index is not None:
            why = f"failedIndexes and completedIndexes overlap at index: {index}"
            errs.invalid("status.failedIndexes", failed, why)


def _index_list(text: str, completions: int, member: str, errs: Errors) -> None:
    try:
        parse_indexes(text, completions)
    except ValueError as err:
        errs.invalid(f"status.{member}", text, f"error parsing {member}: {err}")


def _counters(new: _Job, before: _Job, errs: Errors) -> None:
    terminating, ready = new.status.get("terminating"), new.status.get("ready")
    if new.finished and (terminating or 0) > 0 and _changed(new, before, "@finished", "terminating"):
        errs.invalid("status.terminating", terminating, "terminating>0 is invalid for finished job")
    if ready is not None and ready > new.status.get("active", 0) and _changed(new, before, "ready", "active"):
        errs.invalid("status.ready", ready, "cannot set more ready pods than active")


def _success(new: _Job, errs: Errors) -> None:
    if new.success and new.failed:
        errs.invalid(_CONDITIONS, OMIT, "cannot set SuccessCriteriaMet=True and Failed=true conditions")
    if new.success and new.failure_target:
        errs.invalid(
            _CONDITIONS, OMIT, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"
        )
    if new.spec.get("successPolicy") is not None and not new.success and new.complete:
        why = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        errs.invalid(_CONDITIONS, OMIT, why)


def _transition(new: _Job, before: _Job, errs: Errors) -> None:
    for kind in ("Failed", "Complete", "FailureTarget"):
        if before.is_true(kind) and not new.is_true(kind):
            errs.invalid(_CONDITIONS, OMIT, f"cannot disable the terminal {kind}=True condition")
    for member in ("failed", "succeeded"):
        if new.status.get(member, 0) < before.status.get(member, 0):
            why = f"cannot decrease the {member} counter"
            errs.invalid(f"status.{member}", new.status.get(member, 0), why)
    completed, was = new.status.get("completionTime"), before.status.get("completionTime")
    if completed and was and completed != was:
        errs.invalid("status.completionTime", completed, "completionTime cannot be mutated")
    started = before.status.get("startTime")
    if started and started != new.status.get("startTime") and not new.spec.get("suspend"):
        why = "field is immutable for unsuspended job once set"
        errs.invalid("status.startTime", new.status.get("startTime"), why)
    if before.success and not new.success:
        errs.invalid(_CONDITIONS, OMIT, "cannot disable the SuccessCriteriaMet=True condition")
    if before.complete and not before.success and new.success:
        why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        errs.invalid(_CONDITIONS, OMIT, why)

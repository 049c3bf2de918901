"""Validates a job's status: terminal conditions must be consistent with its counters and times."""

from collections.abc import Callable
from typing import Any

from pilothouse.api.validate.job_indexes import overlap, parse_indexes
from pilothouse.api.validate.workloads import status
from pilothouse.api.values.fields import OMIT, Errors, Object


class _Job:
    """The parts of a job that the rules use."""

    def __init__(self, obj: Object) -> None:
        self.spec: Object = obj.get("spec") or {}
        self.status: Object = obj.get("status") or {}
        self._true = {c.get("type") for c in self.status.get("conditions") or () if c.get("status") == "True"}
        self.complete, self.failed = self.is_true("Complete"), self.is_true("Failed")
        self.finished = self.complete or self.failed
        self.failure_target, self.success = self.is_true("FailureTarget"), self.is_true("SuccessCriteriaMet")
        self.completed, self.started = self.get("completionTime"), self.get("startTime")
        self.active, self.pods = self.get("active") or 0, self.get("uncountedTerminatedPods") or {}

    def is_true(self, kind: str) -> bool:
        return kind in self._true

    def get(self, member: str) -> Any:
        return self.status.get(member)

    def left(self) -> Any:
        return self.pods.get("succeeded") or self.pods.get("failed")


_counts = status("batch/v1 Job", "active succeeded failed ready terminating")


def validate_job_status(obj: Object, old: Object, errs: Errors) -> None:
    """Validates only what the update changes, so that jobs of older servers can still be completed."""
    new, before = _Job(obj), _Job(old)
    _counts(obj, old, errs)
    _uncounted(new.pods, errs)
    _consistent(_UNTIL_INDEXES, new, before, errs)
    _indexes(new, before, errs)
    _consistent(_AFTER_INDEXES, new, before, errs)
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


Check = tuple[str, Callable[[_Job], Any], str, str]
"""A condition on the change, the message, the member of the status to which the cause belongs,
and the reason. A member with `!` is required."""

_UNTIL_INDEXES: tuple[Check, ...] = (
    ("@complete @failed", lambda j: j.complete and j.failed, "conditions", "cannot set Complete=True and Failed=true conditions"),
    ("@complete @failure_target", lambda j: j.complete and j.failure_target, "conditions", "cannot set Complete=True and FailureTarget=true conditions"),
    ("@complete completionTime", lambda j: j.completed and not j.complete, "completionTime", "cannot set completionTime when there is no Complete=True condition"),
    ("@complete completionTime", lambda j: j.complete and not j.completed, "completionTime!", "completionTime is required for Complete jobs"),
    ("startTime completionTime", lambda j: j.started and j.completed and j.completed < j.started, "completionTime", "completionTime cannot be set before startTime"),
    ("@failed @failure_target", lambda j: j.failed and not j.failure_target, "conditions", "cannot set Failed=True condition without the FailureTarget=true condition"),
    ("@complete @success", lambda j: j.complete and not j.success, "conditions", "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"),
    ("@finished active", lambda j: j.finished and j.active > 0, "active", "active>0 is invalid for finished job"),
    ("@finished startTime", lambda j: j.finished and not j.started, "startTime!", "startTime is required for finished job"),
    ("@finished uncountedTerminatedPods", lambda j: j.finished and j.left(), "uncountedTerminatedPods", "uncountedTerminatedPods needs to be empty for finished job"),
)  # fmt: skip
_AFTER_INDEXES: tuple[Check, ...] = (
    ("@finished terminating", lambda j: j.finished and (j.get("terminating") or 0) > 0, "terminating", "terminating>0 is invalid for finished job"),
    ("ready active", lambda j: j.get("ready") is not None and j.get("ready") > j.active, "ready", "cannot set more ready pods than active"),
    ("", lambda j: j.success and j.failed, "conditions", "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
    ("", lambda j: j.success and j.failure_target, "conditions", "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
    ("", lambda j: j.spec.get("successPolicy") is not None and not j.success and j.complete, "conditions", "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"),
)  # fmt: skip


def _consistent(checks: tuple[Check, ...], new: _Job, before: _Job, errs: Errors) -> None:
    for watched, wrong, member, why in checks:
        if (watched and not _changed(new, before, *watched.split())) or not wrong(new):
            continue
        path = f"status.{member}"
        if member.endswith("!"):
            errs.required(path[:-1], why)
        elif member == "conditions":
            errs.invalid(path, OMIT, why)
        elif member == "uncountedTerminatedPods":
            errs.invalid(path, {m.capitalize(): new.pods.get(m) for m in ("succeeded", "failed")}, why)
        else:
            errs.invalid(path, new.get(member), why)


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


def _transition(new: _Job, before: _Job, errs: Errors) -> None:
    for kind in ("Failed", "Complete", "FailureTarget"):
        if before.is_true(kind) and not new.is_true(kind):
            errs.invalid("status.conditions", OMIT, f"cannot disable the terminal {kind}=True condition")
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
        errs.invalid("status.conditions", OMIT, "cannot disable the SuccessCriteriaMet=True condition")
    if before.complete and not before.success and new.success:
        why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        errs.invalid("status.conditions", OMIT, why)

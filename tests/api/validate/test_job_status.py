"""Valid and invalid changes of a job's status."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.job_status import validate_job_status


def causes(check: Callable[..., None], *objects: Object) -> list[tuple[str, str]]:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


DONE = [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]
TIMES = {"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:01Z"}


def job(**status: object) -> Object:
    return {"spec": {"completions": 3}, "status": status}


@pytest.mark.parametrize(("new", "old", "members"), [
    (job(conditions=DONE, **TIMES), job(), []),
    (job(conditions=DONE), job(), ["completionTime", "startTime"]),
    (job(conditions=DONE[1:], **TIMES), job(), ["conditions"]),
    (job(ready=2, active=1), job(), ["ready"]),
    (job(succeeded=1), job(succeeded=2), ["succeeded"]),
    (job(completedIndexes="0-9"), job(), ["completedIndexes", "completedIndexes"]),
    (job(completedIndexes="0-9"), job(completedIndexes="0-9"), []),
    (job(uncountedTerminatedPods={"failed": ["a", ""]}), job(), ["uncountedTerminatedPods.failed[1]"]),
])  # fmt: skip
def test_changes(new: Object, old: Object, members: list[str]) -> None:
    assert [f for f, _ in causes(validate_job_status, new, old)] == [f"status.{m}" for m in members]


def test_what_is_terminal_stays() -> None:
    messages = [m for _, m in causes(validate_job_status, job(**TIMES), job(conditions=DONE, **TIMES))]
    assert "Invalid value: cannot disable the terminal Complete=True condition" in messages

"""Every cause that the status of jobs can have (pkg/apis/batch/validation, ValidateJobStatus)."""

from functools import partial

from rules import below, table, valid

from pilothouse.api.validate import job_status as rules
from pilothouse.api.values.fields import Object

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def job(*conditions: str, spec: Object | None = None, **status: object) -> Object:
    listed = [{"type": kind, "status": "True"} for kind in conditions]
    return {"metadata": {}, "spec": spec or {}, "status": {"conditions": listed, **status}}


INDEXED = {"completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1}
DONE = ("SuccessCriteriaMet", "Complete")
CHECK = rules.validate_job_status
of_three = partial(job, spec={"completions": 3})
TIMES: Object = {"startTime": EARLY, "completionTime": LATE}

test_causes = table([
    *valid(CHECK, (job(active=1, ready=1), job()), (job(*DONE, startTime=EARLY, completionTime=LATE), job()), (of_three(*DONE, **TIMES), of_three())),
    (CHECK, (of_three(completedIndexes="0-9"), of_three(completedIndexes="0-9"))),
    (CHECK, (job(active=-1, failed=-1, ready=-1, terminating=-1), job()), "status.active,failed,ready,terminating : <not negative>", "status.failed : cannot decrease the failed counter"),
    (CHECK, (job("Complete", "Failed", "FailureTarget"), job()), "status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
        "status.conditions: Invalid value: cannot set Complete=True and FailureTarget=true conditions", "status.completionTime! : completionTime is required for Complete jobs",
        "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition", "status.startTime! : startTime is required for finished job"),
    (CHECK, (job(startTime=LATE, completionTime=EARLY), job()), "status.completionTime : cannot set completionTime when there is no Complete=True condition",
        "status.completionTime : completionTime cannot be set before startTime"),
    (CHECK, (job("Failed"), job()), "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
        "status.startTime! : startTime is required for finished job"),
    (CHECK, (job(*DONE, "Failed", "FailureTarget"), job()), *below("status", ".conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
        ".conditions: Invalid value: cannot set Complete=True and FailureTarget=true conditions", ".completionTime! : completionTime is required for Complete jobs",
        ".startTime! : startTime is required for finished job", ".conditions: Invalid value: cannot set SuccessCriteriaMet=True and Failed=true conditions",
        ".conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")),
    (CHECK, (job("Failed", "FailureTarget", active=1, terminating=1, uncountedTerminatedPods={"failed": ["a"]}), job()), "status.active : active>0 is invalid for finished job",
        "status.startTime! : startTime is required for finished job", 'status.uncountedTerminatedPods={"Succeeded":null,"Failed":["a"]} : uncountedTerminatedPods needs to be empty for finished job',
        "status.terminating : terminating>0 is invalid for finished job"),
    (CHECK, (job(uncountedTerminatedPods={"succeeded": ["a", ""], "failed": ["a"]}), job()), *below("status.uncountedTerminatedPods", ".succeeded[1] : must not be empty", ".failed[0] unique")),
    (CHECK, (job(active=1, ready=2), job()), "status.ready : cannot set more ready pods than active"),
    (CHECK, (job(spec=INDEXED, completedIndexes="0-1", failedIndexes="1"), job(spec=INDEXED)), "status.failedIndexes : failedIndexes and completedIndexes overlap at index: 1"),
    (CHECK, (job(spec=INDEXED, completedIndexes="x", failedIndexes="5"), job(spec=INDEXED)),
        'status.completedIndexes : error parsing completedIndexes: cannot convert string to integer for index: "x"', 'status.failedIndexes : error parsing failedIndexes: too large index: "5"'),
    (CHECK, (job(completedIndexes="0", failedIndexes="1"), job()), "status.completedIndexes : cannot set non-empty completedIndexes when non-indexed completion mode",
        "status.failedIndexes : cannot set non-null failedIndexes when backoffLimitPerIndex is null"),
    (CHECK, (job("Complete", spec={"successPolicy": {}}, completionTime=LATE, startTime=EARLY), job()),
        "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        "status.conditions: Invalid value: cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"),
    (CHECK, (job(), job("Failed", "Complete", "FailureTarget", "SuccessCriteriaMet")), "status.conditions: Invalid value: cannot disable the terminal Failed=True condition",
        "status.conditions: Invalid value: cannot disable the terminal Complete=True condition", "status.conditions: Invalid value: cannot disable the terminal FailureTarget=True condition",
        "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition"),
    (CHECK, (job(failed=1), job(failed=2, succeeded=1)), "status.failed : cannot decrease the failed counter", "status.succeeded=0 : cannot decrease the succeeded counter"),
    (CHECK, (job(*DONE, startTime=EARLY, completionTime=LATE), job(*DONE, startTime=LATE, completionTime=EARLY)), "status.completionTime : completionTime cannot be mutated",
        "status.startTime : field is immutable for unsuspended job once set"),
    (CHECK, (job(*DONE, startTime=EARLY, completionTime=LATE), job("Complete", startTime=EARLY, completionTime=LATE)),
        "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"),
    (CHECK, (of_three(*DONE), of_three()), "status.completionTime! : completionTime is required for Complete jobs", "status.startTime! : startTime is required for finished job"),
    (CHECK, (of_three("Complete", **TIMES), of_three()), "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition"),
    (CHECK, (of_three(completedIndexes="0-9"), of_three()), 'status.completedIndexes : error parsing completedIndexes: too large index: "9"',
        "status.completedIndexes : cannot set non-empty completedIndexes when non-indexed completion mode"),
    (CHECK, (of_three(uncountedTerminatedPods={"failed": ["a", ""]}), of_three()), "status.uncountedTerminatedPods.failed[1] : must not be empty"),
    (CHECK, (of_three(**TIMES), of_three(*DONE, **TIMES)), "status.completionTime : cannot set completionTime when there is no Complete=True condition",
        "status.conditions: Invalid value: cannot disable the terminal Complete=True condition", "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition"),
])  # fmt: skip

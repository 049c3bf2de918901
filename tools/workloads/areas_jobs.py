"""Cases about jobs and cron jobs."""

from workloads.case import SIMULATE, Case, Object, container

RESTS = 14.0
"""Seconds after which a job that replaces failed pods has made the next one: the first wait is 10 s."""


def job(case: Case) -> None:
    """A job that succeeds or fails, and is suspended, resumed or resized meanwhile."""
    draw = case.draw
    indexed = draw.random() < 0.5
    codes = draw.choice(["0", "0", "0", "1", "1,0", "42", "3"])
    notes = {"exit-after": draw.choice(["0", "200ms", "1s"]), "exit-code": codes}
    spec: Object = {"template": _template(case, notes), "backoffLimit": draw.choice([0, 0, 1])}
    # Of pods beside one that fails it depends on the moment whether they end or are deleted.
    spec["parallelism"] = draw.choice([0, 1, 2, 3]) if codes == "0" else draw.choice([0, 1, 1])
    if indexed:
        spec |= {"completionMode": "Indexed", "completions": draw.choice([1, 2, 3, 4])}
    elif draw.random() < 0.7:
        spec["completions"] = draw.choice([1, 2, 3, 5])
    _options(case, spec, indexed=indexed)
    case.create("Job", "work", spec, labels={"app": "work"})
    quiet = RESTS if codes != "0" else 6.0 if "activeDeadlineSeconds" in spec else 3.0
    for change in [] if "activeDeadlineSeconds" in spec else _changes(case):
        case.rest(
            2.0 if spec["template"]["metadata"]["annotations"][SIMULATE + "exit-after"] == "never" else quiet
        )
        case.patch("Job", "work", {"spec": change})
    case.rest(quiet)
    if draw.random() < 0.1:
        case.delete("Job", "work", draw.choice(["Background", "Foreground", "Orphan"]))
        case.rest()


def _template(case: Case, notes: dict[str, str]) -> Object:
    draw = case.draw
    if draw.random() < 0.2:
        notes |= {"exit-after": "never"}
    pod: Object = {"restartPolicy": "Never", "containers": [container()]}
    if draw.random() < 0.2:
        pod["restartPolicy"] = "OnFailure"
    if draw.random() < 0.15:
        pod["initContainers"] = [container(name="init")]
    metadata = {"annotations": {SIMULATE + name: text for name, text in notes.items()}, "labels": {"a": "b"}}
    return {"metadata": metadata, "spec": pod}


def _options(case: Case, spec: Object, *, indexed: bool) -> None:
    draw = case.draw
    if draw.random() < 0.2:
        spec["suspend"] = True
    if draw.random() < 0.2:
        spec["activeDeadlineSeconds"] = draw.choice([2, 4])
        notes = spec["template"]["metadata"]["annotations"]  # what ends in time does so at once
        notes[f"{SIMULATE}exit-after"] = draw.choice(["never", "0"])
        if notes[f"{SIMULATE}exit-after"] == notes[f"{SIMULATE}exit-code"] == "0":
            spec["parallelism"] = 5
    if draw.random() < 0.15:
        spec["ttlSecondsAfterFinished"] = draw.choice([0, 1])
    never = spec["template"]["spec"]["restartPolicy"] == "Never"
    if indexed and never and draw.random() < 0.35:
        spec["backoffLimitPerIndex"] = draw.choice([0, 0, 1])
        spec.pop("backoffLimit")
        if draw.random() < 0.5:
            spec["maxFailedIndexes"] = draw.choice([0, 1])
    if indexed and draw.random() < 0.25:
        rule = draw.choice(
            [
                {"succeededIndexes": "0"},
                {"succeededCount": 1},
                {"succeededIndexes": "0-1", "succeededCount": 1},
            ]
        )
        if spec["completions"] > 1:
            spec["successPolicy"] = {"rules": [rule]}
            spec["parallelism"] = min(spec["parallelism"], 1)
    if never and draw.random() < 0.3:
        spec["podFailurePolicy"] = {"rules": _rules(case, spec)}
    if draw.random() < 0.2 or "podFailurePolicy" in spec:
        spec["podReplacementPolicy"] = "Failed"
    elif draw.random() < 0.2:
        spec["podReplacementPolicy"] = "TerminatingOrFailed"


def _rules(case: Case, spec: Object) -> list[Object]:
    draw = case.draw
    actions = ["FailJob", "Count", "Ignore"] + (["FailIndex"] if "backoffLimitPerIndex" in spec else [])
    action = draw.choice(actions)
    codes: Object = {"operator": draw.choice(["In", "NotIn"]), "values": [42]}
    if draw.random() < 0.4:
        codes["containerName"] = "c"
    out: list[Object] = [{"action": action, "onExitCodes": codes}]
    if draw.random() < 0.3:
        out.insert(
            0, {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
        )
    return out


def _changes(case: Case) -> list[Object]:
    draw = case.draw
    options: list[Object] = [
        {"suspend": True},
        {"suspend": False},
        {"parallelism": 1},
        {"parallelism": 4},
        {"parallelism": 0},
    ]
    return [draw.choice(options) for _ in range(draw.choice([0, 0, 1, 1, 2]))]


def cron_job(case: Case) -> None:
    """A cron job whose time comes, never comes, or is suspended."""
    draw = case.draw
    never = draw.random() < 0.3
    notes = {"exit-after": draw.choice(["0", "never"]), "exit-code": draw.choice(["0", "0", "1"])}
    work: Object = {"template": _template(case, notes), "backoffLimit": 0}
    spec: Object = {
        "schedule": draw.choice(["0 0 31 2 *", "@yearly"])
        if never
        else draw.choice(["* * * * *", "*/1 * * * *", "@every 1m"]),
        "concurrencyPolicy": draw.choice(["Allow", "Forbid", "Replace"]),
        "jobTemplate": {"metadata": {"labels": {"from": "cron"}, "annotations": {"x": "y"}}, "spec": work},
    }
    if draw.random() < 0.3:
        spec["suspend"] = True
    if draw.random() < 0.3:
        spec["startingDeadlineSeconds"] = draw.choice([30, 200])
    if draw.random() < 0.3:
        spec["timeZone"] = draw.choice(["Etc/UTC", "Europe/Berlin"])
    if draw.random() < 0.4:
        spec |= {
            "successfulJobsHistoryLimit": draw.choice([0, 1]),
            "failedJobsHistoryLimit": draw.choice([0, 1]),
        }
    if spec["schedule"] == "@every 1m":
        spec["schedule"] = "* * * * *"
    case.create("CronJob", "tick", spec, labels={"app": "tick"})
    case.rest(62.0)
    if draw.random() < 0.5:
        case.patch("CronJob", "tick", {"spec": {"suspend": True}})
        case.rest()

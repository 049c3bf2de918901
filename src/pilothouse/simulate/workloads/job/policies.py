"""The rules by which failed pods end a job or do not count, and by which some successes are enough."""

from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.job.indexes import parse


def failure_rule(policy: Object | None, pod: Object) -> tuple[str, str]:
    """The action of the first rule that a failed pod matches, and the message about it; Count without one."""
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        named = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        ending = f"matching {rule['action']} rule at index {number}"
        if rule.get("onExitCodes"):
            for container, code in _exit_codes(pod, rule["onExitCodes"]):
                text = f"Container {container} for pod {named} failed with exit code {code} {ending}"
                return rule["action"], text
        else:
            for pattern in rule.get("onPodConditions") or ():
                if _has(pod, pattern):
                    return rule["action"], f"Pod {named} has condition {pattern['type']} {ending}"
    return "Count", ""


def _exit_codes(pod: Object, wanted: Object) -> list[tuple[str, int]]:
    """The containers whose exit codes a rule names, with their codes; successes are never named."""
    status = pod.get("status") or {}
    out = []
    for one in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        ended = (one.get("state") or {}).get("terminated")
        if not ended or not ended.get("exitCode") or wanted.get("containerName") not in (None, one["name"]):
            continue
        if (ended["exitCode"] in wanted["values"]) == (wanted["operator"] == "In"):
            out.append((one["name"], ended["exitCode"]))
    return out


def _has(pod: Object, pattern: Object) -> bool:
    found = (pod.get("status") or {}).get("conditions") or ()
    status = pattern.get("status") or "True"
    return any(one["type"] == pattern["type"] and one["status"] == status for one in found)


def success_rule(policy: Object | None, succeeded: set[int]) -> str:
    """The message about the first rule that the successes satisfy, "" when they satisfy none."""
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        named = parse(rule["succeededIndexes"]) if rule.get("succeededIndexes") is not None else None
        met = succeeded if named is None else succeeded & named
        needed = rule.get("succeededCount")
        if len(met) >= (needed if needed is not None else len(named or ())):
            return f"Matched rules at index {number}"
    return ""

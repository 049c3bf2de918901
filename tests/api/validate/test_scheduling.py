"""Validation of priority classes (pkg/apis/scheduling/validation)."""

from rules import table, valid

from pilothouse.api.validate import scheduling as rules
from pilothouse.api.values.fields import Object

CLASS, UPDATE = rules.validate_priority_class, rules.validate_priority_class_update


def of(name: str, value: int, **members: object) -> Object:
    return {"metadata": {"name": name}, "value": value, **members}


test_priority_classes = table([
    *valid(CLASS, of("mine", 1_000_000_000, preemptionPolicy="Never"), of("system-node-critical", 2_000_001_000)),
    (CLASS, of("mine", 1_000_000_001), "value- : maximum allowed value of a user defined priority is 1000000000"),
    (CLASS, of("mine", 1, preemptionPolicy=""), "preemptionPolicy!"),
    (CLASS, of("mine", 1, preemptionPolicy="Always"), "preemptionPolicy PreemptLowerPriority|Never"),
    (CLASS, of("system-node-critical", 1),
        "metadata.name- : priority class names with 'system-' prefix are reserved for system use only. error: value of system-node-critical PriorityClass must be 2000001000"),
    (CLASS, of("system-node-critical", 2_000_001_000, globalDefault=True),
        "metadata.name- : priority class names with 'system-' prefix are reserved for system use only. error: globalDefault of system-node-critical PriorityClass must be false"),
    (CLASS, of("system-mine", 1), "metadata.name- : priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class"),
    (UPDATE, (of("mine", 1, globalDefault=True), of("mine", 1))),
    (UPDATE, (of("mine", 2, preemptionPolicy="Never"), of("mine", 1)), "value- : may not be changed in an update.", "preemptionPolicy fixed"),
])  # fmt: skip

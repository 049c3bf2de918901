"""Validation of priority classes (pkg/apis/scheduling/validation)."""

from rules import table

from pilothouse.api.validate import scheduling as rules
from pilothouse.api.values.fields import Object

CLASS, UPDATE = rules.validate_priority_class, rules.validate_priority_class_update


def of(name: str, value: int, **members: object) -> Object:
    return {"metadata": {"name": name}, "value": value, **members}


test_priority_classes = table([
    (CLASS, of("mine", 1_000_000_000, preemptionPolicy="Never"), []),
    (CLASS, of("mine", 1_000_000_001), ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]),
    (CLASS, of("mine", 1, preemptionPolicy=""), ["preemptionPolicy: Required value"]),
    (CLASS, of("mine", 1, preemptionPolicy="Always"), ['preemptionPolicy: Unsupported value: "Always": supported values: "PreemptLowerPriority", "Never"']),
    (CLASS, of("system-node-critical", 2_000_001_000), []),
    (CLASS, of("system-node-critical", 1),
        ["metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: value of system-node-critical PriorityClass must be 2000001000"]),
    (CLASS, of("system-node-critical", 2_000_001_000, globalDefault=True),
        ["metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: globalDefault of system-node-critical PriorityClass must be false"]),
    (CLASS, of("system-mine", 1), ["metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class"]),
    (UPDATE, (of("mine", 1, globalDefault=True), of("mine", 1)), []),
    (UPDATE, (of("mine", 2, preemptionPolicy="Never"), of("mine", 1)), ["value: Forbidden: may not be changed in an update.", 'preemptionPolicy: Invalid value: "Never": field is immutable']),
])  # fmt: skip

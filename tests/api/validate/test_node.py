"""Validation of runtime classes (pkg/apis/node/validation)."""

from rules import at, table

from pilothouse.api.validate import node as rules

CLASS, UPDATE = rules.validate_runtime_class, rules.validate_runtime_class_update
TOLERATION = {"key": "a", "operator": "Exists", "effect": "NoSchedule"}


of = at({"handler": "h"}, "scheduling", {})
test_runtime_classes = table([
    (CLASS, {"handler": "runc", "overhead": {"podFixed": {"cpu": "1"}}}, []),
    (CLASS, {}, ["handler: Required value"]),
    (CLASS, {"handler": "A_"}, ['handler: Invalid value: "A_": <RFC 1123 label>']),
    (CLASS, {"handler": "h", "overhead": {"podFixed": {"cpu": "-1", "a b": "1"}}}, ['overhead.limits[a b]: Invalid value: "a b": <name part>',
        'overhead.limits[a b]: Invalid value: "a b": must be a standard resource for containers', 'overhead.limits[cpu]: Invalid value: "-1": <not negative>']),
    (CLASS, of(nodeSelector={"a": "b"}, tolerations=[TOLERATION]), []),
    (CLASS, of(nodeSelector={"a/b/c": "-"}),
        ["scheduling.nodeSelector: Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        'scheduling.nodeSelector: Invalid value: "-": <label value>']),
    (CLASS, of(tolerations=[TOLERATION, TOLERATION]), ['scheduling.tolerations[1]: Duplicate value: {"Key":"a","Operator":"Exists","Value":"","Effect":"NoSchedule","TolerationSeconds":null}']),
    (CLASS, of(tolerations=[{"operator": "Equal"}]), ['scheduling.tolerations[0].operator: Invalid value: "Equal": <key or Exists>']),
    (UPDATE, ({"handler": "h"}, {"handler": "h"}), []),
    (UPDATE, ({"handler": "i"}, {"handler": "h"}), ['handler: Invalid value: "i": field is immutable']),
])  # fmt: skip

"""Validation of runtime classes (pkg/apis/node/validation)."""

from rules import at, below, table, valid

from pilothouse.api.validate import node as rules

CLASS, UPDATE = rules.validate_runtime_class, rules.validate_runtime_class_update
TOLERATION = {"key": "a", "operator": "Exists", "effect": "NoSchedule"}
of = at({"handler": "h"}, "scheduling", {})
test_runtime_classes = table([
    *valid(CLASS, {"handler": "runc", "overhead": {"podFixed": {"cpu": "1"}}}, of(nodeSelector={"a": "b"}, tolerations=[TOLERATION])),
    (CLASS, {}, "handler!"),
    (CLASS, {"handler": "A_"}, "handler : <RFC 1123 label>"),
    (CLASS, {"handler": "h", "overhead": {"podFixed": {"cpu": "-1", "a b": "1"}}}, *below("overhead.limits", '[a b]="a b" : <name part>', '[a b]="a b" : must be a standard resource for containers',
        '[cpu]="-1" : <not negative>')),
    (CLASS, of(nodeSelector={"a/b/c": "-"}),
        "scheduling.nodeSelector=\"a/b/c\" : a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        'scheduling.nodeSelector="-" : <label value>'),
    (CLASS, of(tolerations=[TOLERATION, TOLERATION]), 'scheduling.tolerations[1]={"Key":"a","Operator":"Exists","Value":"","Effect":"NoSchedule","TolerationSeconds":null} unique'),
    (CLASS, of(tolerations=[{"operator": "Equal"}]), "scheduling.tolerations[0].operator : <key or Exists>"),
    (UPDATE, ({"handler": "h"}, {"handler": "h"})),
    (UPDATE, ({"handler": "i"}, {"handler": "h"}), "handler fixed"),
])  # fmt: skip

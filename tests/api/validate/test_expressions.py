"""Expressions of policies and webhooks are refused with upstream's words."""

from rules import Within, alone, table, valid

from pilothouse.api.validate.expressions import Expressions, device_selector
from pilothouse.api.values.fields import Errors


def asked(method: str, *more: str, **policy: object) -> Within:
    """A method of expressions for the text of one."""
    return alone(lambda text, path, errs: getattr(Expressions(policy), method)(text, *more, path, errs))


def with_a(method: str) -> Within:
    """The same where a variable is declared."""

    def check(text: str, path: str, errs: Errors) -> None:
        expressions = Expressions({"variables": [{"name": "a"}]})
        expressions.variable("a", "1", "v[0]", errs)
        getattr(expressions, method)(text, path, errs)

    return alone(check)


PATCH, APPLY = asked("mutation", "JSONPatch"), asked("mutation", "ApplyConfiguration")
SELECTOR, CONDITION = alone(device_selector), asked("match_condition", paramKind={"kind": "A"})

test_causes = table([
    (CONDITION, "params.a == 1"),
    (asked("match_condition"), "params.a == 1", "~: Invalid value: …"),
    (asked("match_condition"), "1", "~ : must evaluate to bool but got int"),
    (asked("validation"), "object.x", "~ : must evaluate to bool but got dyn"),
    (asked("message"), "1", "~ : must evaluate to string but got int"),
    (asked("audit_value"), " 1 ", '~="1" : must evaluate to one of [string null_type] but got int'),
    (asked("audit_value"), "null"),
    (PATCH, "Object{}", "~ : must evaluate to list(JSONPatch) but got Object"),
    (APPLY, "Object{}"),
    (with_a("validation"), "variables.a == 1"),
    (with_a("validation"), "variables.b", "~ : compilation failed: ERROR: <input>:1:10: undefined field 'b'\n | variables.b\n | .........^"),
    (with_a("match_condition"), "variables.a == 1", "~ : compilation failed: ERROR: <input>:1:1: undeclared reference to 'variables' (in container '')\n | variables.a == 1\n | ^"),
    *valid(SELECTOR, 'device.attributes["dra.example.com"].model == "a"', 'device.attributes["dra.example.com"].enabled'),
    (SELECTOR, "",
        "~ : compilation failed: ERROR: <input>:1:0: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"),
    (SELECTOR, "1", "~ : must evaluate to bool or the unknown type, not int"),
    (SELECTOR, "device.attributes", "~ : must evaluate to bool or the unknown type, not map(string, map(string, google.protobuf.Any))"),
    (SELECTOR, "timestamp('2024-01-01T00:00:00Z')", "~ : must evaluate to bool or the unknown type, not google.protobuf.Timestamp"),
    (SELECTOR, "device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, a + b + c == d))))", "~- : too complex, exceeds cost limit"),
])  # fmt: skip

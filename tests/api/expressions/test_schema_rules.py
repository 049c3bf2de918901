"""The rules of a schema: what is said of those that cannot be used."""

from typing import Any

from pilothouse.api.expressions.schema_rules import CompiledRule, compile_rules
from pilothouse.api.expressions.schema_types import declare

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string", "maxLength": 10}, "n": {"type": "integer"}},
}


def rule(text: str, **more: Any) -> CompiledRule:
    declared = declare(SCHEMA, "self")
    assert declared is not None
    return compile_rules([{"rule": text, **more}], declared, estimated=True)[0]


def test_a_rule_that_can_be_used() -> None:
    found = rule("self.a.contains('x') || self.n == oldSelf.n", messageExpression="'no: ' + self.a")
    assert (
        found.program is not None
        and found.message is not None
        and not found.error
        and not found.message_error
    )
    assert found.uses_old and not found.optional_old
    assert (found.cost, found.message_cost) == (1 + 1 + 4 * 1 + 4, 2 + 5)


def test_faults() -> None:
    assert rule(" ") == CompiledRule({"rule": " "})
    assert (
        rule("self.x").error
        == "compilation failed: ERROR: <input>:1:5: undefined field 'x'\n | self.x\n | ....^"
    )
    assert rule("self.a").error == "cel expression must evaluate to a bool"
    assert rule("int('a') == 1").error == (
        "program instantiation failed: type conversion error from 'string' to 'int'"
    )
    told = rule("true", messageExpression="self.x")
    assert told.message_error.startswith(
        "messageExpression compilation failed: ERROR: <input>:1:5: undefined"
    )
    assert rule("true", messageExpression="1").message_error == "messageExpression must evaluate to a string"


def test_the_old_value_may_be_optional() -> None:
    assert rule("oldSelf.?a.orValue('') == ''", optionalOldSelf=True).error == ""
    assert "found no matching overload" in rule("oldSelf.a == ''", optionalOldSelf=True).error

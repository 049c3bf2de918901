"""Rules from which tables are made, and the rules for changes."""

from typing import Any

from pilothouse.api.validate import declare as d
from pilothouse.api.values.fields import Errors


def told(rule: d.Rule, value: Any) -> list[str]:
    errs = Errors()
    rule(value, "a", errs)
    return [f"{cause['field']}: {cause['message']}" for cause in errs.causes]


def told_of_change(change: d.Change, new: Any, old: Any) -> list[str]:
    errs = Errors()
    change(new, old, errs)
    return [f"{cause['field']}: {cause['message']}" for cause in errs.causes]


def test_messages_are_told_one_by_one_or_joined() -> None:
    def check(value: str) -> list[str]:
        return ["one", "two"] if value == "bad" else []

    assert told(d.Matches(check), "good") == []
    assert told(d.Matches(check), "bad") == ['a: Invalid value: "bad": one', 'a: Invalid value: "bad": two']
    assert told(d.Matches(check, ", ", "it is {}"), "bad") == ['a: Invalid value: "bad": it is one, two']


def test_texts_that_must_be_one_of_some() -> None:
    assert told(d.one_of("A", "B"), "") == ['a: Unsupported value: "": supported values: "A", "B"']
    assert told(d.chosen("A", "B"), "") == ["a: Required value"]
    assert told(d.chosen("A", "B"), "C") == ['a: Unsupported value: "C": supported values: "A", "B"']
    assert told(d.nonempty(d.max_bytes(2), why="it counts"), "") == ["a: Required value: it counts"]
    assert told(d.nonempty(d.max_bytes(2)), "äb") == ["a: Too long: may not be more than 2 bytes"]


def test_what_must_not_change() -> None:
    rule = d.change(d.fixed("spec.a", "", at="spec.b", show=str.upper), d.anew(lambda obj, errs: errs.required("c")))
    assert told_of_change(rule, {"spec": {"a": "x"}}, {"spec": {"a": "x"}}) == ["c: Required value"]
    assert told_of_change(rule, {"spec": {"a": "x"}}, {}) == ['spec.b: Invalid value: "X": field is immutable', "c: Required value"]
    assert told_of_change(d.fixed("spec.a", ""), {}, {"spec": {"a": ""}}) == []
    assert told_of_change(d.fixed("a", forbidden="no"), {}, {"a": 1}) == ["a: Forbidden: no"]
    typed = d.fixed("a", show="api.core.v1.Capabilities")
    assert told_of_change(typed, {"a": {"add": ["x"]}}, {}) == ['a: Invalid value: {"Add":["x"],"Drop":null}: field is immutable']


def test_faults_of_what_is_stored() -> None:
    assert d.finds_fault(d.dns_label, "A") and not d.finds_fault(d.dns_label, "a")
    assert not d.finds_fault(d.dns_label, None)
    assert d.found({"a": {"b": 1}}, ("a", "b")) == 1
    assert d.found({"a": None}, ("a", "b"), "z") == d.found(None, ("a",), "z") == "z"

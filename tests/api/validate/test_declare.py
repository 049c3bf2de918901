"""Rules from which tables are made, and the rules for changes."""

from rules import alone, table

from pilothouse.api.validate import declare as d


def one_or_two(value: str) -> list[str]:
    return ["one", "two"] if value == "bad" else []


SEVERAL, ONE_OF, CHOSEN, SHORT = d.Matches(one_or_two), d.one_of("A", "B"), d.chosen("A", "B"), d.nonempty(d.max_bytes(2))
CHANGE = d.change(d.fixed("spec.a", "", at="spec.b", show=str.upper), d.anew(lambda obj, errs: errs.required("c")))

test_rules = table([
    (alone(SEVERAL), "good"),
    (alone(SEVERAL), "bad", "~ : one", "~ : two"),
    (alone(d.Matches(one_or_two, ", ", "it is {}")), "bad", "~ : it is one, two"),
    (alone(ONE_OF), "", "~ A|B"),
    (alone(CHOSEN), "", "~!"),
    (alone(CHOSEN), "C", "~ A|B"),
    (alone(d.nonempty(d.max_bytes(2), why="it counts")), "", "~! : it counts"),
    (alone(SHORT), "äb", "~ max:2"),
    (CHANGE, ({"spec": {"a": "x"}}, {"spec": {"a": "x"}}), "c!"),
    (CHANGE, ({"spec": {"a": "x"}}, {}), 'spec.b="X" fixed', "c!"),
    (d.fixed("spec.a", ""), ({}, {"spec": {"a": ""}})),
    (d.fixed("a", forbidden="no"), ({}, {"a": 1}), "a- : no"),
    (d.fixed("a", show="api.core.v1.Capabilities"), ({"a": {"add": ["x"]}}, {}), 'a={"Add":["x"],"Drop":null} fixed'),
])  # fmt: skip


def test_faults_of_what_is_stored() -> None:
    assert d.finds_fault(d.dns_label, "A") and not d.finds_fault(d.dns_label, "a")
    assert not d.finds_fault(d.dns_label, None)
    assert d.found({"a": {"b": 1}}, ("a", "b")) == 1
    assert d.found({"a": None}, ("a", "b"), "z") == d.found(None, ("a",), "z") == "z"

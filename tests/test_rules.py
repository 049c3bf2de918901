"""The notation of causes in tables of tests (tests/rules.py), and that a test of a case can fail."""

import pytest
from rules import alone, at, begun, each, gives, table, whole, within

from pilothouse.api.values.fields import Errors, Object

GIVEN: Object = {"spec": {"a": 1, "b": "x", "list": [{"n": "y"}, "z"]}}


def one_cause(value: object, path: str, errs: Errors) -> None:
    errs.invalid(path, value, "no")


AT_SPEC = within("spec", lambda obj, errs: one_cause(obj["spec"]["a"], "spec.a", errs))
test_notation = gives(lambda cause: whole(cause, AT_SPEC, GIVEN), [
    ("spec.a!", ["spec.a: Required value"]),
    ("spec.a! : why: it counts", ["spec.a: Required value: why: it counts"]),
    ("spec.a- : no", ["spec.a: Forbidden: no"]),
    ("~.a : no", ["~.a: Invalid value: 1: no"]),
    ('spec="x y" : no', ['spec: Invalid value: "x y": no']),
    ("spec.b X|Y", ['spec.b: Unsupported value: "x": supported values: "X", "Y"']),
    ('spec.b="" |Y', ['spec.b: Unsupported value: "": supported values: "Y"']),
    ("spec.list[0].n unique", ['spec.list[0].n: Duplicate value: "y"']),
    ("spec.b fixed", ['spec.b: Invalid value: "x": field is immutable']),
    ("spec.a >=2", ["spec.a: Invalid value: 1: must be greater than or equal to 2"]),
    ("spec.a 2..9", ["spec.a: Invalid value: 1: must be between 2 and 9, inclusive"]),
    ("spec.b max:0", ["spec.b: Too long: may not be more than 0 bytes"]),
    ("spec.list most:1", ["spec.list: Too many: 2: must have at most 1 item"]),
    ("spec.a,b!", ["spec.a: Required value", "spec.b: Required value"]),
    ("spec.list[0],[1]!", ["spec.list[0]: Required value", "spec.list[1]: Required value"]),
    ('spec.b: Not found: "x"', ['spec.b: Not found: "x"']),
])  # fmt: skip


@pytest.mark.parametrize(
    "expected", [(), ("~.a : yes",), ("~.a : no", "~.b!"), ("~.a: Invalid value: …yes",)]
)
def test_a_case_with_other_causes_fails(expected: tuple[str, ...]) -> None:
    check = table([])
    check((AT_SPEC, GIVEN, "~.a : no"))
    check((AT_SPEC, GIVEN, "~.a: Invalid value: …no"))
    check((alone(one_cause), 3, "~ : no"))
    with pytest.raises(AssertionError):
        check((AT_SPEC, GIVEN, *expected))


def test_texts_of_which_beginning_and_end_are_known() -> None:
    assert begun(["abcd", "ab"], ["a…d", "b…"]) == ["a…d", "ab"]
    assert begun(["abcd", "ab"], ["a…d"]) == ["a…d", "ab"]


def test_objects_are_made_of_others() -> None:
    assert (
        at(GIVEN, "spec.list.0.n")("k")
        == at(GIVEN, "spec.list.0")(n="k")
        == {"spec": {"a": 1, "b": "x", "list": [{"n": "k"}, "z"]}}
    )
    assert at({}, "a.b[]", {"c": 1})(d=2) == {"a": {"b": [{"c": 1, "d": 2}]}}
    assert each({}, "a[].n")("x", "y") == {"a": [{"n": "x"}, {"n": "y"}]}

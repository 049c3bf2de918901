"""A remembered rule gives the same causes as the rule itself."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.validate.remembered import LARGEST, REMEMBERED, RememberedRule
from pilothouse.api.values.fields import Errors


class Counted:
    """Refuses negative numbers, and those above a limit from outside."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __call__(self, value: Any, path: str, errs: Errors, limit: int = 100) -> None:
        self.asked.append(value)
        for name, number in value.items():
            if not 0 <= number <= limit:
                errs.invalid(f"{path}.{name}", number, "no")


values = st.dictionaries(st.sampled_from("abc"), st.integers(-2, 120), max_size=3)


@given(st.lists(st.tuples(values, st.sampled_from([50, 100])), max_size=30))
def test_the_causes_are_the_rules_own(asked: list[tuple[dict[str, int], int]]) -> None:
    rule = RememberedRule(Counted())
    for i, (value, limit) in enumerate(asked):
        got, want = Errors(), Errors()
        rule(value, f"at[{i}]", got, limit)
        Counted()(value, f"at[{i}]", want, limit)
        assert got.causes == want.causes


def test_a_value_without_a_cause_is_asked_about_once_in_each_context() -> None:
    inner = Counted()
    rule = RememberedRule(inner)
    for _ in range(3):
        rule({"a": 60}, "x", Errors(), 100)
    assert len(inner.asked) == 1
    errs = Errors()
    for _ in range(2):
        rule({"a": 60}, "x", errs, 50)
    assert len(errs) == 2
    for _ in range(3):
        rule({"a": 61}, "x", Errors())  # and without any
    assert len(inner.asked) == 4


def test_what_is_remembered_is_bounded() -> None:
    inner = Counted()
    rule = RememberedRule(inner)
    for number in (*range(REMEMBERED + 1), 0):
        rule({"a": number}, "x", Errors(), REMEMBERED)
    assert len(inner.asked) == REMEMBERED + 2, "the first is forgotten when there are too many"
    large = {f"name-{i}": 1 for i in range(LARGEST)}
    rule(large, "x", Errors())
    rule(large, "x", Errors())
    assert len(inner.asked) == REMEMBERED + 4

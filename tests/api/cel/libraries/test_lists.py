"""Functions on lists and sets."""

from typing import Any

import pytest

from pilothouse.api.cel import DYN, Environment, EvaluationError

KNOWN = Environment({"x": DYN}, validated=False)


def value(text: str) -> Any:
    return KNOWN.compile(text).evaluate({"x": [3, 1, 2, 1]})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[1, 2, 2].isSorted() && !['b', 'a'].isSorted()", True),
        ("[1, 2].sum() == 3 && [1.5].sum() == 1.5 && [1u].sum() == 1u", True),
        ("[duration('1s'), duration('1m')].sum() == duration('61s')", True),
        ("dyn([]).sum() == 0", True),
        ("[3, 1].min() + [3, 1].max()", 4),
        ("['b', 'a'].max()", "b"),
        ("[1, 2, 1].indexOf(1) + 10 * [1, 2, 1].lastIndexOf(1)", 20),
        ("[1].indexOf(3)", -1),
        ("[1, 2, 3].slice(1, 3)", [2, 3]),
        ("[[1], [2, 3]].flatten()", [1, 2, 3]),
        ("[[1, [2, [3]]]].flatten(2)", [1, 2, [3]]),
        ("[3, 1, 2].sort()", [1, 2, 3]),
        ("['b', 'a'].sort()", ["a", "b"]),
        ("['bb', 'a'].sortBy(e, e.size())", ["a", "bb"]),
        ("lists.range(3)", [0, 1, 2]),
        ("[1, 2].reverse()", [2, 1]),
        ("[1, 2, 1, 1.0].distinct()", [1, 2]),
        ("x.sort()", [1, 1, 2, 3]),
        ("[1, 2].first().value() + [1, 2].last().value()", 3),
        ("sets.contains([1, 2, 3], [2, 1.0])", True),
        ("sets.contains([1], [1, 2])", False),
        ("sets.equivalent([1, 1], [dyn(1u)])", True),
        ("sets.intersects([1], [2, 1])", True),
        ("sets.intersects([1], [])", False),
    ],
)
def test_values(text: str, wanted: Any) -> None:
    assert value(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("dyn([]).min()", "min called on empty list"),
        ("[1].slice(0, 2)", "cannot slice(0, 2), list is length 1"),
        ("[1].slice(1, 0)", "cannot slice(1, 0), start index must be less than or equal to end index"),
        ("[1].slice(-1, 0)", "cannot slice(-1, 0), negative indexes not supported"),
        ("[[1]].flatten(-1)", "level must be non-negative"),
        ("dyn([1, 'a']).sort()", "list elements must have the same type"),
        ("dyn([[1]]).sort()", "list elements must be comparable"),
    ],
)
def test_errors(text: str, wanted: str) -> None:
    with pytest.raises(EvaluationError) as found:
        value(text)
    assert str(found.value) == wanted

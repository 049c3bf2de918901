"""Compressed lists of job indexes."""

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.validate.job_indexes import overlap, parse_indexes

SETS = st.sets(st.integers(0, 30))


@pytest.mark.parametrize(("text", "message"), [
    ("5-1", 'too large index: "5"'),
    ("1-2-3", 'the fragment "1-2-3" violates the requirement'),
    ("x", 'cannot convert string to integer for index: "x"'),
    ("2,1", "non-increasing order, previous: 2, current: 1"),
    ("2-2", "non-increasing order, previous: 2, current: 2"),
])  # fmt: skip
def test_malformed_lists(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_indexes(text, 4)


def written(indexes: set[int]) -> str:
    """The shortest list of a set of indexes."""
    parts: list[str] = []
    run: list[int] = []
    for index in [*sorted(indexes), -1]:
        if run and index != run[-1] + 1:
            parts.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]))
            run = []
        run.append(index)
    return ",".join(parts)


@settings(max_examples=30 * SCALE, deadline=None)
@given(SETS, SETS)
def test_against_sets(ours: set[int], theirs: set[int]) -> None:
    assert parse_indexes(written(ours), 31) == len(ours)
    assert overlap(written(ours), written(theirs), 31) == min(ours & theirs, default=None)

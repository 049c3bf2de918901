"""The texts of index sets."""

import pytest

from pilothouse.simulate.workloads.job.indexes import parse, show


@pytest.mark.parametrize(
    ("indexes", "text"),
    [(set(), ""), ({3}, "3"), ({0, 1}, "0,1"), ({0, 1, 2, 5}, "0-2,5"), ({1, 3, 4, 5, 9, 10}, "1,3-5,9,10")],
)
def test_texts(indexes: set[int], text: str) -> None:
    assert show(indexes) == text
    assert parse(text) == indexes

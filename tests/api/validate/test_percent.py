"""Numbers or percentages."""

import pytest

from pilothouse.api.validate import percent as rules
from pilothouse.api.values.fields import Errors


@pytest.mark.parametrize(("value", "faults"), [(1, 0), ("25%", 0), (-1, 1), ("25", 1), ("x%", 1), (None, 0)])
def test_numbers_or_percentages(value: object, faults: int) -> None:
    errs = Errors()
    rules.validate_int_or_percent(value, "p", errs)
    assert len(errs) == faults


def test_percentages_count_by_their_number() -> None:
    assert [rules.int_or_percent(v) for v in (3, "30%", "7", "x", None)] == [3, 30, 7, 0, 0]

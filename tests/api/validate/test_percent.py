"""Numbers or percentages."""

from rules import gives

from pilothouse.api.validate import percent as rules
from pilothouse.api.values.fields import Errors


def faults(value: object) -> int:
    errs = Errors()
    rules.validate_int_or_percent(value, "p", errs)
    return len(errs)


test_numbers_or_percentages = gives(faults, [(1, 0), ("25%", 0), (-1, 1), ("25", 1), ("x%", 1), (None, 0)])
test_percentages_count_by_their_number = gives(rules.int_or_percent, [(3, 3), ("30%", 30), ("7", 7), ("x", 0), (None, 0)])

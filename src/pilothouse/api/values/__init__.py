"""Values inside objects: quantities, times, names, selectors, errors of fields. Knows no kind."""

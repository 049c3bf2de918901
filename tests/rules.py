"""Tables of validation rules: an object, and its causes as lines `field: reason: detail`."""

import copy
import re
from collections.abc import Callable
from typing import Any

from pilothouse.api.fields import Errors, Object

Case = tuple[Callable[..., None], Object | tuple[Object, Object], list[str]]
"""A rule, the new object or new and old, and what it finds."""

_EXAMPLES = re.compile(r" \(e\.g\. .*?regex used for validation is '.*?'\)", re.S)

GONE = ...
"""As a value of `put`: the member is taken away."""


def causes(rule: Callable[..., None], given: Object | tuple[Object, Object]) -> list[str]:
    """What a rule finds; upstream's text after the field says the reason (`Required value`, ...) and the detail.

    The examples and patterns at the end of sentences about names are left out: the tests of `api/names.py` have them.
    """
    objects = given if isinstance(given, tuple) else (given,)
    errs = Errors()
    rule(*objects, errs)
    return [f"{cause['field']}: {_EXAMPLES.sub('', cause['message'])}" for cause in errs.causes]


def put(obj: Object, changes: dict[str, Any]) -> Object:
    """A copy with other values at paths such as `spec.containers.0.name`."""
    out = copy.deepcopy(obj)
    for path, value in changes.items():
        *steps, last = path.split(".")
        place: Any = out
        for step in steps:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        if value is GONE:
            place.pop(int(last) if isinstance(place, list) else last)
        elif isinstance(place, list):
            place[int(last) :] = [value, *place[int(last) + 1 :]]
        else:
            place[last] = value
    return out

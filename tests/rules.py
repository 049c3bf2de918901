"""Tables of validation rules: an object, and its causes as lines `field: reason: detail`.

`test_causes = table(CASES)` in a test file makes a test of each case.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from pilothouse.api.values.fields import Errors, Object

Case = tuple[Callable[..., None], Object | tuple[Object, Object], list[str]]
"""A rule, the new object or new and old, and what it finds."""

_EXAMPLES = re.compile(r" \(e\.g\. .*?regex used for validation is '.*?'\)", re.S)

SENTENCES = {
    "<RFC 1123 subdomain>": (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
        "and must start and end with an alphanumeric character"
    ),
    "<RFC 1123 label>": (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        "and must start and end with an alphanumeric character"
    ),
    "<DNS-1035 label>": (
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
        "start with an alphabetic character, and end with an alphanumeric character"
    ),
    "<label value>": (
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character"
    ),
    "<name part>": (
        "name part must consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character"
    ),
    "<IP address>": "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
    "<CIDR>": "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
}
"""Short forms of sentences that many causes end with.
Tables have the short form, and a sentence in other words has none."""

GONE = ...
"""The value of `put` that takes the member away."""


def causes(rule: Callable[..., None], given: Object | tuple[Object, Object]) -> list[str]:
    """The causes that a rule finds; upstream's text after the
    field says the reason (`Required value`, ...) and the detail.

    The examples and patterns at the end of sentences about names are left out: the tests of
    `api/values/names.py` have them. Long sentences have the short forms of SENTENCES.
    """
    objects = given if isinstance(given, tuple) else (given,)
    errs = Errors()
    rule(*objects, errs)
    return [f"{cause['field']}: {_shortened(cause['message'])}" for cause in errs.causes]


def _shortened(message: str) -> str:
    message = _EXAMPLES.sub("", message)
    for short, sentence in SENTENCES.items():
        message = message.replace(sentence, short)
    return message


def table(cases: list[Case]) -> Callable[[Case], None]:
    """A test of each case: the rule finds exactly these causes, in this order."""

    @pytest.mark.parametrize("case", cases)
    def test(case: Case) -> None:
        rule, given, expected = case
        assert causes(rule, given) == expected

    return test


def at(base: Object, path: str) -> Callable[..., Object]:
    """A function that makes a copy of `base` with the members below `path` that it is given as keywords."""
    return lambda **members: put(base, {f"{path}.{name}": value for name, value in members.items()})


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

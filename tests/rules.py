"""Tables of validation rules: an object, and its causes as lines `field: reason: detail`.

`test_causes = table(CASES)` in a test file makes a test of each case.
"""

import copy
import re
from collections.abc import Callable, Sequence
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
    "<not negative>": "must be greater than or equal to 0",
    "<port>": "must be between 1 and 65535, inclusive",
    "<ID>": "must be between 0 and 2147483647, inclusive",
    "<at most replicas>": "cannot be greater than status.replicas",
    "<other labels>": "`selector` does not match template `labels`",
    "<no standard resource>": "must be a standard resource type or fully qualified",
    "<config key>": "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    "<variable>": (
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
    ),
    "<percent>": "a valid percent string must be a numeric string followed by an ending '%'",
    "<C identifier>": (
        "a valid C identifier must start with alphabetic character or '_', "
        "followed by a string of alphanumeric characters or '_'"
    ),
    "<key or Exists>": (
        'operator must be Exists when `key` is empty, which means "match all values and all keys"'
    ),
    "<request>": (
        "must be the name of a request in the claim "
        "or the name of a request and a subrequest separated by '/'"
    ),
    "<one place>": (
        "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
    ),
    "<one place of a device>": (
        "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required "
        "when `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
    ),
    "<map key>": "this property is in x-kubernetes-list-map-keys, so it",
}
"""Short forms of sentences that many causes end with.
Tables have the short form, and a sentence in other words has none."""

MEMBERS = {
    "<required>": "requiredDuringSchedulingIgnoredDuringExecution",
    "<preferred>": "preferredDuringSchedulingIgnoredDuringExecution",
}
"""Short forms of members in paths."""

GONE = ...
"""The value of `put` that takes the member away."""


def causes(rule: Callable[..., None], given: Object | tuple[Object, Object]) -> list[str]:
    """The causes that a rule finds; upstream's text after the
    field says the reason (`Required value`, ...) and the detail.

    The examples and patterns at the end of sentences about names are left out: the tests of
    `api/values/names.py` have them. Long sentences and members have the short forms of SENTENCES and MEMBERS.
    """
    objects = given if isinstance(given, tuple) else (given,)
    errs = Errors()
    rule(*objects, errs)
    return [
        f"{_shortened(cause['field'], MEMBERS)}: {_shortened(_EXAMPLES.sub('', cause['message']), SENTENCES)}"
        for cause in errs.causes
    ]


def _shortened(text: str, forms: dict[str, str]) -> str:
    for short, whole in forms.items():
        text = text.replace(whole, short)
    return text


def within(path: str, rule: Callable[..., None]) -> Callable[..., None]:
    """A rule whose causes at `path` and below it have `~` instead of it."""

    def check(*args: Any) -> None:
        *objects, errs = args
        found = Errors()
        rule(*objects, found)
        for cause in found.causes:
            field = _shortened(cause["field"], MEMBERS)
            field = f"~{field.removeprefix(path)}" if field.startswith(path) else field
            errs.add(cause["reason"], field, cause["message"])

    return check


def below(path: str, *causes: str) -> list[str]:
    """Causes whose paths begin with `path`."""
    return [path + cause for cause in causes]


def new(rule: Callable[..., None]) -> Callable[..., None]:
    """A rule of (object, old one or None, errors) for new objects."""
    return lambda obj, errs: rule(obj, None, errs)


def changed(rule: Callable[..., None]) -> Callable[..., None]:
    """A rule of (object, errors, old one) for changed objects."""
    return lambda obj, old, errs: rule(obj, errs, old)


def table(cases: list[Case]) -> Callable[[Case], None]:
    """A test of each case: the rule finds exactly these causes, in this order."""

    @pytest.mark.parametrize("case", cases)
    def test(case: Case) -> None:
        rule, given, expected = case
        assert causes(rule, given) == expected

    return test


def gives(function: Callable[[Any], Any], cases: Sequence[tuple[Any, Any]]) -> Callable[..., None]:
    """A test of each argument of a function, and what it gives for that."""

    @pytest.mark.parametrize(("given", "expected"), cases)
    def test(given: object, expected: object) -> None:
        assert function(given) == expected

    return test


def at(base: Object, path: str, default: Object | None = None) -> Callable[..., Object]:
    """A function that makes a copy of `base` with the members below `path` that it is given as keywords.

    With a default, the members are put into a copy of it, which then stands at `path`, or if that ends with
    `[]`, is the only item of the list there.
    """
    if default is None:
        return lambda **members: put(base, {f"{path}.{name}": value for name, value in members.items()})
    if path.endswith("[]"):
        return lambda **members: put(base, {path[:-2]: [{**default, **members}]})
    return lambda **members: put(base, {path: {**default, **members}})


def each(base: Object, path: str) -> Callable[..., Object]:
    """A function that makes a copy of `base` with the list of its arguments at `path`."""
    return lambda *items: put(base, {path: list(items)})


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

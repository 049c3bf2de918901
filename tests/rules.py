"""Tables of validation rules: a rule, an object, and the causes that the rule finds in it.

`test_causes = table(CASES)` in a test file makes a test of each case. A cause has the words of upstream,
`field: reason: detail`, or stands in the notation that tables of rules have:

    field!                  field: Required value
    field- : text           field: Forbidden: text
    field : text            field: Invalid value: VALUE: text
    field X|Y               field: Unsupported value: VALUE: supported values: "X", "Y"
    field unique            field: Duplicate value: VALUE
    field fixed             field: Invalid value: VALUE: field is immutable
    field >=2               field: Invalid value: VALUE: must be greater than or equal to 2
    field 1..9              field: Invalid value: VALUE: must be between 1 and 9, inclusive
    field max:2             field: Too long: may not be more than 2 bytes
    field most:2            field: Too many: LENGTH: must have at most 2 items

A text may also follow `!`. VALUE is what the object has at the field; `field=VALUE` says another one.
Fields side by side that have the same causes stand together: `spec.a,b!` or `spec.list[0],[1]!`.
A cause with `…` in it says in upstream's words how the cause begins, and ends.
"""

import copy
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import pytest

from pilothouse.api.values.fields import Errors, Object

Given = Any
"""The value that a rule judges, or a pair of the new and the old one."""
Base = Mapping[str, Any]
"""An object that others are made of."""
Case = tuple[Callable[..., None], Given, *tuple[str, ...]]
"""A rule, what it is given, and the causes that it finds."""

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

BAD = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}
"""A selector with a value that is no label."""

GONE = ...
"""The value of `put` that takes the member away."""


def causes(rule: Callable[..., None], given: Given) -> list[str]:
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


_NOTED = re.compile(
    r"(?P<field>(?:(?!: )[^=])+?)(?P<mark>[!-]?)(?:=(?P<shown>.+?))?"
    r"(?: (?P<check>unique|fixed|(?:max:|most:|>=)-?\d+|\d+\.\.\d+|[^\s:|\"]*(?:\|[^\s:|\"]+)+))?"
    r"(?: : (?P<text>.*))?",
    re.S,
)


def whole(cause: str, rule: Callable[..., None], given: Given) -> list[str]:
    """A cause, or the causes of several fields, in the words of upstream."""
    noted = _NOTED.fullmatch(cause)
    if noted is None or "…" in cause:
        return [cause]
    first, *others = noted["field"].split(",")
    fields = [first, *(_beside(first, other) for other in others)]
    return [f"{field}: {_reason(noted, field, rule, given)}" for field in fields]


def _beside(field: str, other: str) -> str:
    """The path of another field, or of another item, than the one that a path ends with."""
    return field[: field.rindex("[")] + other if other[0] == "[" else f"{field.rpartition('.')[0]}.{other}"


def _reason(noted: re.Match[str], field: str, rule: Callable[..., None], given: Given) -> str:
    """The reason and the detail of a cause."""
    _, mark, shown, check, text = noted.groups()
    detail = "" if text is None else f": {text}"
    if mark:
        return f"{'Required value' if mark == '!' else 'Forbidden'}{detail}"
    if check and check.startswith("max:"):
        return f"Too long: may not be more than {check[4:]} bytes"
    value: Any = _at(field, rule, given) if shown is None else None
    if check and check.startswith("most:"):
        return f"Too many: {shown or len(value)}: must have at most {_items(int(check[5:]))}"
    shown = shown or json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"{_checked(check, shown)}{detail}"


def _checked(check: str | None, shown: str) -> str:
    """The reason and the detail of a value that a check refuses."""
    if check == "unique":
        return f"Duplicate value: {shown}"
    if check and "|" in check:
        choices = ", ".join(f'"{choice}"' for choice in check.split("|") if choice)
        return f"Unsupported value: {shown}: supported values: {choices}"
    invalid = f"Invalid value: {shown}"
    if check is None:
        return invalid
    if check == "fixed":
        return f"{invalid}: field is immutable"
    low, dots, high = check.partition("..")
    if dots:
        return f"{invalid}: must be between {low} and {high}, inclusive"
    return f"{invalid}: must be greater than or equal to {check[2:]}"


def _items(count: int) -> str:
    return f"{count} item" if count == 1 else f"{count} items"


def _at(field: str, rule: Callable[..., None], given: Given) -> Any:
    """The value of a field of the new object."""
    value: Any = given[0] if isinstance(given, tuple) else given
    if field.startswith("~"):
        assert isinstance(rule, Within)
        field = f"{rule.place}{field[1:]}"
    for short, name in MEMBERS.items():
        field = field.replace(short, name)
    for step in re.findall(r"[^.\[\]]+|\[[^\]]*\]", field):
        value = value[int(step[1:-1])] if isinstance(value, list) else value[step.strip("[]")]
    return value


@dataclass(frozen=True)
class Within:
    """A rule whose causes at `path` have `~` instead of it, and the place of their values in the object."""

    path: str
    rule: Callable[..., None]
    place: str

    def __call__(self, *args: Any) -> None:
        *objects, errs = args
        found = Errors()
        self.rule(*objects, found)
        for cause in found.causes:
            field = _shortened(cause["field"], MEMBERS)
            field = f"~{field.removeprefix(self.path)}" if field.startswith(self.path) else field
            errs.add(cause["reason"], field, cause["message"])


def within(path: str, rule: Callable[..., None], place: str | None = None) -> Within:
    """A rule whose causes at `path` and below it have `~` instead of it.

    The value of `path` stands there in the object, too, if no other place is named.
    """
    return Within(path, rule, path if place is None else place)


def alone(rule: Callable[..., None]) -> Within:
    """A rule of (value, path, errors) for a value that is given by itself, whose path is `~`."""
    return Within("~", lambda value, errs: rule(value, "~", errs), "")


def below(path: str, *causes: str) -> list[str]:
    """Causes whose paths begin with `path`."""
    return [path + cause for cause in causes]


def new(rule: Callable[..., None]) -> Callable[..., None]:
    """A rule of (object, old one or None, errors) for new objects."""
    return lambda obj, errs: rule(obj, None, errs)


def changed(rule: Callable[..., None]) -> Callable[..., None]:
    """A rule of (object, errors, old one) for changed objects."""
    return lambda obj, old, errs: rule(obj, errs, old)


def valid(rule: Callable[..., None], *given: Given) -> list[Case]:
    """Cases in which a rule finds nothing."""
    return [(rule, each) for each in given]


def table(cases: Iterable[Case]) -> Callable[[Case], None]:
    """A test of each case: the rule finds exactly these causes, in this order."""

    @pytest.mark.parametrize("case", cases)
    def test(case: Case) -> None:
        rule, given, *expected = case
        wanted = [one for cause in expected for one in whole(cause, rule, given)]
        assert begun(causes(rule, given), wanted) == wanted

    return test


def begun(found: list[str], wanted: list[str]) -> list[str]:
    """The texts that have been found, each in the form `beginning…end` where that is wanted and fits."""
    return [
        want if one and want and "…" in want and _fits(one, want) else one
        for one, want in zip_longest(found, wanted)
    ]


def _fits(text: str, form: str) -> bool:
    head, _, tail = form.partition("…")
    return text.startswith(head) and text.endswith(tail)


def gives(function: Callable[[Any], Any], cases: Sequence[tuple[Any, Any]]) -> Callable[..., None]:
    """A test of each argument, and what a function gives for it; texts may have `…`, as causes may."""

    @pytest.mark.parametrize(("given", "expected"), cases)
    def test(given: object, expected: object) -> None:
        found = function(given)
        if isinstance(expected, str) and "…" in expected:
            [found] = begun([found], [expected])
        assert (begun(found, expected) if isinstance(expected, list) else found) == expected

    return test


def at(base: Base, path: str, default: Base | None = None) -> Callable[..., Object]:
    """A function that makes a copy of `base` with its argument at `path`, or its keywords as members of that.

    Without a default, the keywords are members besides those that are there. With one, they are put into
    a copy of it, which then stands at `path`, or if that ends with `[]`, is the only item of the list there.
    """

    def make(*value: object, **members: object) -> Object:
        if value:
            return put(base, {path: value[0]})
        if default is None:
            return put(base, {f"{path}.{name}": member for name, member in members.items()})
        made = {**default, **members}
        return put(base, {path[:-2]: [made]} if path.endswith("[]") else {path: made})

    return make


def each(base: Base, path: str) -> Callable[..., Object]:
    """A function that makes a copy of `base` with the list of its arguments at `path`.

    If the path ends in `[].name`, the arguments are the values of that member of the items.
    """
    path, _, name = path.partition("[].")
    return lambda *items: put(base, {path: [{name: item} if name else item for item in items]})


def against(old: Object, make: Callable[..., Object]) -> Callable[..., tuple[Object, Object]]:
    """A function that makes a pair of a new object, by `make`, and the old one."""
    return lambda *value, **members: (make(*value, **members), old)


def put(obj: Base, changes: Base) -> Object:
    """A copy with other values at paths such as `spec.containers.0.name`."""
    out = copy.deepcopy(dict(obj))
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

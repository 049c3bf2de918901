"""Rules from which tables are made (rules.py), and the rules for changes.

A rule is a function (value, path, errs) that adds causes.
"""

from collections.abc import Callable, Container, Sequence
from typing import Any

from pilothouse.api.validate import common
from pilothouse.api.validate.shown import shown
from pilothouse.api.values import addresses, names
from pilothouse.api.values.fields import Errors, Object

Rule = Callable[[Any, str, Errors], None]
"""Adds the causes against a value at a path."""
Whole = Callable[[Object, Errors], None]
"""Adds the causes against an object."""
Change = Callable[[Object, Object, Errors], None]
"""Adds the causes against a change: the new object, the old one."""


def every(*rules: Rule) -> Rule:
    """Applies rules one after the other."""
    if len(rules) == 1:
        return rules[0]

    def check(value: Any, path: str, errs: Errors) -> None:
        for rule in rules:
            rule(value, path, errs)

    return check


# Rules for values


class Matches:
    """A rule of names.py, with a cause for each message, or one for all of them, `joined` by a text.

    `text` is put around each message.
    """

    __slots__ = ("check", "joined", "text")

    def __init__(
        self, check: Callable[[Any], Sequence[str]], joined: str | None = None, text: str = "{}"
    ) -> None:
        self.check = check
        self.joined = joined
        self.text = text

    def __call__(self, value: Any, path: str, errs: Errors) -> None:
        wrong = self.check(value)
        if wrong and self.joined is not None:
            errs.invalid(path, value, self.text.format(self.joined.join(wrong)))
        else:
            for message in wrong:
                errs.invalid(path, value, self.text.format(message))


def nonempty(*rules: Rule, why: str = "") -> Rule:
    """The value must not be empty, and must follow the rules."""
    rule = every(*rules)

    def check(value: Any, path: str, errs: Errors) -> None:
        if value:
            rule(value, path, errs)
        else:
            errs.required(path, why)

    return check


def nonempty_text(text: str, path: str, errs: Errors) -> None:
    if not text:
        errs.required(path)


def one_of(*valid: str) -> Rule:
    """The value must be one of these, which messages list in this order."""

    def rule(value: Any, path: str, errs: Errors) -> None:
        if value not in valid:
            errs.not_supported(path, value, valid)

    return rule


def chosen(*valid: str) -> Rule:
    """The value must be one of these; an empty one is missing."""

    def rule(value: Any, path: str, errs: Errors) -> None:
        if not value:
            errs.required(path)
        elif value not in valid:
            errs.not_supported(path, value, valid)

    return rule


def holds(test: Callable[[Any], Any], why: str) -> Rule:
    """The value must pass a test."""

    def rule(value: Any, path: str, errs: Errors) -> None:
        if not test(value):
            errs.invalid(path, value, why)

    return rule


def max_bytes(limit: int) -> Rule:
    """A limit of a text in UTF-8."""

    def rule(value: str, path: str, errs: Errors) -> None:
        if names.size(value) > limit:
            errs.too_long(path, limit)

    return rule


def alone(what: str) -> Rule:
    """`*` stands alone in a list."""
    why = f"if '*' is present, must not specify other {what}"
    return holds(lambda values: len(values) < 2 or "*" not in values, why)


def apart(rule: Callable[..., None]) -> Rule:
    """The rule without what is around the table that names it: its further parameters keep their defaults."""

    def check(value: Any, path: str, errs: Errors) -> None:
        rule(value, path, errs)

    return check


def finds_fault(rule: Rule, value: Any) -> bool:
    """Whether a stored value breaks a rule, so that a change need not keep it; what is absent does not."""
    errs = Errors()
    if value is not None:
        rule(value, "", errs)
    return bool(errs)


driver_name = nonempty(max_bytes(63), Matches(lambda name: names.dns_subdomain(name.lower())))
nonnegative = holds(lambda value: value >= 0, common.NEGATIVE)
dns_label = Matches(names.dns_label)
dns1035_label = Matches(names.dns1035_label)
dns_subdomain = Matches(names.dns_subdomain)
qualified_name = Matches(names.qualified_name)
path_segment = Matches(names.path_segment)
label_value = Matches(names.label_value)
mixed_case_label = Matches(
    lambda name: names.dns1035_label(name.lower()), ",", "may have mixed case, but should otherwise match: {}"
)
port_name = Matches(names.port_name)
port = Matches(names.port_number)
valid_port = Matches(names.port_number, ", ", "port is not valid: {}")
port_or_name: Rule = common.validate_port_number_or_name
config_key = Matches(names.config_map_key)
joined_label_value = Matches(names.label_value, ";")
absolute = holds(lambda path: path.startswith("/"), "must be an absolute path")
no_address = holds(lambda host: addresses.parse_ip(host) is None, "must be a DNS name, not an IP address")
no_line_break = holds(lambda text: not {"\n", "\r"} & set(text.strip()), "must not contain line breaks")
not_blank = holds(str.strip, "must be non-empty if specified")
user_id = Matches(names.user_id)


def domain_prefixed_path(value: str, path: str, errs: Errors) -> None:
    names.domain_prefixed_path(errs, path, value)


def legacy_ip(value: str, path: str, errs: Errors, known: Container[str] | None) -> None:
    """An address in a field older than strict validation; `known` ones are those of the stored object."""
    common.validate_ip(value, path, errs, known or ())


def fully_qualified_name(value: str, path: str, errs: Errors) -> None:
    names.fully_qualified_name(errs, path, value)


labels: Rule = common.validate_labels
annotations: Rule = common.validate_annotations
label_selector: Rule = common.validate_label_selector


def selector(any_value: bool) -> Rule:
    """A label selector; `any_value` if the stored object has one with invalid values."""
    return lambda value, path, errs: common.validate_label_selector(
        value, path, errs, allow_invalid_values=any_value
    )


any_selector = selector(True)


# Changes


def change(*parts: Change) -> Change:
    """The rules for a change, in their order."""

    def check(obj: Object, old: Object, errs: Errors) -> None:
        for part in parts:
            part(obj, old, errs)

    return check


def anew(rules: Whole) -> Change:
    """A changed object is judged like a new one."""
    return lambda obj, old, errs: rules(obj, errs)


def fixed(
    member: str,
    zero: Any = None,
    *,
    at: str | None = None,
    show: str | Callable[[Any], Any] = lambda value: value,
    why: str = common.IMMUTABLE,
    forbidden: str = "",
) -> Change:
    """A member, found by a path such as `spec.selector`, must not change.

    show: gives the value for the message, or names its form (shown.shown).
    forbidden: why, if the change is forbidden.
    """
    steps, path = member.split("."), member if at is None else at

    def check(obj: Object, old: Object, errs: Errors) -> None:
        new, before = found(obj, steps, zero), found(old, steps, zero)
        if common.equal(new, before):
            return
        if forbidden:
            errs.forbidden(path, forbidden)
        else:
            errs.invalid(path, shown(new, show) if isinstance(show, str) else show(new), why)

    return check


def found(obj: Any, steps: Sequence[str], zero: Any = None) -> Any:
    """The value that member names lead to; `zero` if there is none."""
    for step in steps:
        obj = (obj or {}).get(step)
    return zero if obj is None else obj

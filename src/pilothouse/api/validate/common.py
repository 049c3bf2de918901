"""Validation shared by many kinds: labels, selectors, numbers, immutability, conditions, references."""

from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from typing import Any

from pilothouse.api.changes._fieldset import same
from pilothouse.api.validate.shown import META_MEMBERS
from pilothouse.api.values import addresses, names
from pilothouse.api.values.fields import Errors, Object

NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"
NOT_POSITIVE = "must be greater than zero"
NOT_INTEGER = "must be an integer"
ANNOTATIONS_LIMIT = 256 * 1024


def report(path: str, value: Any, messages: Iterable[str], errs: Errors) -> None:
    """Add an Invalid cause for each message."""
    for message in messages:
        errs.invalid(path, value, message)


class Repeated:
    """An Invalid cause for many items that shows the same value; its message is formatted only once."""

    __slots__ = ("_message", "_value", "_why")

    def __init__(self, value: Any, why: str) -> None:
        self._value, self._why, self._message = value, why, ""

    def add_to(self, errs: Errors, path: str) -> None:
        """Add the cause at another path."""
        if not self._message:
            one = Errors()
            one.invalid(path, self._value, self._why)
            self._message = one.causes[0]["message"]
        errs.add("FieldValueInvalid", path, self._message)


def equal(a: Any, b: Any) -> bool:
    """Semantic equality of two JSON values: absent, null and empty maps and lists are the same."""
    if same(a, b):  # PERF: true for nearly all calls, and compares in C
        return True
    if isinstance(a, dict) or isinstance(b, dict):
        if not isinstance(a or {}, dict) or not isinstance(b or {}, dict):
            return False
        a, b = a or {}, b or {}
        return all(_equal_member(a.get(k), b.get(k)) for k in a.keys() | b.keys())
    if isinstance(a, list) or isinstance(b, list):
        a, b = a or [], b or []
        if not isinstance(a, list) or not isinstance(b, list) or len(a) != len(b):
            return False
        return all(map(equal, a, b))
    return type(a) is type(b) and bool(a == b)


def _equal_member(a: Any, b: Any) -> bool:
    """An empty struct differs from an absent one, an empty list does not (decoding drops empty maps)."""
    if a is None or b is None:
        other = b if a is None else a
        return other is None or other == []
    return equal(a, b)


def copy_members(target: Object, source: Object, *members: str) -> None:
    """Set members of one object to what they are in another, or remove them if they are absent there."""
    for member in members:
        if member in source:
            target[member] = source[member]
        else:
            target.pop(member, None)


def is_true(obj: Object, condition: str) -> bool:
    """Whether a condition in the status of an object is True."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == condition and c.get("status") == "True" for c in conditions)


def doubles(values: Iterable[Hashable]) -> list[int]:
    """Positions of values that also occur earlier."""
    seen: set[Hashable] = set()
    out = []
    for i, value in enumerate(values):
        if value in seen:
            out.append(i)
        seen.add(value)
    return out


def validate_ip(value: str, path: str, errs: Errors, old: Container[str] = ()) -> None:
    """Validates an address in a field older than strict validation; values of the old object are allowed."""
    if value not in old:
        report(path, value, addresses.ip_legacy(value), errs)


def validate_cidr(value: str, path: str, errs: Errors, old: Container[str] = ()) -> None:
    """Validates a CIDR in a field older than strict validation; values of the old object are allowed."""
    if value not in old:
        report(path, value, addresses.cidr_legacy(value), errs)


def is_ipv6(text: str) -> bool:
    address = addresses.parse_ip(text)
    return address is not None and address.version == 6


def validate_port_number_or_name(port: Any, path: str, errs: Errors) -> None:
    """Validates an IntOrString that is a port's number or name."""
    if isinstance(port, str):
        report(path, port, names.port_name(port), errs)
    else:
        report(path, port or 0, names.port_number(port or 0), errs)


def validate_labels(labels: Mapping[str, str] | None, path: str, errs: Errors) -> None:
    for name, value in sorted((labels or {}).items()):
        report(path, name, names.qualified_name(name), errs)
        report(path, value, names.label_value(value), errs)


def validate_template_metadata(metadata: Object, path: str, errs: Errors) -> None:
    """Validates the metadata of a claim template, of which only labels and annotations are used."""
    validate_annotations(metadata.get("annotations"), f"{path}.annotations", errs)
    validate_labels(metadata.get("labels"), f"{path}.labels", errs)
    for member in META_MEMBERS:
        if member not in ("annotations", "labels") and metadata.get(member):
            name = "uID" if member == "uid" else member  # upstream lowers the first letter of Go's name
            errs.forbidden(f"{path}.{name}", "cannot be set")


def validate_annotations(annotations: Mapping[str, str] | None, path: str, errs: Errors) -> None:
    """Validates a template's annotations; those of an object are validated with its metadata."""
    total = 0
    for name, value in sorted((annotations or {}).items()):
        report(path, name, names.annotation_key(name), errs)
        total += names.size(name) + names.size(value)
    if total > ANNOTATIONS_LIMIT:
        errs.too_long(path, ANNOTATIONS_LIMIT)


def validate_label_selector(
    selector: Object | None,
    path: str,
    errs: Errors,
    *,
    allow_invalid_values: bool = False,
    allow_unknown_operator: bool = False,
) -> None:
    """Validates a meta/v1 LabelSelector; `allow_invalid_values` if the stored object's has invalid ones."""
    if selector is None:
        return
    validate_labels(selector.get("matchLabels"), f"{path}.matchLabels", errs)
    for i, requirement in enumerate(selector.get("matchExpressions") or ()):
        _requirement(
            requirement, f"{path}.matchExpressions[{i}]", errs, allow_invalid_values, allow_unknown_operator
        )


def _requirement(requirement: Object, path: str, errs: Errors, any_value: bool, any_operator: bool) -> None:
    operator, values = requirement.get("operator", ""), requirement.get("values") or []
    check_values_by_operator(operator, values, f"{path}.values", errs)
    if operator not in ("In", "NotIn", "Exists", "DoesNotExist") and not any_operator:
        errs.invalid(f"{path}.operator", operator, "not a valid selector operator")
    key = requirement.get("key", "")
    report(f"{path}.key", key, names.qualified_name(key), errs)
    if not any_value:
        for i, value in enumerate(values):
            report(f"{path}.values[{i}]", value, names.label_value(value), errs)


def check_values_by_operator(operator: str, values: Sequence[str], path: str, errs: Errors) -> None:
    """Check that In and NotIn have values, and that Exists and DoesNotExist have none."""
    if operator in ("In", "NotIn") and not values:
        errs.required(path, "must be specified when `operator` is 'In' or 'NotIn'")
    if operator in ("Exists", "DoesNotExist") and values:
        errs.forbidden(path, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")


def selector_has_invalid_value(selector: Object | None) -> bool:
    """Whether an expression has a value that is no valid label value, which only older objects can have."""
    expressions = (selector or {}).get("matchExpressions") or ()
    return any(names.label_value(v) for e in expressions for v in e.get("values") or ())

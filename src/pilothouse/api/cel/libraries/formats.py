"""Named formats of text (Kubernetes' pkg/cel/library/format.go)."""

from collections.abc import Callable
from typing import Any

from pilothouse.api.cel import sizes
from pilothouse.api.cel._cel import NONE, Opaque, Optional
from pilothouse.api.cel.functions import REGEX_FACTOR, STRING_FACTOR, Functions, Overload, member, units
from pilothouse.api.cel.host import FORMATS, names, quote, request_uri
from pilothouse.api.cel.types import STRING, list_of, optional_of, struct

FORMAT = struct("kubernetes.NamedFormat", {})
_MAX_PATTERN = 128
"""Characters of the longest regular expression of a format, as the estimate has it."""


class NamedFormat(Opaque):
    """A format: what it finds wrong with a text, and for how long a regular expression it counts."""

    type_name = "kubernetes.NamedFormat"
    __slots__ = ("check", "name", "pattern_size")

    def __init__(self, name: str, check: Callable[[str], list[str]], pattern_size: int) -> None:
        self.name = name
        self.check = check
        self.pattern_size = pattern_size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedFormat) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


def _valid(name: str, words: str) -> Callable[[str], list[str]]:
    test = FORMATS[name]
    return lambda text: [] if test(text) else [words]


def _prefix(check: Callable[[str, bool], list[str]]) -> Callable[[str], list[str]]:
    return lambda text: check(text, True)


def _uri(text: str) -> list[str]:
    if request_uri(text):
        return []
    return [f"parse {quote(text)}: {'empty url' if not text else 'invalid URI for request'}"]


_DATE_TIME = 117
"""Characters of strfmt's patterns, which the cost counts."""
_UUID = 91
_NAMED = {
    "dns1123Label": NamedFormat("DNS1123Label", names.dns_label, 30),
    "dns1123Subdomain": NamedFormat("DNS1123Subdomain", names.dns_subdomain, 60),
    "dns1035Label": NamedFormat("DNS1035Label", names.dns1035_label, 30),
    "qualifiedName": NamedFormat("QualifiedName", names.qualified_name, 60),
    "dns1123LabelPrefix": NamedFormat("DNS1123LabelPrefix", _prefix(names.dns_label), 30),
    "dns1123SubdomainPrefix": NamedFormat("DNS1123SubdomainPrefix", _prefix(names.dns_subdomain), 60),
    "dns1035LabelPrefix": NamedFormat("DNS1035LabelPrefix", _prefix(names.dns1035_label), 30),
    "labelValue": NamedFormat("LabelValue", names.label_value, 40),
    "uri": NamedFormat("URI", _uri, 1103),
    "uuid": NamedFormat("uuid", _valid("uuid", "does not match the UUID format"), _UUID),
    "byte": NamedFormat("byte", _valid("byte", "invalid base64"), 84),
    "date": NamedFormat("date", _valid("date", "invalid date"), _DATE_TIME),
    "datetime": NamedFormat("datetime", _valid("datetime", "invalid datetime"), _DATE_TIME),
}


def _named(name: str) -> Optional:
    found = _NAMED.get(name)
    return Optional(found) if found is not None else NONE


def _validate(format: NamedFormat, text: str) -> Optional:
    wrong = format.check(text)
    return Optional(list(wrong)) if wrong else NONE


def _cost(format: NamedFormat, text: str) -> int:
    return units(len(text) + 1, STRING_FACTOR) * units(format.pattern_size, REGEX_FACTOR)


def _estimate(sizer: sizes.Sizer, format: sizes.Sized, text: sizes.Sized) -> sizes.Estimate:
    return sizes.Estimate(sizer.size_of(text).times(STRING_FACTOR).times(_MAX_PATTERN * REGEX_FACTOR))


def _constant(format: NamedFormat) -> Any:
    return lambda: format


FUNCTIONS: Functions = {
    "format.named": (Overload("format-named", (STRING,), optional_of(FORMAT), _named),),
    "validate": (
        member(
            "format-validate", (FORMAT, STRING), optional_of(list_of(STRING)), _validate, cost=_cost,
            estimate=_estimate,
        ),
    ),
    **{
        f"format.{name}": (Overload(f"format.{name}", (), FORMAT, _constant(format)),)
        for name, format in _NAMED.items()
    },
}  # fmt: skip

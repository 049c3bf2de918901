"""Validates names and keys (apimachinery util/validation, api/validation).

A rule returns a list of messages, which is empty for a valid value. Lengths are in UTF-8 bytes.
"""

import re
import string
import sys
from typing import TYPE_CHECKING

from pilothouse.api.values import _names
from pilothouse.api.values._names import Key, Shape
from pilothouse.api.values.patterns import Pattern
from pilothouse.caches import KnownTexts

if TYPE_CHECKING:
    from pilothouse.api.values.fields import Errors

LABEL_MAX = 63
SUBDOMAIN_MAX = 253

_ALNUM = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_ALNUM_UNDERSCORE = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_ALNUM}(\.{_ALNUM})*"
_SUBDOMAIN_UNDERSCORE = rf"{_ALNUM_UNDERSCORE}(\.{_ALNUM_UNDERSCORE})*"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_DNS1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_LABEL_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_LABEL_KEY})?"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_PERCENT = "[0-9]+%"
_HTTP_HEADER = "[-A-Za-z0-9]+"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_CONDITION_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"

_LABEL_KEY_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character"
)
_RELAXED_ENV_VAR = Pattern("[ -<>-~]*").fullmatch
_RELAXED_ENV_VAR_TEXT = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)


size = _names.size
"""The length of a text in UTF-8 bytes, in which all limits are given."""

_LOWER = string.ascii_lowercase + string.digits
_LETTERS = string.ascii_letters + string.digits
_PRINTABLE = "".join(map(chr, range(32, 127))).replace("=", "")

# The shapes of most valid names. What has another shape is judged by the patterns.
_LABEL_SHAPE = Shape(_LOWER, _LOWER + "-", _LOWER, LABEL_MAX)
_DNS1035_SHAPE = Shape(string.ascii_lowercase, _LOWER + "-", _LOWER, LABEL_MAX)
_SUBDOMAIN_SHAPE = Shape(_LOWER, _LOWER + "-", _LOWER, SUBDOMAIN_MAX, ".")
_KEY_NAME_SHAPE = Shape(_LETTERS, _LETTERS + "-_.", _LETTERS, LABEL_MAX)
_KEY_SHAPE = Key(_SUBDOMAIN_SHAPE, _KEY_NAME_SHAPE)
_MIXED_KEY_SHAPE = Key(Shape(_LETTERS, _LETTERS + "-", _LETTERS, SUBDOMAIN_MAX, "."), _KEY_NAME_SHAPE)
_FILE_SHAPE = Shape(_LETTERS + "-_", _LETTERS + "-_.", _LETTERS + "-_.", SUBDOMAIN_MAX)
VARIABLE_SHAPE = Shape(_PRINTABLE, _PRINTABLE, _PRINTABLE)


def max_len(limit: int) -> str:
    return f"must be no more than {limit} characters"


def max_bytes(limit: int) -> str:
    """Newer wording of max_len, used for label keys and values."""
    return f"must be no more than {limit} bytes"


def in_range(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


def pattern_text(what: str, pattern: str, *examples: str) -> str:
    """The message for a value that does not match a pattern."""
    if not examples:
        return f"{what} (regex used for validation is '{pattern}')"
    listed = " or ".join(f"'{example}', " for example in examples)
    return f"{what} (e.g. {listed}regex used for validation is '{pattern}')"


REMEMBERED = 1024
"""Texts that a rule remembers, because the same few occur in most writes."""


class _Pattern:
    """A regular expression with its error message."""

    __slots__ = ("limit", "match", "message")

    def __init__(self, pattern: str, what: str, *examples: str, limit: int = 0) -> None:
        self.match = Pattern(pattern).fullmatch
        self.message = pattern_text(what, pattern, *examples)
        self.limit = limit

    def check(self, value: str) -> list[str]:
        errs = [max_len(self.limit)] if self.limit and size(value) > self.limit else []
        if not self.match(value):
            errs.append(self.message)
        return errs


_subdomain = _Pattern(
    _SUBDOMAIN,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
    " start and end with an alphanumeric character",
    "example.com",
    limit=SUBDOMAIN_MAX,
)
_subdomain_underscore = _Pattern(
    _SUBDOMAIN_UNDERSCORE,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and"
    " must start and end with an alphanumeric character",
    "example.com",
    limit=SUBDOMAIN_MAX,
)
_wildcard = _Pattern(
    _WILDCARD,
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must"
    " consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    "*.example.com",
    limit=SUBDOMAIN_MAX,
)
_label = _Pattern(
    _ALNUM,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start"
    " and end with an alphanumeric character",
    "my-name",
    "123-abc",
    limit=LABEL_MAX,
)
_dns1035 = _Pattern(
    _DNS1035,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic"
    " character, and end with an alphanumeric character",
    "my-name",
    "abc-123",
    limit=LABEL_MAX,
)
_label_key = _Pattern(_LABEL_KEY, _LABEL_KEY_TEXT, "MyName", "my.name", "123-abc")
_label_value = _Pattern(
    _LABEL_VALUE,
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must"
    " start and end with an alphanumeric character",
    "MyValue",
    "my_value",
    "12345",
)
_c_identifier = _Pattern(
    _C_IDENTIFIER,
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric"
    " characters or '_'",
    "my_name",
    "MY_NAME",
    "MyName",
)
_percent = _Pattern(
    _PERCENT, "a valid percent string must be a numeric string followed by an ending '%'", "1%", "93%"
)
_http_header = _Pattern(
    _HTTP_HEADER, "a valid HTTP header must consist of alphanumeric characters or '-'", "X-Header-Name"
)
_http_path = _Pattern(_HTTP_PATH, "Invalid path")
_config_key = _Pattern(
    _CONFIG_KEY,
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    "key.name",
    "KEY_NAME",
    "key-name",
    limit=SUBDOMAIN_MAX,
)
_condition_reason = _Pattern(
    _CONDITION_REASON,
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric"
    " characters or '_,:', and must end with an alphanumeric character or '_'",
    "my_name",
    "MY_NAME",
    "MyName",
    "ReasonA,ReasonB",
    "ReasonA:ReasonB",
)


# Names of objects. `prefix` means that the value is a generateName, to which more characters are added.


def _mask_trailing_dash(name: str) -> str:
    """Replace a dash at the end of a prefix, where it is allowed;
    as upstream, together with the character before."""
    return name[:-2] + "a" if len(name) > 1 and name.endswith("-") else name


@_SUBDOMAIN_SHAPE.passes
def dns_subdomain(name: str, prefix: bool = False) -> list[str]:
    """RFC 1123 subdomain: lower case letters, digits, `-` and `.`, at most 253 bytes."""
    return _subdomain.check(_mask_trailing_dash(name) if prefix else name)


def long_name(name: str, prefix: bool = False) -> list[str]:
    """RFC 1123 subdomain by the declarative rule k8s-long-name, whose message gives the length in bytes.
    It judges names, no prefixes."""
    if prefix:
        return []
    long = max_len(SUBDOMAIN_MAX)
    return [max_bytes(SUBDOMAIN_MAX) if text == long else text for text in dns_subdomain(name)]


@_LABEL_SHAPE.passes
def dns_label(name: str, prefix: bool = False) -> list[str]:
    """RFC 1123 label: lower case letters, digits and `-`, at most 63 bytes."""
    if prefix:
        name = _mask_trailing_dash(name)
    errs = _label.check(name)
    if errs and errs[-1] is _label.message and _subdomain.match(name):
        errs[-1] = "must not contain dots"
    return errs


@_DNS1035_SHAPE.passes
def dns1035_label(name: str, prefix: bool = False) -> list[str]:
    """RFC 1035 label: like an RFC 1123 label, but it begins with a letter."""
    return _dns1035.check(_mask_trailing_dash(name) if prefix else name)


def path_segment(name: str, prefix: bool = False) -> list[str]:
    """A valid segment of a URL path."""
    if not prefix and name in {".", ".."}:
        return [f"may not be '{name}'"]
    if "/" not in name and "%" not in name:
        return []
    return [f"may not contain '{char}'" for char in "/%" if char in name]


# Names inside objects


def dns_subdomain_underscore(value: str) -> list[str]:
    """RFC 1123 subdomain whose labels may also contain and begin with underscores."""
    return _subdomain_underscore.check(value)


def wildcard_subdomain(value: str) -> list[str]:
    """`*.` followed by an RFC 1123 subdomain."""
    return _wildcard.check(value)


@_KEY_SHAPE.passes
def qualified_name(value: str) -> list[str]:
    """A label key: a name of up to 63 bytes, with an optional prefix `subdomain/`."""
    head, slash, name = value.rpartition("/")
    if "/" in head:
        return [
            f"a valid label key {_label_key.message} with an optional DNS subdomain prefix and '/'"
            " (e.g. 'example.com/MyName')"
        ]
    errs: list[str] = []
    if slash and not head:
        errs.append("prefix part must be non-empty")
    elif head:
        if size(head) > SUBDOMAIN_MAX:
            errs.append("prefix part " + max_bytes(SUBDOMAIN_MAX))
        if not _subdomain.match(head):
            errs.append("prefix part " + _subdomain.message)
    if not name:
        errs.append("name part must be non-empty")
    elif size(name) > LABEL_MAX:
        errs.append("name part " + max_bytes(LABEL_MAX))
    if not _label_key.match(name):
        errs.append("name part " + _label_key.message)
    return errs


@_MIXED_KEY_SHAPE.passes
def annotation_key(value: str) -> list[str]:
    """A qualified name in upper or lower case."""
    return qualified_name(value.lower())


def plain_annotations(annotations: dict[str, str], most: int) -> bool:
    """Whether annotations are surely valid, and have at most `most` bytes."""
    return _MIXED_KEY_SHAPE.takes_map(annotations, None, most)


def plain_labels(labels: dict[str, str]) -> bool:
    """Whether labels are surely valid."""
    return _KEY_SHAPE.takes_map(labels, _KEY_NAME_SHAPE, sys.maxsize)


@_KEY_NAME_SHAPE.passes
def label_value(value: str) -> list[str]:
    """A label value: empty, or at most 63 letters, digits,
    `-`, `_` and `.` that begin and end alphanumerically."""
    errs = [max_bytes(LABEL_MAX)] if size(value) > LABEL_MAX else []
    if not _label_value.match(value):
        errs.append(_label_value.message)
    return errs


def c_identifier(value: str) -> list[str]:
    return _c_identifier.check(value)


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else [in_range(1, 65535)]


def user_id(value: int) -> list[str]:
    """A Unix user ID; group IDs follow the same rule."""
    return [] if 0 <= value <= 2**31 - 1 else [in_range(0, 2**31 - 1)]


def port_name(value: str) -> list[str]:
    """An IANA service name in lower case."""
    if value in _port_names:
        return []
    errs = []
    if size(value) > 15:
        errs.append(max_len(15))
    if not re.fullmatch("[-a-z0-9]+", value):
        errs.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        errs.append("must contain at least one letter (a-z)")
    if "--" in value:
        errs.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        errs.append("must not begin or end with a hyphen")
    if not errs:
        _port_names.keep(value)
    return errs


_port_names = KnownTexts("names", most=REMEMBERED)


def percent(value: str) -> list[str]:
    return _percent.check(value)


def http_header_name(value: str) -> list[str]:
    return _http_header.check(value)


@VARIABLE_SHAPE.passes
def relaxed_env_var_name(value: str) -> list[str]:
    """The current rule: any printable ASCII characters except `=`."""
    errs = [] if value else ["environment variable name must be non-empty"]
    if not _RELAXED_ENV_VAR(value):
        errs.append(_RELAXED_ENV_VAR_TEXT)
    return errs


@_FILE_SHAPE.passes
def config_map_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret, which becomes a file name."""
    return _config_key.check(value) + _parent_prefix(value)


def condition_reason(value: str) -> list[str]:
    return _condition_reason.check(value)


def decimal_integer(value: str) -> list[str]:
    """A decimal integer without plus sign and leading zeros."""
    if not value:
        return ["must be non-empty"]
    ok = re.fullmatch("0|-?[1-9][0-9]*", value)
    return [] if ok else ["must be a valid decimal integer in canonical form"]


def _parent_prefix(value: str) -> list[str]:
    if value in {".", ".."}:
        return [f"must not be '{value}'"]
    return ["must not start with '..'"] if value.startswith("..") else []


# Rules that report more than one value and therefore append to `errs` themselves


def fully_qualified_name(errs: "Errors", path: str, name: str) -> None:
    """A subdomain of at least three labels."""
    if not name:
        errs.required(path)
    elif wrong := dns_subdomain(name):
        errs.invalid(path, name, ",".join(wrong))
    elif name.count(".") < 2:
        errs.invalid(path, name, "should be a domain with at least three segments separated by dots")


def fully_qualified_domain_name(errs: "Errors", path: str, name: str) -> None:
    """A subdomain of at least two DNS labels, with an optional dot at the end."""
    if not name:
        errs.required(path)
        return
    name = name.removesuffix(".")
    if wrong := dns_subdomain(name):
        errs.invalid(path, name, ",".join(wrong))
        return
    labels = name.split(".")
    if len(labels) < 2:
        errs.invalid(path, name, "should be a domain with at least two segments separated by dots")
        return
    for label in labels:
        if wrong := dns_label(label):
            errs.invalid(path, label, ",".join(wrong))
            return


def domain_prefixed_path(errs: "Errors", path: str, value: str) -> None:
    """`acme.io/foo`: a subdomain, a slash and a valid HTTP path."""
    if not value:
        errs.required(path)
        return
    host, _, rest = value.partition("/")
    if not host or not rest:
        errs.invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    for wrong in dns_subdomain(host):
        errs.invalid(path, host, wrong)
    for wrong in _http_path.check(rest):
        errs.invalid(path, rest, wrong)

"""Validates the string formats of custom resources (kube-openapi pkg/validation/strfmt).

Patterns with repeated groups use RE2, because a text may be as long as a request.
"""

import datetime
import functools
import ipaddress
import re
from collections.abc import Callable
from typing import Any

from pilothouse.api.values import addresses
from pilothouse.api.values.duration import go_duration
from pilothouse.process.patterns import pattern

_CARD = (
    "4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}"
    "|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11}"
)
_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})"
_BYTE = "(?:0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])"
_SPACE = r"[\t\n\f\r ]*"
_RGB = rf"rgb\({_SPACE}{_BYTE}{_SPACE},{_SPACE}{_BYTE}{_SPACE},{_SPACE}{_BYTE}{_SPACE}\)"
_DATE = "([0-9]{4})-([0-9]{2})-([0-9]{2})"
_TIME = r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))"
_DURATION_PART = r"([0-9]+)[\t\n\f\r ]*([A-Za-zµ]+)"
_DURATION_UNITS = (
    ("ns", "nano"),
    ("us", "µs", "micro"),
    ("ms", "milli"),
    ("s", "sec"),
    ("m", "min"),
    ("h", "hr", "hour"),
    ("d", "day"),
    ("w", "wk", "week"),
)
_SHORT_NAME = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x{80}-\x{10ffff}-]+"
_BLANKS = r"\t-\r\x1c-\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
"""The characters for which str.isspace is true."""
_BLANK = f"[{_BLANKS}]"
_QUOTED = r'"(?:[^"\\\r\n]|\\[^\r\n])*"'
_DOMAIN = rf"\[[^\[\]\\{_BLANKS}]+\]"
_ADDRESS = rf"(?:{_ATOM}(?:\.{_ATOM})*|{_QUOTED})@(?:{_ATOM}(?:\.{_ATOM})*|{_DOMAIN})"
_WORD = rf"(?:{_ATOM}|{_QUOTED}|\.)"
_EMAIL = rf"{_BLANK}*(?:{_ADDRESS}|(?:{_WORD}(?:{_BLANK}+{_WORD})*)?{_BLANK}*<{_ADDRESS}>){_BLANK}*"
_SCHEME = pattern("([A-Za-z][A-Za-z0-9+.-]*):")
_NOT_IN_HOST = pattern(r"[\x00- #/?@\\^`{|}\x7f]")
_USER_TEXT = pattern("[A-Za-z0-9._:~!$&'()*+,;=%@-]*")
_INT_MAX = 2**63 - 1
_INT_DIGITS = 19


@functools.lru_cache(maxsize=8)
def _re2(pattern: str) -> Any:
    """One of the patterns of this file, compiled when it is needed."""
    import re2

    return re2.compile(pattern)


def _full(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text, re.ASCII) is not None  # compiled once it is needed


_SHORT = _full(_SHORT_NAME)
_LONG = _full(rf"{_SHORT_NAME}(\.{_SHORT_NAME})*")


def _uuid(version: str, variant: str) -> Callable[[str], bool]:
    return _full(f"(?i:[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{version}-?{variant}-?[0-9a-f]{{12}})")


def hostname(text: str) -> bool:
    """RFC 1123 names, also with symbols and letters of any script;
    the last of several labels consists of letters."""
    if len(text.encode()) > 255:
        return False
    *labels, last = text.split(".")
    if any(len(part.encode()) > 63 for part in (*labels, last)):
        return False
    if not labels:
        return _host_label(last[:1]) and (len(last) == 1 or _host_text(last[1:].removeprefix("-")))
    top = len(last) >= 2 and all(
        (c.isascii() and c.isalpha()) or (not c.isascii() and _category(c) == "L") for c in last
    )
    return top and all(map(_host_label, labels))


def _host_label(text: str) -> bool:
    return bool(text) and _host_text(text[0]) and _host_text(text[-1]) and _host_text(text.replace("-", ""))


def _host_text(text: str) -> bool:
    return all(c.isalnum() if c.isascii() else _category(c) in "SL" for c in text.translate(_ASCII_SYMBOLS))


def _category(char: str) -> str:
    import unicodedata

    return unicodedata.category(char)[0]


_ASCII_SYMBOLS = dict.fromkeys(map(ord, "$+<=>^`|~"), "a")
"""ASCII characters of the Unicode category S, which are treated as letters."""


def request_uri(text: str) -> bool:
    """An absolute URI or an absolute path (Go's url.ParseRequestURI)."""
    if not text or any(c < " " or c == "\x7f" for c in text):
        return False
    if text == "*":
        return True
    if text[0] == ":":
        return False
    match = _SCHEME.match(text)
    rest = text[match.end() :] if match else text
    rest = rest.partition("?")[0]
    if not rest.startswith("/"):
        return match is not None
    if match and rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        if not _authority(authority):
            return False
        rest = slash + path
    return _escapes(rest)


def _authority(text: str) -> bool:
    user, at, host = text.rpartition("@")
    if at and not (_USER_TEXT.fullmatch(user) and _escapes(user)):
        return False
    if _NOT_IN_HOST.search(host):
        return False
    if host.startswith("["):
        _, closing, port = host.rpartition("]")
        return bool(closing) and _port(port)
    _, colon, port = host.rpartition(":")
    if "%" in host:  # in a host only bytes beyond ASCII may be escaped
        return all(part[:1] in "89abcdefABCDEF" and _escapes("%" + part) for part in host.split("%")[1:])
    return _port(colon + port) if colon else True


def _port(text: str) -> bool:
    return not text or (text[0] == ":" and (not text[1:] or (text[1:].isascii() and text[1:].isdigit())))


def _escapes(text: str) -> bool:
    return all(re.match("[0-9A-Fa-f]{2}", part) for part in text.split("%")[1:])


def ipv4(text: str) -> bool:
    """An IPv4 address; leading zeros are allowed, as upstream."""
    return "." in text and addresses.parse_ip(text) is not None


def ipv6(text: str) -> bool:
    if ":" not in text or "%" in text:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def cidr(text: str) -> bool:
    return addresses.parse_cidr(text) is not None


def mac(text: str) -> bool:
    """6, 8 or 20 bytes in the groupings of Go's net.ParseMAC."""
    if len(text) < 14:
        return False
    size, sign = (4, ".") if text[4] == "." else (2, text[2])
    if sign not in (":.-" if size == 2 else ".") or (size == 2 and sign == "."):
        return False
    groups = text.split(sign)
    if len(groups) * size // 2 not in (6, 8, 20):
        return False
    return all(re.fullmatch(f"[0-9a-fA-F]{{{size}}}", group) for group in groups)


def isbn10(text: str) -> bool:
    text = re.sub(r"[\t\n\f\r -]+", "", text)
    if not re.fullmatch("[0-9]{9}[0-9X]", text):
        return False
    return sum((i + 1) * (10 if c == "X" else int(c)) for i, c in enumerate(text)) % 11 == 0


def isbn13(text: str) -> bool:
    text = re.sub(r"[\t\n\f\r -]+", "", text)
    if not re.fullmatch("[0-9]{13}", text):
        return False
    checksum = sum((1, 3)[i % 2] * int(c) for i, c in enumerate(text[:12]))
    return int(text[12]) == (10 - checksum % 10) % 10


def credit_card(text: str) -> bool:
    """A number of a known issuer with a valid Luhn checksum; characters other than digits are ignored."""
    digits = re.sub("[^0-9]+", "", text)
    if not re.fullmatch(_CARD, digits):
        return False
    total = 0
    for i, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if i % 2 else 1)
        total += value % 10 + 1 if value >= 10 else value
    return total % 10 == 0


def ssn(text: str) -> bool:
    return len(text) == 11 and re.fullmatch("[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}", text) is not None


def date(text: str) -> bool:
    """A full-date of RFC 3339; the year 0 is allowed."""
    match = re.fullmatch(_DATE, text)
    if match is None:
        return False
    year, month, day = map(int, match.groups())
    try:
        datetime.date(year or 4, month, day)  # the year 0 is a leap year, as is 4
    except ValueError:
        return False
    return True


def date_time(text: str) -> bool:
    """A date-time of RFC 3339."""
    parts = text.lower().split("t")
    if len(text) < 4 or len(parts) < 2 or not date(parts[0]):
        return False
    match = re.fullmatch(_TIME, parts[1])
    return match is not None and match[1] <= "23" and match[2] <= "59" and match[3] <= "59"


def duration(text: str) -> bool:
    """A Go duration, or numbers with spelled-out units as in Scala."""
    try:
        go_duration(text)
    except ValueError:
        pass
    else:
        return True
    found = False
    for number, unit in _re2(_DURATION_PART).findall(text):
        digits = number.lstrip("0")
        if len(digits) > _INT_DIGITS or int(digits or "0") > _INT_MAX:
            return False
        unit = unit.lower()
        found = found or any(unit in units or unit.startswith(units[-1]) for units in _DURATION_UNITS)
    return found


def byte(text: str) -> bool:
    return _re2(_BASE64).fullmatch(text) is not None


def email(text: str) -> bool:
    """An email address, alone or after a name and in angle brackets (RFC 5322)."""
    return _re2(_EMAIL).fullmatch(text) is not None


FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _full("[0-9a-fA-F]{24}"),
    "uri": request_uri,
    "email": email,
    "hostname": hostname,
    "ipv4": ipv4,
    "ipv6": ipv6,
    "cidr": cidr,
    "mac": mac,
    "uuid": _uuid("[0-9a-f]{4}", "[0-9a-f]{4}"),
    "uuid3": _uuid("3[0-9a-f]{3}", "[0-9a-f]{4}"),
    "uuid4": _uuid("4[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
    "uuid5": _uuid("5[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
    "isbn": lambda text: isbn10(text) or isbn13(text),
    "isbn10": isbn10,
    "isbn13": isbn13,
    "creditcard": credit_card,
    "ssn": ssn,
    "hexcolor": _full("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": lambda text: re.fullmatch(_RGB, text) is not None,
    "byte": byte,
    "password": lambda text: True,
    "date": date,
    "duration": duration,
    "datetime": date_time,
    "k8sshortname": lambda text: len(text) <= 63 and _SHORT(text),
    "k8slongname": lambda text: len(text) <= 253 and _LONG(text),
}
"""Normalised name -> function that validates a text."""

_NUMBER_FORMATS = {"integer": ("int32", "int64"), "number": ("float", "double")}


def normalise(name: str) -> str:
    """A format's name without dashes, which are not significant."""
    return name.replace("-", "")


def known(type: str, format: str) -> bool:
    """Whether a format is known for values of a type ("" for any type)."""
    if type in ("", "string"):
        return normalise(format) in FORMATS
    return format in _NUMBER_FORMATS.get(type, ())

"""Parses and validates IP addresses and subnets (apimachinery util/validation).

A rule returns a list of messages, which is empty for a valid value.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network

from pilothouse.caches import memo

Address = IPv4Address | IPv6Address
_MAX_ADDRESS = 1024
"""Characters; an IPv6 address has at most 45, but upstream ignores any number of leading zeros."""
_REMEMBERED = 1024
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_is_plain = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}").fullmatch
"""Whether a text is an IPv4 address in canonical form.

PERF: most addresses are, and each pod brings one that was never seen.
"""


def _sloppy_address(value: str) -> Address | None:
    """Parse an address and ignore leading zeros, as older versions of Go did."""
    if len(value) > _MAX_ADDRESS or not value.isascii() or "%" in value or "/" in value:
        return None
    plain = re.sub(r"(?<![0-9A-Fa-f])0+(?=[0-9A-Fa-f])", "", value)
    try:
        return IPv6Address(plain) if ":" in plain else IPv4Address(plain)
    except (AddressValueError, ValueError):
        return None


@memo("addresses", longest=48, most=_REMEMBERED)
def parse_ip(value: str) -> Address | None:
    """Parse an IP address, None if it is invalid; an IPv4-mapped IPv6 address becomes the IPv4 address."""
    address = _sloppy_address(value)
    return getattr(address, "ipv4_mapped", None) or address


@memo("addresses", longest=48, most=_REMEMBERED)
def _strict_address(value: str) -> Address | None:
    if "%" in value:
        return None
    try:
        return IPv6Address(value) if ":" in value else IPv4Address(value)
    except (AddressValueError, ValueError):
        return None


def _mapped(address: Address | None) -> bool:
    return isinstance(address, IPv6Address) and address.ipv4_mapped is not None


def ip_legacy(value: str, strict: bool = True) -> list[str]:
    """Validate a field older than strict IP validation: the canonical form is not required."""
    if _is_plain(value):
        return []
    if parse_ip(value) is None:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    if not strict:
        return []
    address = _strict_address(value)
    if address is None:
        return ["must not have leading 0s"]
    return ["must not be an IPv4-mapped IPv6 address"] if _mapped(address) else []


def ip(value: str) -> list[str]:
    """An IP address in canonical form."""
    errs = ip_legacy(value)
    if not errs and str(parse_ip(value)) != value:
        errs.append(f'must be in canonical form ("{parse_ip(value)}")')
    return errs


def ip_warnings(path: str, value: str) -> list[str]:
    """Warnings for an address that ip_legacy accepts although it is not canonical."""
    if _is_plain(value):
        return []
    address = parse_ip(value)
    if address is None:
        return []
    strict = _strict_address(value)
    if strict is None or _mapped(strict):
        return [f'{path}: non-standard IP address "{value}" is invalid: use "{address}"']
    if strict.version == 6 and str(strict) != value:
        return [f'{path}: IPv6 address "{value}" should be in RFC 5952 canonical format ("{strict}")']
    return []


def parse_cidr(value: str) -> tuple[Address, int] | None:
    """Parse a CIDR to address and prefix length; None if it is invalid.
    Ignores leading zeros, unmaps IPv4 in IPv6."""
    text, slash, digits = value.partition("/")
    address = _sloppy_address(text)
    if not slash or address is None or not (digits.isascii() and digits.isdigit()):
        return None
    length = int(digits) if len(digits) < 20 else 999
    if length > address.max_prefixlen:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None and length >= 96:
        return mapped, length - 96
    return address, length


def _network(address: Address, length: int) -> str:
    return str(ip_network((str(address), length), strict=False))


def cidr_legacy(value: str, strict: bool = True) -> list[str]:
    """Validate a CIDR field older than strict validation: the canonical form is not required."""
    parsed = parse_cidr(value)
    if parsed is None:
        return ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    if not strict:
        return []
    text, _, digits = value.partition("/")
    address = _strict_address(text)
    if address is None or (len(digits) > 1 and digits[0] == "0"):
        return ["must not have leading 0s in IP or prefix length"]
    if _mapped(address):
        return ["must not have an IPv4-mapped IPv6 address"]
    if int(address) & ((1 << (address.max_prefixlen - int(digits))) - 1):
        return ["must not have bits set beyond the prefix length"]
    return []


def cidr(value: str) -> list[str]:
    """A subnet in canonical form: `192.168.1.0/24`."""
    errs = cidr_legacy(value)
    parsed = parse_cidr(value)
    if not errs and parsed and _network(*parsed) != value:
        errs.append(f'must be in canonical form ("{_network(*parsed)}")')
    return errs


def cidr_warnings(path: str, value: str) -> list[str]:
    """Warnings for a CIDR that cidr_legacy accepts although it is not canonical."""
    parsed = parse_cidr(value)
    if parsed is None:
        return []
    network = _network(*parsed)
    out = []
    if str(parsed[0]) != network.partition("/")[0]:
        single = f"{parsed[0]}/{parsed[0].max_prefixlen}"
        out.append(
            f'{path}: CIDR value "{value}" is ambiguous in this context'
            f' (should be "{network}" or "{single}"?)'
        )
    text, _, digits = value.partition("/")
    strict = _strict_address(text)
    if strict is None or _mapped(strict) or (len(digits) > 1 and digits[0] == "0"):
        out.append(f'{path}: non-standard CIDR value "{value}" is invalid: use "{network}"')
    if not out and strict is not None and strict.version == 6 and f"{strict}/{digits}" != value:
        out.append(
            f'{path}: IPv6 CIDR value "{value}" should be in RFC 5952 canonical format ("{strict}/{digits}")'
        )
    return out


def interface_address(value: str) -> list[str]:
    """An address with its subnet's prefix length, in canonical form: `192.168.1.5/24`."""
    parsed = parse_cidr(value)
    if parsed is None:
        return ["must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"]
    canonical = f"{parsed[0]}/{parsed[1]}"
    return [] if canonical == value else [f'must be in canonical form ("{canonical}")']

"""IP addresses and networks (Kubernetes' pkg/cel/library/ip.go and cidr.go),
read as Go's net/netip reads them."""

import ipaddress
from typing import Any

from pilothouse.api.cel import estimates, sizes
from pilothouse.api.cel._cel import EvaluationError, Opaque, size_of
from pilothouse.api.cel.functions import (
    STRING_FACTOR,
    Functions,
    Overload,
    member,
    succeeds,
    units,
    walk,
    walk_twice,
)
from pilothouse.api.cel.host import quote
from pilothouse.api.cel.types import BOOL, INT, STRING, CelType, opaque

IP, CIDR = opaque("net.IP"), opaque("net.CIDR")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Ip(Opaque):
    """An address."""

    type_name = "net.IP"
    __slots__ = ("address",)

    def __init__(self, address: _Address) -> None:
        self.address = address

    @property
    def cost_size(self) -> int:  # type: ignore[override]
        return self.address.max_prefixlen // 8

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ip) and other.address == self.address

    def __hash__(self) -> int:
        return hash(self.address)


class Cidr(Opaque):
    """An address and the length of its network's prefix."""

    type_name = "net.CIDR"
    __slots__ = ("address", "bits")

    def __init__(self, address: _Address, bits: int) -> None:
        self.address = address
        self.bits = bits

    @property
    def cost_size(self) -> int:  # type: ignore[override]
        return -(-self.bits // 8)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cidr) and (other.address, other.bits) == (self.address, self.bits)

    def __hash__(self) -> int:
        return hash((self.address, self.bits))

    def prefix(self) -> int:
        """The bits that all addresses of the network share."""
        return int(self.address) >> (self.address.max_prefixlen - self.bits)

    def holds(self, address: _Address, bits: int) -> bool:
        """Whether a network of the same family is part of this one."""
        if address.version != self.address.version or bits < self.bits:
            return False
        return int(address) >> (address.max_prefixlen - self.bits) == self.prefix()


def _wrong_v4(text: str) -> str:
    """Why a text with dots is no IPv4 address."""
    fields = text.split(".")
    for i, field in enumerate(fields):
        wrong = next((at for at, char in enumerate(field) if char not in "0123456789"), None)
        rest = ".".join(fields[i:])
        if wrong is not None:
            return f"unexpected character (at {quote(rest[wrong:])})"
        if not field:
            return f"IPv4 field must have at least one digit (at {quote(rest or '.')})"
        if len(field) > 1 and field[0] == "0":
            return "IPv4 field has octet with leading zero"
        if int(field[:4]) > 255:
            return "IPv4 field has value >255"
    return "IPv4 address too short" if len(fields) < 4 else "IPv4 address too long"


def _address(text: str) -> _Address:
    """An address; ValueError with Go's words."""
    sign = next((char for char in text[:64] if char in ".:%"), "")
    words = ""
    if sign in ("", "%"):
        words = "missing IPv6 address" if sign else "unable to parse IP"
    else:
        try:
            return ipaddress.ip_address(text)
        except ValueError:
            words = _wrong_v4(text) if sign == "." else "unable to parse IP"
    raise ValueError(f"ParseAddr({quote(text)}): {words}")


def _ip(text: str) -> Ip:
    try:
        address = _address(text)
    except ValueError as err:
        words = f"IP Address {quote(text)} parse error during conversion from string: {err}"
        raise EvaluationError(words) from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise EvaluationError(f"IP address {quote(text)} with zone value is not allowed")
        if address.ipv4_mapped is not None:
            raise EvaluationError(f"IPv4-mapped IPv6 address {quote(text)} is not allowed")
    return Ip(address)


def _prefix(text: str) -> Cidr:
    """A network; ValueError with Go's words."""
    head, slash, bits = text.rpartition("/")
    start = f"netip.ParsePrefix({quote(text)}): "
    if not slash:
        raise ValueError(f"{start}no '/'")
    try:
        address = _address(head)
    except ValueError as err:
        raise ValueError(f"{start}{err}") from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ValueError(f"{start}IPv6 zones cannot be present in a prefix")
    if not (bits.isascii() and bits.isdigit()) or (len(bits) > 1 and bits[0] == "0"):
        raise ValueError(f"{start}bad bits after slash: {quote(bits)}")
    if len(bits) > 3 or int(bits) > address.max_prefixlen:
        raise ValueError(f"{start}prefix length out of range")
    return Cidr(address, int(bits))


def _cidr(text: str) -> Cidr:
    words = "network address parse error during conversion from string: "
    try:
        found = _prefix(text)
    except ValueError as err:
        raise EvaluationError(f"{words}{words}{err}") from None
    if isinstance(found.address, ipaddress.IPv6Address) and found.address.ipv4_mapped is not None:
        raise EvaluationError(f"{words}IPv4-mapped IPv6 address {quote(text)} is not allowed")
    return found


def _is_canonical(text: str) -> bool:
    return str(_ip(text).address) == text


def _is_link_local_multicast(ip: Ip) -> bool:
    value = int(ip.address)
    if ip.address.version == 4:
        return value >> 8 == 0xE00000
    return value >> 120 == 0xFF and (value >> 112) & 0xF == 2


def _is_global_unicast(ip: Ip) -> bool:
    address = ip.address
    if address.version == 4 and int(address) == 0xFFFFFFFF:
        return False
    return not (
        address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    )


def _masked(cidr: Cidr) -> Cidr:
    free = cidr.address.max_prefixlen - cidr.bits
    return Cidr(type(cidr.address)(cidr.prefix() << free), cidr.bits)


def _contains_ip(cidr: Cidr, ip: Ip) -> bool:
    return cidr.holds(ip.address, ip.address.max_prefixlen)


def _contains_ip_text(cidr: Cidr, text: str) -> bool:
    return _contains_ip(cidr, _ip(text))


def _contains_cidr(cidr: Cidr, other: Cidr) -> bool:
    return cidr.holds(other.address, other.bits)


def _contains_cidr_text(cidr: Cidr, text: str) -> bool:
    return _contains_cidr(cidr, _cidr(text))


_BYTES = sizes.Range(4, 16)
"""The size of an address."""


def _contains(id: str, of: CelType, function: Any, *, network: bool = False) -> Overload:
    """A test whether something is in a network: an address or, with `network`, another network."""
    text = of is STRING

    def cost(cidr: Cidr, other: Any) -> int:
        out = units(2 * size_of(cidr), STRING_FACTOR)
        if network:
            out += walk(cidr) + 1
        return out + walk(other) if text else out

    def estimate(sizer: sizes.Sizer, cidr: sizes.Sized, other: sizes.Sized) -> sizes.Estimate:
        out = (_BYTES + _BYTES).times(STRING_FACTOR)
        if network:
            out = out + _BYTES.times(STRING_FACTOR) + sizes.fixed(1)
        if text:
            out = out + sizer.size_of(other).times(STRING_FACTOR)
        return sizes.Estimate(out)

    return member(id, (CIDR, of), BOOL, function, cost=cost, estimate=estimate)


def _twice(sizer: sizes.Sizer, text: sizes.Sized) -> sizes.Estimate:
    return sizes.Estimate(sizer.size_of(text).times(2 * STRING_FACTOR))


def _reads(id: str, result: CelType, function: Any) -> tuple[Overload, ...]:
    return (Overload(id, (STRING,), result, function, cost=walk, estimate=estimates.walked),)


def _tells(id: str, of: CelType, result: CelType, function: Any) -> tuple[Overload, ...]:
    return (member(id, (of,), result, function),)


FUNCTIONS: Functions = {
    "ip": _reads("string_to_ip", IP, _ip) + _tells("cidr_ip", CIDR, IP, lambda cidr: Ip(cidr.address)),
    "isIP": _reads("is_ip", BOOL, succeeds(_ip)),
    "ip.isCanonical": (
        Overload("ip_is_canonical", (STRING,), BOOL, _is_canonical, cost=walk_twice, estimate=_twice),
    ),
    "family": _tells("ip_family", IP, INT, lambda ip: ip.address.version),
    "isUnspecified": _tells("ip_is_unspecified", IP, BOOL, lambda ip: ip.address.is_unspecified),
    "isLoopback": _tells("ip_is_loopback", IP, BOOL, lambda ip: ip.address.is_loopback),
    "isLinkLocalMulticast": _tells("ip_is_link_local_multicast", IP, BOOL, _is_link_local_multicast),
    "isLinkLocalUnicast": _tells("ip_is_link_local_unicast", IP, BOOL, lambda ip: ip.address.is_link_local),
    "isGlobalUnicast": _tells("ip_is_global_unicast", IP, BOOL, _is_global_unicast),
    "cidr": _reads("string_to_cidr", CIDR, _cidr),
    "isCIDR": _reads("is_cidr", BOOL, succeeds(_cidr)),
    "containsIP": (
        _contains("cidr_contains_ip_string", STRING, _contains_ip_text),
        _contains("cidr_contains_ip_ip", IP, _contains_ip),
    ),
    "containsCIDR": (
        _contains("cidr_contains_cidr_string", STRING, _contains_cidr_text, network=True),
        _contains("cidr_contains_cidr", CIDR, _contains_cidr, network=True),
    ),
    "prefixLength": _tells("cidr_prefix_length", CIDR, INT, lambda cidr: cidr.bits),
    "masked": _tells("cidr_masked", CIDR, CIDR, _masked),
    "string": (
        Overload("ip_to_string", (IP,), STRING, lambda ip: str(ip.address)),
        Overload("cidr_to_string", (CIDR,), STRING, lambda cidr: f"{cidr.address}/{cidr.bits}"),
    ),
}
TYPE_NAMES: dict[str, CelType] = {"net.IP": IP, "net.CIDR": CIDR}

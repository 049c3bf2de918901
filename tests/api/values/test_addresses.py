import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.values import addresses


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("10.0.0.1", []),
        ("2001:db8::1", []),
        ("010.0.0.1", ["must not have leading 0s"]),
        ("::ffff:1.2.3.4", ["must not be an IPv4-mapped IPv6 address"]),
        ("FE80::1", ['must be in canonical form ("fe80::1")']),
        ("1.2.3", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
        ("fe80::1%eth0", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
    ],
)
def test_addresses(value: str, wrong: list[str]) -> None:
    assert addresses.ip(value) == wrong


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("10.0.0.0/8", []),
        ("10.0.0.1/8", ["must not have bits set beyond the prefix length"]),
        ("10.0.0.0/08", ["must not have leading 0s in IP or prefix length"]),
        ("::ffff:1.2.3.0/120", ["must not have an IPv4-mapped IPv6 address"]),
        ("FE80::/64", ['must be in canonical form ("fe80::/64")']),
        ("10.0.0.0", ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]),
        ("10.0.0.0/33", ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]),
    ],
)
def test_subnets(value: str, wrong: list[str]) -> None:
    assert addresses.cidr(value) == wrong


def test_address_warnings() -> None:
    assert addresses.ip_warnings("a", "010.0.0.1") == [
        'a: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"'
    ]
    assert addresses.cidr_warnings("a", "10.0.0.1/8") == [
        'a: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)'
    ]
    assert addresses.interface_address("10.0.0.1/8") == []


@given(st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){2,4}", fullmatch=True) | st.ip_addresses(v=4).map(str))
def test_plain_addresses_are_those_that_stay_as_they_are(text: str) -> None:
    parsed = addresses.parse_ip(text)
    assert (addresses.ip(text) == []) == (parsed is not None and str(parsed) == text)
    assert bool(addresses.ip_legacy(text)) == (parsed is None or str(parsed) != text)

"""Addresses, networks and URLs."""

import pytest

from pilothouse.api.cel import Environment, EvaluationError, ProgramError

KNOWN = Environment({})


@pytest.mark.parametrize(
    "text",
    [
        (
            "isIP('1.2.3.4') && isIP('::1') && !isIP('1.2.3') && !isIP('::ffff:1.2.3.4') &&"
            " !isIP('fe80::1%eth0')"
        ),
        "ip('1.2.3.4').family() == 4 && ip('::1').family() == 6",
        "ip('127.0.0.1').isLoopback() && ip('0.0.0.0').isUnspecified()",
        "ip('224.0.0.1').isLinkLocalMulticast() && ip('ff02::1').isLinkLocalMulticast()",
        "ip('169.254.1.1').isLinkLocalUnicast() && !ip('169.254.1.1').isGlobalUnicast()",
        "ip('10.0.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()",
        "ip('2001:DB8::1') == ip('2001:db8:0::1') && string(ip('2001:DB8::1')) == '2001:db8::1'",
        "ip.isCanonical('2001:db8::1') && !ip.isCanonical('2001:DB8::1')",
        "isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0/33') && !isCIDR('10.0.0.0') && !isCIDR('10.0.0.0/08')",
        "cidr('10.1.2.3/8').ip() == ip('10.1.2.3') && cidr('10.1.2.3/8').prefixLength() == 8",
        "string(cidr('10.1.2.3/8').masked()) == '10.0.0.0/8'",
        "cidr('10.0.0.0/8').containsIP('10.1.1.1') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
        (
            "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') &&"
            " !cidr('10.0.0.0/8').containsCIDR(cidr('10.0.0.0/7'))"
        ),
        "!cidr('10.0.0.0/8').containsIP('::1') && cidr('::/0').containsIP('::1')",
        "type(ip('::1')) == net.IP && type(cidr('::/0')) == net.CIDR",
        "url('https://user:p@example.com:80/a%20b?q=1&q=2&e=#frag').getScheme() == 'https'",
        "url('https://user:p@example.com:80/x').getHost() == 'example.com:80'",
        "url('https://[::1]:80/').getHostname() == '::1' && url('https://[::1]:80/').getPort() == '80'",
        (
            "url('https://h/a%20b').getEscapedPath() == '/a%20b' && url('https://h/a b').getEscapedPath() =="
            " '/a%20b'"
        ),
        "url('https://h/?q=1&q=2&e=a+b').getQuery() == {'q': ['1', '2'], 'e': ['a b']}",
        "url('/just/a/path').getHost() == '' && url('/p').getScheme() == ''",
        "isURL('https://a') && !isURL('../a') && !isURL('')",
        "url('https://a/b') == url('https://a/b')",
    ],
)
def test_true(text: str) -> None:
    assert KNOWN.compile(text).evaluate({}) is True


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ip('a')",
         'IP Address "a" parse error during conversion from string: ParseAddr("a"): unable to parse IP'),
        ("ip('1.2.3.256')",
         'IP Address "1.2.3.256" parse error during conversion from string: ParseAddr("1.2.3.256"): IPv4 '
                            "field has value >255"),
        ("ip('::ffff:1.2.3.4')", 'IPv4-mapped IPv6 address "::ffff:1.2.3.4" is not allowed'),
        ("ip('fe80::1%a')", 'IP address "fe80::1%a" with zone value is not allowed'),
        ("cidr('10.0.0.0')",
         "network address parse error during conversion from string: network address parse error during "
                             "conversion from string: netip.ParsePrefix(\"10.0.0.0\"): no '/'"),
        ("url('a b')", 'URL parse error during conversion from string: parse "a b": invalid URI for request'),
    ],
)  # fmt: skip
def test_errors(text: str, wanted: str) -> None:
    with pytest.raises((EvaluationError, ProgramError)) as found:
        KNOWN.compile(text).evaluate({})
    assert str(found.value) == wanted

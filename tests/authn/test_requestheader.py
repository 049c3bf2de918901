"""The front proxy's headers."""

import time
from typing import Any

import pytest
from clocks import Clock
from coroutines import at_once

from pilothouse import errors
from pilothouse.authn.requestheader import RequestHeaderAuthenticator
from pilothouse.server.request import Request

HEADERS = [
    ("x-remote-user", "jane"),
    ("x-remote-uid", "u1"),
    ("x-remote-group", "a"),
    ("x-remote-group", "b"),
    ("x-remote-extra-scopes", "x"),
    ("x-remote-extra-scopes", "y"),
    ("x-remote-extra-acme.com%2Fproject", "p"),
]


def request(*chain: bytes, headers: Any = HEADERS) -> Request:
    return Request("GET", "/api", dict(reversed(headers)), headers, peer_certificates=chain)


def test_the_proxy_names_the_user(authority: Any) -> None:
    authenticator = RequestHeaderAuthenticator(
        authority.pem, allowed_names=["proxy"], uid_headers=["X-Remote-Uid"]
    )
    der = authority.client("proxy")
    for _ in range(2):
        user = at_once(authenticator.authenticate(request(der)))
        assert (user.name, user.uid, user.groups) == ("jane", "u1", ("a", "b"))
        assert user.extra == {"scopes": ["x", "y"], "acme.com/project": ["p"]}
    assert at_once(authenticator.authenticate(request(der, headers=[]))) is None


def test_only_the_proxy_is_believed(authority: Any, other_authority: Any) -> None:
    authenticator = RequestHeaderAuthenticator(authority.pem, allowed_names=["proxy"])
    assert at_once(authenticator.authenticate(request())) is None
    with pytest.raises(errors.Unauthorized, match="cn=jane is not in the allowed list"):
        at_once(authenticator.authenticate(request(authority.client("jane"))))
    with pytest.raises(errors.Unauthorized, match="unknown authority"):
        at_once(authenticator.authenticate(request(other_authority.client("proxy"))))


def test_a_certificate_is_verified_only_where_a_user_is_named(other_authority: Any) -> None:
    """Every client has a certificate; the few requests of proxies pay for it."""
    authenticator = RequestHeaderAuthenticator(b"no certificate, so that a look at it would fail")
    der = other_authority.client("jane")
    assert (
        at_once(authenticator.authenticate(request(der, headers=[("x-remote-group", "system:masters")])))
        is None
    )
    with pytest.raises(ValueError, match="PEM file"):
        at_once(authenticator.authenticate(request(der)))


def test_any_name_will_do_when_none_is_listed(authority: Any) -> None:
    authenticator = RequestHeaderAuthenticator(authority.pem)
    assert at_once(authenticator.authenticate(request(authority.client("any")))).name == "jane"


def test_a_proxy_is_believed_as_long_as_its_certificate_counts(authority: Any) -> None:
    clock = Clock(time.time())
    authenticator = RequestHeaderAuthenticator(authority.pem, clock=clock)
    der = authority.client("proxy", days=0.5)
    assert at_once(authenticator.authenticate(request(der))).name == "jane"
    clock.now += 13 * 3600
    with pytest.raises(errors.Unauthorized, match="expired or is not yet valid"):
        at_once(authenticator.authenticate(request(der)))


def test_another_authority_counts_at_once(authority: Any, other_authority: Any) -> None:
    authenticator = RequestHeaderAuthenticator(authority.pem)
    ours, theirs = authority.client("proxy"), other_authority.client("proxy")
    assert at_once(authenticator.authenticate(request(ours))).name == "jane"
    authenticator.trust(other_authority.pem)
    assert at_once(authenticator.authenticate(request(theirs))).name == "jane"
    with pytest.raises(errors.Unauthorized, match="unknown authority"):
        at_once(authenticator.authenticate(request(ours)))

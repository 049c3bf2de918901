"""Client certificates."""

import hashlib
import time
from typing import Any

import pytest
from clocks import Clock
from coroutines import at_once
from cryptography.x509.oid import ExtendedKeyUsageOID

from pilothouse import errors
from pilothouse.authn.x509 import CREDENTIAL_ID, CertificateAuthenticator, roots, scope_unit
from pilothouse.server.request import Request


def request(*chain: bytes) -> Request:
    return Request("GET", "/api", {}, [], peer_certificates=chain)


def test_the_subject_names_user_groups_and_uid(authority: Any) -> None:
    der = authority.client("jane", groups=["a", "b"], uid=["7"])
    user = at_once(CertificateAuthenticator(authority.pem).authenticate(request(der)))
    assert (user.name, user.uid, user.groups) == ("jane", "7", ("a", "b", "system:authenticated"))
    assert user.extra == {CREDENTIAL_ID: [f"X509SHA256={hashlib.sha256(der).hexdigest()}"]}


def test_a_chain_is_judged_once(authority: Any) -> None:
    authenticator = CertificateAuthenticator(authority.pem)
    der = authority.client("jane")
    user = at_once(authenticator.authenticate(request(der)))
    authenticator.ca = b""
    assert at_once(authenticator.authenticate(request(der))) is user


def test_a_chain_that_was_good_is_judged_anew_when_it_has_expired(authority: Any) -> None:
    clock = Clock(time.time())
    authenticator = CertificateAuthenticator(authority.pem, clock=clock)
    der = authority.client("jane", days=0.5)
    assert at_once(authenticator.authenticate(request(der))).name == "jane"
    remaining = authenticator.metrics.remaining.series()
    assert remaining.count == 1 and remaining.sum == pytest.approx(12 * 3600, abs=90)
    clock.now += 13 * 3600
    for _ in range(2):
        with pytest.raises(errors.Unauthorized, match="expired or is not yet valid"):
            at_once(authenticator.authenticate(request(der)))


@pytest.mark.parametrize("days", [-1, 400])
def test_a_chain_counts_only_while_its_authority_does(authority: Any, days: int) -> None:
    clock = Clock(time.time() + days * 86400)
    authenticator = CertificateAuthenticator(authority.pem, clock=clock)
    der = authority.client("jane", days=500 if days > 0 else 1)
    with pytest.raises(errors.Unauthorized, match=r"expired|unknown authority"):
        at_once(authenticator.authenticate(request(der)))


def test_no_certificate_and_no_name_are_nothing(authority: Any) -> None:
    authenticator = CertificateAuthenticator(authority.pem)
    assert at_once(authenticator.authenticate(request())) is None
    assert at_once(authenticator.authenticate(request(authority.client("", groups=["a"])))) is None


def test_intermediates_of_the_peer_are_used(authority: Any, intermediate: Any) -> None:
    der = intermediate.client("jane")
    authenticator = CertificateAuthenticator(authority.pem)
    assert at_once(authenticator.authenticate(request(der, intermediate.der))).name == "jane"
    with pytest.raises(errors.Unauthorized, match="unknown authority"):
        at_once(CertificateAuthenticator(authority.pem).authenticate(request(der)))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"days": -1}, "expired"),
        ({"usage": ExtendedKeyUsageOID.SERVER_AUTH}, "key usage"),
        ({"uid": ["1", "2"]}, "multiple"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told(authority: Any, more: dict[str, Any], why: str) -> None:
    with pytest.raises(errors.Unauthorized, match=why):
        at_once(
            CertificateAuthenticator(authority.pem).authenticate(request(authority.client("jane", **more)))
        )


def test_a_stranger_or_a_leaf_may_not_vouch(authority: Any, other_authority: Any) -> None:
    authenticator = CertificateAuthenticator(authority.pem)
    for chain in ([other_authority.client("jane")], [b"junk"]):
        with pytest.raises(errors.Unauthorized):
            at_once(authenticator.authenticate(request(*chain)))


def test_other_authorities_count_at_once(authority: Any, other_authority: Any) -> None:
    authenticator = CertificateAuthenticator(authority.pem)
    ours, theirs = authority.client("jane"), other_authority.client("kim")
    assert at_once(authenticator.authenticate(request(ours))).name == "jane"
    authenticator.trust(other_authority.pem)
    assert at_once(authenticator.authenticate(request(theirs))).name == "kim"
    with pytest.raises(errors.Unauthorized, match="unknown authority"):
        at_once(authenticator.authenticate(request(ours)))


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_authorities_must_be_certificates(pem: bytes) -> None:
    with pytest.raises(ValueError, match=r"PEM file|asn1"):
        roots(pem)


@pytest.mark.parametrize(
    ("units", "scope"),
    [
        ((), ""),
        (("Sales",), ""),
        ((scope_unit("a"),), "a"),
        (("Sales", scope_unit("a")), "a"),
        ((scope_unit("a"), scope_unit("b")), None),
        ((scope_unit("a"), scope_unit("a")), None),
        ((scope_unit("A"),), "A"),
    ],
)
def test_a_certificate_is_good_in_one_cluster(authority: Any, units: Any, scope: str | None) -> None:
    der = authority.client("jane", units=units)
    for own in ("", "a", "A", "b", "a\0b", "Sales"):
        authenticator = CertificateAuthenticator(authority.pem, scope=own)
        for _ in range(2):  # a refusal is not remembered as a user, nor forgotten
            if own == scope or (scope is None and own == "a\0b" and len(set(units)) == 2):
                assert at_once(authenticator.authenticate(request(der))).name == "jane"
            else:
                with pytest.raises(errors.Unauthorized, match="another cluster"):
                    at_once(authenticator.authenticate(request(der)))

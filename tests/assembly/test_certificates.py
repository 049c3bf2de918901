"""Certificates and CAs that change at the same moment."""

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
from logged import pairs

from pilothouse.assembly.certificates import Authorities, follow_certificates
from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.requestheader import RequestHeaderAuthenticator
from pilothouse.authn.x509 import CertificateAuthenticator
from pilothouse.pki import CertificateAuthority, key_pem, pem
from pilothouse.reload import Reloads
from pilothouse.server.tls import Contexts, TLSSettings


def authorities_of(contexts: Contexts) -> set[bytes]:
    return set(contexts._default.get_ca_certs(binary_form=True))


def der(authority: CertificateAuthority) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem(authority.certificate).decode())


async def test_all_at_once(runner: asyncio.Runner, tmp_path: Path) -> None:
    """Each is loaded beside the others, on a thread of its own; none may undo another one."""
    old, new = ([CertificateAuthority.create(name) for name in "spca"] for _ in range(2))

    def write(
        serving: CertificateAuthority,
        proxies: CertificateAuthority,
        clients: CertificateAuthority,
        others: CertificateAuthority,
    ) -> None:
        cert, key = serving.issue("server", hosts=["localhost"], server=True)
        (tmp_path / "tls.crt").write_bytes(cert)
        (tmp_path / "tls.key").write_bytes(key)
        (tmp_path / "proxies.crt").write_bytes(pem(proxies.certificate))
        (tmp_path / "clients.crt").write_bytes(pem(clients.certificate).rstrip())
        (tmp_path / "others.crt").write_bytes(pem(others.certificate))

    write(*old)
    at = str(tmp_path)
    clients = (f"{at}/clients.crt", f"{at}/others.crt")
    authorities = Authorities(clients, f"{at}/proxies.crt")
    certificates = CertificateAuthenticator(authorities.clients)
    proxies = RequestHeaderAuthenticator(authorities.proxies)
    settings = TLSSettings(f"{at}/tls.crt", f"{at}/tls.key", (*clients, f"{at}/proxies.crt"))
    contexts, reloads, told = Contexts(settings), Reloads(), list[str]()
    authorities.on_change(lambda: told.append("changed"))
    follow_certificates(reloads, settings, contexts, authorities, UnionAuthenticator([proxies, certificates]))
    assert list(reloads.followed) == ["serving-certificates", "client-ca", "requestheader-client-ca"]
    assert authorities_of(contexts) == {der(one) for one in old[1:]}
    before = contexts._default
    write(*new)
    followers: list[Any] = reloads._followers
    await asyncio.gather(*(one.look(force=True) for one in followers))
    assert contexts._default is not before
    assert authorities_of(contexts) == {der(one) for one in new[1:]}
    assert pem(new[2].certificate).rstrip() in certificates.ca and pem(new[3].certificate) in certificates.ca
    assert proxies.ca == authorities.proxies == pem(new[1].certificate)
    assert authorities.clients == certificates.ca and told == ["changed", "changed"]
    (tmp_path / "others.crt").write_text("none")
    await asyncio.gather(*(one.look(force=True) for one in followers))
    assert authorities_of(contexts) == {der(one) for one in new[1:]}
    assert reloads.total.values[("client-ca", "failure")] == 1


async def test_a_serving_certificate_that_has_expired_is_told(
    runner: asyncio.Runner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start, and when another one comes into force."""
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def write(days: float) -> None:
        made = CertificateAuthority.create("a", days)
        cert.write_bytes(pem(made.certificate))
        key.write_bytes(key_pem(made.key))

    def told() -> list[str]:
        found = [
            str(pairs(one)["err"]) for one in caplog.records if "Clients will refuse" in one.getMessage()
        ]
        caplog.clear()
        return found

    settings = TLSSettings(str(cert), str(key))
    reloads, nobody = Reloads(), UnionAuthenticator([])
    with caplog.at_level(logging.WARNING):
        write(-0.001)
        follow_certificates(reloads, settings, Contexts(settings), Authorities((), ""), nobody)
        [text] = told()
        assert text.startswith("has expired on ")
        followers: list[Any] = reloads._followers
        for days, count in ((1.0, 0), (-0.002, 1)):
            write(days)
            await asyncio.gather(*(one.look(force=True) for one in followers))
            assert len(told()) == count

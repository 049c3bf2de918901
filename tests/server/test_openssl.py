"""A handshake names the certificate authorities that may have signed the certificates of clients."""

import contextlib
import pathlib
import ssl

import pytest

from pilothouse.pki import CertificateAuthority, pem
from pilothouse.server import openssl, tls


def flight(context: ssl.SSLContext) -> bytes:
    """The server's first bytes, in TLS 1.2, where they are readable."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (asking, answering):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return to_client.read()


def test_clients_are_told_by_which_cas_they_may_be_signed(tmp_path: pathlib.Path) -> None:
    serving = CertificateAuthority.create("servers")
    cert, key = serving.issue("server", hosts=("127.0.0.1",), server=True)
    known = [CertificateAuthority.create(name) for name in ("one", "two", "three")]
    (tmp_path / "s.crt").write_bytes(cert)
    (tmp_path / "s.key").write_bytes(key)
    (tmp_path / "a.crt").write_bytes(pem(known[0].certificate) + pem(known[1].certificate))
    (tmp_path / "b.crt").write_bytes(pem(known[2].certificate) + pem(known[1].certificate))
    files = (str(tmp_path / "s.crt"), str(tmp_path / "s.key"))
    paths = (str(tmp_path / "a.crt"), str(tmp_path / "b.crt"))
    contexts = tls.Contexts(tls.TLSSettings(*files, paths))
    told = flight(contexts.context)
    for authority in known:
        assert told.count(authority.certificate.subject.public_bytes()) == 1
    other = CertificateAuthority.create("four")
    contexts.use(contexts.loaded({paths[0]: pem(other.certificate)}))
    told = flight(contexts.context)
    for authority, there in ((other, 1), (known[0], 0), (known[2], 1)):
        assert told.count(authority.certificate.subject.public_bytes()) == there
    silent = flight(tls.Contexts(tls.TLSSettings(*files)).context)
    assert known[0].certificate.subject.public_bytes() not in silent


def test_what_is_no_certificate_names_nobody() -> None:
    assert not openssl.name_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), [b"x"])


def test_key_exchanges_are_chosen_by_their_numbers() -> None:
    serving = CertificateAuthority.create("servers")
    cert, key = serving.issue("server", hosts=("127.0.0.1",), server=True)
    offered = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    offered.set_ecdh_curve("prime256v1")  # the client offers P-256 alone
    offered.check_hostname, offered.verify_mode = False, ssl.CERT_NONE
    assert meets(tls.make_context(cert, key, tls.TLSSettings("", "", curves=(29, 23))), offered)
    assert not meets(tls.make_context(cert, key, tls.TLSSettings("", "", curves=(29, 24))), offered)


def meets(context: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Whether a client and a server agree."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = client.wrap_bio(to_client, to_server), context.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in sides * 3:
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    except ssl.SSLError:
        return False
    return sides[1].cipher() is not None


def test_key_exchanges_that_are_not_known_are_not_chosen() -> None:
    assert not openssl.choose_groups(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ["nope"])


def test_another_python_is_tried_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    monkeypatch.setattr(openssl, "_KNOWN", ())
    for program, found in ((openssl._PROBE, True), ("import ctypes; ctypes.string_at(0)", False)):
        monkeypatch.setattr(openssl, "_PROBE", program)
        openssl.readable.cache_clear()
        assert (openssl.pointer(context) is not None) is found
    openssl.readable.cache_clear()
    assert "TLS contexts of this Python cannot be read" in caplog.text

"""Servers know each other by certificates that say the same as their own, by the CAs that are in force."""

import os
import pathlib
from collections.abc import Sequence

import pytest
from certificates import expired
from clusters.rig import identity_of
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pilothouse import pki
from pilothouse.authn.x509 import scope_unit
from pilothouse.clusters.shared.peers import ACCEPTED, FORWARDED, PeerServers, headers_of, is_accepted
from pilothouse.server.request import Request

USER, GROUPS = "server", ("of-servers", "more")
Chain = tuple[bytes, ...]


class Files:
    """A CA, and the certificate of a server in files."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.authority = pki.CertificateAuthority.create("ca")
        self.ca = self.authority.certificate.public_bytes(Encoding.PEM)
        (folder / "ca.crt").write_bytes(self.ca)
        self.write(USER, GROUPS)
        own, key, ca = (str(folder / name) for name in ("own.crt", "own.key", "ca.crt"))
        self.peers = PeerServers(own, key, ca, lambda: self.ca)

    def issued(self, user: str, groups: Sequence[str], unit: str = "") -> Chain:
        """The chain of a new client certificate."""
        return identity_of(*self.authority.issue(user, groups, server=False, unit=unit)).chain

    def write(self, user: str, groups: Sequence[str]) -> None:
        """Replace the certificate of the server, at a time that no other has."""
        for path, data in zip(
            ("own.crt", "own.key"), self.authority.issue(user, groups, server=False), strict=True
        ):
            (self.folder / path).write_bytes(data)
        number = len(list(self.folder.glob("written-*")))
        (self.folder / f"written-{number}").touch()
        os.utime(self.folder / "own.crt", (number, number))


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Files:
    return Files(tmp_path)


def test_who_is_a_server(files: Files) -> None:
    knows, issued = files.peers.knows, files.issued
    assert knows(issued(USER, GROUPS)) and knows(issued(USER, GROUPS[::-1]))
    assert not knows(())
    for chain in (
        issued("other", GROUPS),
        issued(USER, GROUPS[:1]),
        issued(USER, (*GROUPS, "another")),
        issued(USER, ()),
        issued(USER, GROUPS, scope_unit("uid-of-a-cluster")),
        pki_of_another_ca(),
        (b"no certificate",),
    ):
        assert not knows(chain) and not knows(chain)


def pki_of_another_ca() -> Chain:
    """A certificate that says the right thing, of a CA by the same name."""
    made = pki.CertificateAuthority.create("ca").issue(USER, GROUPS, server=False)
    return identity_of(*made).chain


def test_one_that_has_expired(files: Files) -> None:
    cert = expired(files.authority.certificate, files.authority.key, USER, *GROUPS)
    assert not files.peers.knows((x509.load_pem_x509_certificate(cert).public_bytes(Encoding.DER),))


def test_one_for_servers_alone(files: Files) -> None:
    """A serving certificate of a server shows nothing."""
    made = files.authority.issue(USER, GROUPS, ["a"], server=True)
    assert not files.peers.knows(identity_of(*made).chain)


def test_other_files_and_cas_count_at_once(files: Files) -> None:
    chain, other = files.issued(USER, GROUPS), files.issued("renamed", ("of-servers",))
    assert (files.peers.knows(chain), files.peers.knows(other)) == (True, False)
    files.write("renamed", ("of-servers",))
    assert (files.peers.knows(chain), files.peers.knows(other)) == (False, True)
    files.ca = pki.CertificateAuthority.create("ca").certificate.public_bytes(Encoding.PEM)
    assert not files.peers.knows(other)


def test_a_certificate_of_our_own_that_cannot_be_read(files: Files) -> None:
    chain = files.issued(USER, GROUPS)
    (files.folder / "own.crt").write_bytes(b"half of it")
    os.utime(files.folder / "own.crt", (1000, 1000))
    assert not files.peers.knows(chain)
    (files.folder / "own.crt").unlink()
    assert not files.peers.knows(chain)
    files.write(USER, GROUPS)
    assert files.peers.knows(chain)


def test_a_server_that_others_cannot_know(files: Files) -> None:
    files.peers.check()
    files.write(USER, ())
    with pytest.raises(ValueError, match="--kubelet-client-certificate that names a group"):
        files.peers.check()
    files.write(USER, GROUPS)
    files.ca = pki.CertificateAuthority.create("ca").certificate.public_bytes(Encoding.PEM)
    with pytest.raises(ValueError, match="a CA of --client-ca-file has signed"):
        files.peers.check()


def test_a_request_is_that_of_the_client_afterwards(files: Files) -> None:
    client = files.issued("jane", ()) + files.issued("between", ())
    for address in (("10.0.0.1", 9), ("fd00::1", 10)):
        headers = headers_of(Request("GET", "/", {}, [], peer=address, peer_certificates=client), "one")
        request = Request("GET", "/", dict(headers), headers, peer_certificates=files.issued(USER, GROUPS))
        files.peers.accept(request)
        assert (request.peer, request.peer_certificates, request.cluster) == (address, client, "one")
        assert is_accepted(request)
        files.peers.accept(request)  # judged by its head, then answered
        assert request.peer_certificates == client


def test_a_request_of_anybody_else_stays_as_it_is(files: Files) -> None:
    chain = files.issued("jane", ())
    for headers in ({}, {FORWARDED: "10.0.0.1 9", "client-cert": ":eA==:"}):
        request = Request("GET", "/", dict(headers), list(headers.items()), peer_certificates=chain)
        files.peers.accept(request)
        assert request.peer_certificates == chain and ACCEPTED not in request.headers

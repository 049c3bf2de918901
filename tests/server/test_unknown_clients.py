"""Handshakes of clients with certificates of unknown CAs, and of others that cannot be used."""

import asyncio
import datetime
import pathlib
import ssl
from typing import Any

import pytest
from certificates import name, new_key, private
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from pilothouse.pki import CertificateAuthority, pem
from pilothouse.server import tls, unknown_clients


class CA:
    """A certificate authority; `length` is how many others may stand between it and a client."""

    def __init__(self, common: str, parent: "CA | None" = None, length: int | None = None) -> None:
        self.name, self.key = name(common), new_key()
        basic = x509.BasicConstraints(ca=True, path_length=length)
        self.certificate = (parent or self).sign(self.name, self.key.public_key(), basic)

    def sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: Any) -> x509.Certificate:
        start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start)
        builder = builder.not_valid_after(start + datetime.timedelta(hours=1))
        for one in extensions:
            builder = builder.add_extension(one, critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def client(self, folder: pathlib.Path, *between: "CA", usage: Any = None) -> str:
        """A file with a client's certificate, the CAs between and the key."""
        key = new_key()
        signed = self.sign(
            name("jane"), key.public_key(), *([x509.ExtendedKeyUsage([usage])] if usage else [])
        )
        chain = [signed, *(one.certificate for one in between)]
        path = folder / "client.pem"
        path.write_bytes(
            b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain) + private(key)
        )
        return str(path)


class Side:
    """A server that knows one CA of clients; `chain` is what it was shown."""

    def __init__(self, folder: pathlib.Path, known: CA) -> None:
        self.folder = folder
        authority = CertificateAuthority.create("servers")
        cert, key = authority.issue("server", hosts=("127.0.0.1",), server=True)
        self.ca = pem(authority.certificate).decode()
        for file, data in (
            ("server.crt", cert),
            ("server.key", key),
            ("ca.crt", known.certificate.public_bytes(serialization.Encoding.PEM)),
        ):
            (folder / file).write_bytes(data)
        cert_file, key_file, ca_file = (str(folder / one) for one in ("server.crt", "server.key", "ca.crt"))
        settings = tls.TLSSettings(cert_file, key_file, (ca_file,))
        self.contexts = tls.Contexts(settings)

    async def meet(self, client: str) -> list[x509.Certificate]:
        """The certificates that the server is told of a client; OSError when the connection is cut off."""
        chain: list[tuple[bytes, ...]] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            chain.append(tls.peer_chain(writer.get_extra_info("ssl_object")))
            writer.write(b"hello")
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=self.contexts.context)
        async with server:
            context = ssl.create_default_context(cadata=self.ca)
            context.load_cert_chain(client)
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            try:
                if await reader.read() != b"hello":
                    raise ConnectionResetError("it was cut off")
            finally:
                writer.close()
        return [x509.load_der_x509_certificate(one) for one in chain[0]]


async def test_who_is_admitted(runner: asyncio.Runner, tmp_path: pathlib.Path) -> None:
    known, unknown = CA("known"), CA("unknown")
    side = Side(tmp_path, known)
    chain = await side.meet(known.client(tmp_path))
    assert [one.subject for one in chain] == [name("jane"), known.name]
    below = CA("below", known)
    chain = await side.meet(below.client(tmp_path, below))
    assert [one.subject for one in chain] == [name("jane"), below.name, known.name]
    assert [one.subject for one in await side.meet(unknown.client(tmp_path))] == [name("jane")]
    inner = CA("inner", unknown)
    for between in ((inner,), (inner, unknown)):
        assert [one.subject for one in await side.meet(inner.client(tmp_path, *between))] == [name("jane")]
    server = known.client(tmp_path, usage=ExtendedKeyUsageOID.SERVER_AUTH)
    assert len(await side.meet(server)) == 2  # the authenticator looks at the uses of a certificate


async def test_who_is_cut_off(runner: asyncio.Runner, tmp_path: pathlib.Path) -> None:
    known = CA("known", length=0)
    side = Side(tmp_path, known)
    below = CA("below", known)
    with pytest.raises(OSError):
        await side.meet(below.client(tmp_path, below))  # no CA may stand between


def test_where_openssl_cannot_be_reached() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    assert unknown_clients.admit(context)
    assert context.verify_mode == ssl.CERT_OPTIONAL
    assert not unknown_clients.is_complete(context, ()) and not unknown_clients.is_complete(context, (b"x",))

"""A TLS server that stands for a kubelet or an aggregated API server, with answers chosen by the test."""

import pathlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp import web

from pilothouse.pki import CertificateAuthority, pem

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Backend:
    """Serves while it is entered; `requests` keeps what came as (method, path with query, headers, body)."""

    def __init__(
        self,
        folder: pathlib.Path,
        handler: Handler,
        hosts: tuple[str, ...] = ("127.0.0.1",),
        address: str = "127.0.0.1",
        clients_of: "Backend | None" = None,
    ) -> None:
        self.authority = CertificateAuthority.create("backend")
        self.address = address
        self.clients_ca = clients_of.ca if clients_of is not None else b""
        self.ca: bytes = pem(self.authority.certificate)
        self.hosts = hosts
        self.folder = folder
        self.handler = handler
        self.port = 0
        self.requests: list[tuple[str, str, dict[str, list[str]], bytes]] = []
        self.clients: list[str] = []

    def client_files(self, name: str) -> tuple[str, str]:
        """Certificate and key files of a client that this server knows."""
        cert, key = self.authority.issue(name, server=False)
        paths = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        paths[0].write_bytes(cert)
        paths[1].write_bytes(key)
        return str(paths[0]), str(paths[1])

    async def __aenter__(self) -> Self:
        cert, key = self.authority.issue("backend", hosts=self.hosts, server=True)
        pem = self.folder / "backend.pem"
        pem.write_bytes(cert + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=(self.clients_ca or self.ca).decode())
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.address, 0, ssl_context=context)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers: dict[str, list[str]] = {}
        for name, value in request.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        self.requests.append((request.method, request.raw_path, headers, await request.read()))
        assert request.transport is not None
        peer = request.transport.get_extra_info("peercert")
        self.clients.append(dict(x[0] for x in peer["subject"])["commonName"] if peer else "")
        return await self.handler(request)  # type: ignore[arg-type]


def own_address() -> str:
    """An address of this host that is not the loopback one, "" when there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return ""
        address: str = probe.getsockname()[0]
        return "" if address.startswith("127.") else address

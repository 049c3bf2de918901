"""An HTTP CONNECT proxy of the tests' own, over TCP, TLS with client certificates, or a Unix socket."""

import asyncio
import contextlib
import json
import ssl
from pathlib import Path
from typing import Any, Self

from pilothouse.pki import CertificateAuthority, pem


class ConnectProxy:
    """Joins its clients with what they ask for while it is entered; `targets` keeps what that was.

    `answer` is sent instead of the usual one; `refuse` are the targets that it answers with 503. `names` maps
    host names that only the proxy can resolve to addresses.
    """

    def __init__(
        self,
        folder: Path,
        kind: str = "tcp",
        *,
        answer: bytes = b"",
        hosts: tuple[str, ...] = ("127.0.0.1",),
        names: dict[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.folder = folder
        self.answer = answer
        self.hosts = hosts
        self.names = names or {}
        self.targets: list[str] = []
        self.refuse: set[str] = set()
        self.heads: list[bytes] = []
        self.authority = CertificateAuthority.create("proxy")
        self.port = 0
        self.path = str(folder / "proxy.sock")
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if self.kind == "uds":
            self._server = await asyncio.start_unix_server(self._accept, self.path)
            return self
        context = self._files() if self.kind == "tls" else None
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _files(self) -> ssl.SSLContext:
        for name, hosts, server in (("proxy", self.hosts, True), ("client", (), False)):
            cert, key = self.authority.issue(name, hosts=hosts, server=server)
            (self.folder / f"{name}.crt").write_bytes(cert)
            (self.folder / f"{name}.key").write_bytes(key)
        (self.folder / "proxy-ca.crt").write_bytes(pem(self.authority.certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "proxy.crt", self.folder / "proxy.key")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.folder / "proxy-ca.crt")
        return context

    @property
    def connection(self) -> dict[str, Any]:
        """The `connection` of an egress selection that leads here."""
        if self.kind == "uds":
            transport: dict[str, Any] = {"uds": {"udsName": self.path}}
        elif self.kind == "tls":
            tls = {
                "caBundle": str(self.folder / "proxy-ca.crt"),
                "clientCert": str(self.folder / "client.crt"),
                "clientKey": str(self.folder / "client.key"),
            }
            transport = {"tcp": {"url": f"https://127.0.0.1:{self.port}", "tlsConfig": tls}}
        else:
            transport = {"tcp": {"url": f"http://127.0.0.1:{self.port}"}}
        return {"proxyProtocol": "HTTPConnect", "transport": transport}

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        target = head.split(b" ", 2)[1].decode()
        self.targets.append(target)
        if self.answer or target in self.refuse:
            writer.write(self.answer or b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
            await writer.drain()
            writer.close()
            return
        host, _, port = target.rpartition(":")
        far, out = await asyncio.open_connection(self.names.get(host, host.strip("[]")), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.wait(
                [asyncio.ensure_future(_copy(reader, out)), asyncio.ensure_future(_copy(far, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            out.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()


def egress_file(folder: Path, **connections: dict[str, Any]) -> str:
    """An EgressSelectorConfiguration with a selection for each name."""
    path = folder / "egress.json"
    selections = [{"name": name, "connection": connection} for name, connection in connections.items()]
    path.write_text(
        json.dumps(
            {
                "apiVersion": "apiserver.k8s.io/v1beta1",
                "kind": "EgressSelectorConfiguration",
                "egressSelections": selections,
            }
        )
    )
    return str(path)

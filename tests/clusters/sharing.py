"""A server in this process that divides its clusters with another one, which a test plays."""

import asyncio
import pathlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Self, cast

from clusters.rig import ClusterRig, RigServer
from storage.shared_memory import SharedMemory, SharedMemoryStorage

from pilothouse.assembly.cluster import Cluster
from pilothouse.assembly.host import Host
from pilothouse.clusters.router import Router
from pilothouse.clusters.shared.directory import SharedDirectory
from pilothouse.clusters.shared.forwarder import Forwarder
from pilothouse.clusters.shared.router import SharedRouter
from pilothouse.clusters.shared.server import SharedClusterServer
from pilothouse.configuration.config import Config
from pilothouse.lifecycle import Opened
from pilothouse.server.request import RequestHandler


class SharingServer(SharedClusterServer):
    """A server over a store that the test divides."""

    given: SharedMemoryStorage
    router: RequestHandler

    async def open_directory(self, host: Host, cluster: Cluster, opened: Opened) -> SharedDirectory:
        return SharedDirectory(host, self.given, host.config.clusters.clusters_awake_max)

    def handler(self, cluster: Cluster) -> RequestHandler:
        self.router = super().handler(cluster)
        return self.router

    @property
    def forwarder(self) -> Forwarder:
        """Sends requests on."""
        return self._forwarder


class SharingRig(ClusterRig):
    """Starts one server. `others` is the store as another server sees it, which has a lease."""

    def __init__(self, directory: pathlib.Path, *flags: str, **more: Any) -> None:
        super().__init__(directory, *flags, **more)
        self.shared = SharedMemory()
        self.mine = SharedMemoryStorage(self.shared, "127.0.0.1:1")
        self.others = SharedMemoryStorage(self.shared, "127.0.0.1:2")
        self.sharing: SharingServer

    def make_server(self, config: Config, sock: Any) -> RigServer:
        self.sharing = SharingServer(config, sockets=[sock], intervals=self._intervals)
        self.sharing.given = self.mine
        return cast(RigServer, self.sharing)

    async def start(self) -> None:
        await self.others.start()
        await super().start()

    @property
    def clusters(self) -> SharedDirectory:
        """The clusters that this server has claimed."""
        return self.sharing.directory

    @property
    def router(self) -> Router:
        assert isinstance(self.sharing.router, SharedRouter)
        return self.sharing.router

    def uid(self, name: str) -> str:
        """The UID of a cluster."""
        return self.directory.places[name].uid

    def pass_lease(self, *, renew: SharedMemoryStorage | None = None) -> None:
        """Let the time of a lease pass; one server renews its own meanwhile."""
        self.shared.now += self.shared.seconds
        if renew is not None:
            renew.renew()


class Asked(NamedTuple):
    """A request that the other server has got."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes
    user: str
    """The name in the client certificate of the connection."""

    def all(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for key, value in self.headers if key.lower() == name]


Script = Callable[[Asked, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """The other server: it wants a client certificate of the CA, and answers as the test says."""

    def __init__(self, rig: SharingRig, script: Script) -> None:
        self.asked: list[Asked] = []
        self._data = rig.data
        self._rig = rig
        self._script = script
        self._server: asyncio.Server
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self._data / "ca.crt"))
        context.load_cert_chain(self._data / "apiserver.crt", self._data / "apiserver.key")
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        self._rig.others.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while True:
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = [(name, value) for name, _, value in (one.partition(": ") for one in lines[1:] if one)]
        size = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        certificate = writer.get_extra_info("peercert")
        user = next(value for part in certificate["subject"] for key, value in part if key == "commonName")
        asked = Asked(lines[0], headers, await reader.readexactly(size), user)
        self.asked.append(asked)
        await self._script(asked, reader, writer)


def answers(status: int = 200, body: bytes = b"{}", **headers: str) -> Script:
    """A script that gives the same answer to all."""

    async def script(asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{more}\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return script

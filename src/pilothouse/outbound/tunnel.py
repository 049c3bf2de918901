"""Local sockets that lead to other servers, for a client that cannot open its connections by a dialer:
gRPC."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterable
from functools import partial

from pilothouse.logs import Logger
from pilothouse.outbound.dialer import Dialer, DialError, join

log = Logger(__name__)

PIECE = 64 * 1024
"""Bytes that are read at once, and passed on before more is read."""

Target = tuple[str, int]


class Tunnels:
    """A Unix socket for each target; what connects to it is joined with a connection that `dialer` opens.

    The sockets are in a folder that only this user can enter, so nobody else can use the way.
    """

    def __init__(self, dialer: Dialer, targets: Iterable[Target]) -> None:
        self._dialer = dialer
        self._targets = tuple(dict.fromkeys(targets))
        self._folder = ""
        self._servers: list[asyncio.Server] = []
        self._joined: set[asyncio.Task[None]] = set()

    def path(self, host: str, port: int) -> str:
        """The socket of a target, once started."""
        return f"{self._folder}/{self._targets.index((host, port))}"

    async def start(self) -> None:
        """Make the sockets."""
        self._folder = tempfile.mkdtemp(prefix="pilothouse-")  # mode 0700
        for target in self._targets:
            join_it = partial(self._accept, *target)
            self._servers.append(await asyncio.start_unix_server(join_it, self.path(*target)))

    async def close(self) -> None:
        """End all connections and remove the sockets."""
        for server in self._servers:
            server.close()
        for task in self._joined:
            task.cancel()
        if self._joined:
            await asyncio.wait(self._joined)
        self._servers.clear()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self, host: str, port: int, near: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._join(host, port, near, to))
        self._joined.add(task)
        task.add_done_callback(self._joined.discard)

    async def _join(self, host: str, port: int, near: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        """Pass bytes on both ways until either side has ended;
        a client whose target cannot be reached is hung up on."""
        try:
            far, out = await self._dialer.streams(host, port)
        except DialError as error:
            log.warning("A connection through the egress proxy failed", target=join(host, port), err=error)
            to.close()
            return
        except BaseException:
            to.transport.abort()
            raise
        ways = [asyncio.ensure_future(_copy(near, out)), asyncio.ensure_future(_copy(far, to))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            to.close()
            out.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()

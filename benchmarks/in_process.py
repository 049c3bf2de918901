"""A server with a store in memory that benchmarks call in their own process, without sockets in between."""

import pathlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pilothouse.assembly.server import Server
from pilothouse.configuration import options
from pilothouse.server.listener import bind
from pilothouse.server.request import Request, Response

TOKEN = "benchmark"
ADMIN = f'{TOKEN},admin,1,"system:masters"\n'
"""A token file with one administrator."""


def made(directory: pathlib.Path, *flags: str, tokens: str = ADMIN) -> Server:
    """A server that is not started, with its data and its token file in `directory`."""
    (directory / "tokens.csv").write_text(tokens)
    sock = bind("127.0.0.1", 0)
    config = options.parse(
        [
            f"--data-dir={directory}",
            "--bind-address=127.0.0.1",
            f"--secure-port={sock.getsockname()[1]}",
            "--storage-backend=memory",
            f"--token-auth-file={directory}/tokens.csv",
            *flags,
        ]
    )
    return Server(config, sockets=[sock])


@asynccontextmanager
async def served(*flags: str, tokens: str = ADMIN, plans: bool = True) -> AsyncIterator[Server]:
    """A server that runs within the block; without `plans` every read goes through the stages."""
    with tempfile.TemporaryDirectory() as directory:
        server = made(pathlib.Path(directory), *flags, tokens=tokens)
        await server.start()
        if not plans:
            server.pipeline.planner = None
        yield server
        await server.stop(0)


async def answer(server: Server, request: Request) -> Response:
    """The server's answer to a request."""
    found = server.pipeline.handle(request)
    return found if isinstance(found, Response) else await found

"""A client process that floods a server over many connections at once until it is killed.

Arguments are the server's port, the file of its CA, a bearer token, one of FLOODS, the number of connections
and the path of a logical cluster, "" for none. What comes is read and thrown away, by `watches` only after a
pause.
"""

import asyncio
import contextlib
import json
import os
import ssl
import sys

import uvloop

from pilothouse.testing.server import APIServer

MAPS = "/api/v1/namespaces/flooded/configmaps"
FLOODS = ("lists", "creates", "watches", "discovery")
PIECE = 1 << 16
UNREAD = 3.0
"""Seconds that `watches` reads nothing."""
BODY = json.dumps({"metadata": {"generateName": "flood-"}, "data": {"text": "x" * 1024}})


def command(server: APIServer, token: str, flood: str, connections: int, prefix: str = "") -> list[str]:
    """The command line of this program."""
    port, ca_file = str(server.port), str(server.ca_file)
    return [sys.executable, __file__, port, ca_file, token, flood, str(connections), prefix]


def request(flood: str, token: str, prefix: str) -> bytes:
    """A request after which the server closes the connection."""
    body = BODY if flood == "creates" else ""
    path = {"watches": f"{MAPS}?watch=1", "discovery": "/apis"}.get(flood, MAPS)
    method = "POST" if body else "GET"
    head = f"{method} {prefix}{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
    head += "Connection: close\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def client(port: int, context: ssl.SSLContext, sent: bytes, pause: float) -> None:
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=PIECE)
            writer.write(sent)
            await asyncio.sleep(pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause or None):
                    while await reader.read(PIECE):
                        pass
            writer.transport.abort()


async def main(port: int, ca: str, token: str, flood: str, connections: int, prefix: str) -> None:
    context = ssl.create_default_context(cafile=ca)
    sent, pause = request(flood, token, prefix), UNREAD if flood == "watches" else 0.0
    await asyncio.gather(*(client(port, context, sent, pause) for _ in range(connections)))


if __name__ == "__main__":
    os.nice(10)
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6]))

"""A process that stands for a kubelet and an aggregated server which send very many small pieces;
a path chooses the sort.

The argument is a directory. Prints the port once it serves.
"""

import asyncio
import os
import pathlib
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from pilothouse.outbound import spdy
from pilothouse.pki import CertificateAuthority

SIZE = 2 << 20
"""Bytes that are sent of each kind."""

DEAF = 5.0
"""Seconds after which a kubelet that takes nothing ends its connection."""

OUT, ERR, ERROR = 5, 7, 1
"""The streams that a session of exec opens with stdin, stdout and stderr."""

STREAMS = {
    "bytes": next(spdy.data_frames(OUT, b"x")),
    "both": next(spdy.data_frames(OUT, b"x")) + next(spdy.data_frames(ERR, b"y")),
    "empty": struct.pack(">II", OUT, 0),
    "pings": spdy.ping(2),
    "resets": spdy.rst_stream(98),
    "settings": struct.pack(">III", 0x80030004, 4, 0),
    "errors": next(spdy.data_frames(ERROR, b"e")),
    "nobody": next(spdy.data_frames(99, b"x")),
    "sink": b"",
    "deaf": b"",
}
"""The bytes that follow the kubelet's grant, over and over;
without anything it reads, or for "deaf" does not."""

ANSWERS = {
    "early": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "extensions": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;a=b\r\n\n\r\n"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"a:\r\n"),
    "lines": (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE, b"\n"),
    "more": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
}
"""Beginnings of answers, and what follows over and over."""

GRANT = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
    b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests, one after the other."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = unquote(head.split(" ")[1])
            if target.startswith("/exec/"):
                await _streams(target.rpartition("command=")[2].partition("&")[0], reader, writer)
                return
            sort = target.rpartition("/")[2].partition("?")[0]
            if sort in ANSWERS:
                await _flood(writer, *ANSWERS[sort])
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _flood(writer: asyncio.StreamWriter, head: bytes, piece: bytes) -> None:
    writer.write(head)
    part = piece * (65536 // len(piece))
    for _ in range(SIZE // len(part)):
        if writer.is_closing():
            return
        writer.write(part)
        await writer.drain()


async def _streams(sort: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GRANT)
    if STREAMS[sort]:
        await _flood(writer, b"", STREAMS[sort])
        writer.write(spdy.goaway())
        await writer.drain()
        return
    if sort == "deaf":
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(DEAF)
        return
    while await reader.read(1 << 18):
        pass


@contextmanager
def hostile(directory: pathlib.Path) -> Iterator[int]:
    """The program, from outside: its port."""
    process = subprocess.Popen([sys.executable, __file__, str(directory)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def main(directory: pathlib.Path) -> None:
    os.nice(19)  # what it uses itself keeps nobody waiting
    cert, key = CertificateAuthority.create("hostile").issue(
        "hostile", hosts=("127.0.0.1", "localhost"), server=True
    )
    pem = directory / "hostile.pem"
    pem.write_bytes(cert + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(pathlib.Path(sys.argv[1])))

"""The least that a server on uvloop, httptools and TLS spends: it answers the load with ready bytes.

    python benchmarks/floor.py PORT [PODS] [--certificate FILE --key FILE]

It checks nothing and stores nothing but one prepared body for each pod. Of what comes it reads the method,
the path and, where it decides the answer, the name and an annotation. Without a certificate it makes one.
"""

import argparse
import asyncio
import ctypes
import itertools
import pathlib
import ssl
import tempfile
from collections.abc import Sequence
from typing import cast

import httptools
import orjson
import uvloop

HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
WATCH_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
LIST_HEAD = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":['
SLICE = 40
"""Objects of a list that are written together: about 240 KB."""
POD = (
    b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"%s","annotations":{"example.com/fan":"%s"}},'
    b'"spec":{"pad":"' + b"y" * 5800 + b'"}}'
)
OTHER = (
    b'{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"a","resourceVersion":"1",'
    b'"uid":"11111111-2222-3333-4444-555555555555"},"spec":{"pad":"' + b"y" * 300 + b'"}}'
)
"""The answer about any object that is no pod, of a lease's size."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of malloc.h."""


class Floor:
    """The pods, and the connections with a watch."""

    def __init__(self, pods: int) -> None:
        names = [b"pod-%06d" % number for number in range(pods)]
        self.pods = {name: POD % (name, b"0") for name in names}
        self.watchers: dict[asyncio.Transport, None] = {}

    def listed(self, query: bytes) -> list[bytes]:
        """The pods that the real server would find: 1 of 100 by a label, 1 of 500 by a node."""
        count = len(self.pods)
        if b"labelSelector" in query:
            count = max(1, count // 100)
        elif b"fieldSelector" in query:
            count = max(1, count // 500)
        elif b"limit=500" in query:
            count = 500
        return list(itertools.islice(self.pods.values(), count))

    def written(self, method: bytes, name: bytes, body: bytes) -> bytes:
        """Keep a pod and send it to the watches, if its annotation asks for that."""
        value = orjson.loads(body)
        metadata = value.get("metadata", {})
        fan: bytes = metadata.get("annotations", {}).get("example.com/fan", "").encode()
        key: bytes = metadata["name"].encode() if method == b"POST" else name
        answer = self.pods[key] = POD % (key, fan)
        if fan and self.watchers:
            event = b'{"type":"MODIFIED","object":' + answer + b"}\n"
            frame = b"%x\r\n" % len(event) + event + b"\r\n"
            for transport in self.watchers:
                transport.write(frame)
        return answer


class Connection(asyncio.Protocol):
    """One client: a request is answered as soon as its last byte is there."""

    transport: asyncio.Transport

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.parser = httptools.HttpRequestParser(self)
        self.url = self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.floor.watchers.pop(self.transport, None)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Fields are read, as every server must, and not looked at."""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        method, body = self.parser.get_method(), self.body
        path, _, query = self.url.partition(b"?")
        self.body = b""
        collection, _, name = path.removesuffix(b"/status").rpartition(b"/")
        if method == b"GET" and b"watch=1" in query:
            self.transport.write(WATCH_HEAD)
            self.floor.watchers[self.transport] = None
        elif method == b"GET" and name == b"pods":
            self.write_list(self.floor.listed(query))
        elif name != b"pods" and not collection.endswith(b"/pods"):
            if body:
                orjson.loads(body)
            self.write(method, OTHER)
        elif method == b"GET":
            self.write(method, self.floor.pods.get(name, OTHER))
        elif method == b"DELETE":
            self.write(method, self.floor.pods.pop(name, OTHER))
        else:
            self.write(method, self.floor.written(method, name, body))

    def write(self, method: bytes, answer: bytes) -> None:
        self.transport.write(HEAD % (201 if method == b"POST" else 200, len(answer)) + answer)

    def write_list(self, bodies: Sequence[bytes]) -> None:
        size = len(LIST_HEAD) + len(b"]}") + sum(map(len, bodies)) + max(0, len(bodies) - 1)
        self.transport.write(HEAD % (200, size) + LIST_HEAD)
        for start in range(0, len(bodies), SLICE):
            self.transport.write((b"," if start else b"") + b",".join(bodies[start : start + SLICE]))
        self.transport.write(b"]}")


def issued(directory: pathlib.Path) -> tuple[str, str]:
    """Files with a new certificate for this machine and with its key."""
    from pilothouse.pki import CertificateAuthority

    cert, key = CertificateAuthority.create().issue("floor", hosts=["localhost", "127.0.0.1"], server=True)
    (directory / "floor.crt").write_bytes(cert)
    (directory / "floor.key").write_bytes(key)
    return str(directory / "floor.crt"), str(directory / "floor.key")


def keep_memory() -> None:
    """Have glibc take uvloop's read buffers of 256 KB from its heap, and keep what is freed.

    Else each read maps pages and gives them back, which takes 20 us, or not, as the process's past has it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 16 << 20)
        mallopt(M_TRIM_THRESHOLD, 64 << 20)


async def serve(port: int, pods: int, files: tuple[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    floor = Floor(pods)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(floor), "127.0.0.1", port, ssl=context, backlog=4096
    )
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("port", type=int)
    parser.add_argument("pods", type=int, nargs="?", default=0)
    parser.add_argument("--certificate", default="")
    parser.add_argument("--key", default="")
    args = parser.parse_args()
    keep_memory()
    with (
        tempfile.TemporaryDirectory() as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        files = (args.certificate, args.key) if args.certificate else issued(pathlib.Path(directory))
        runner.run(serve(args.port, args.pods, files))


if __name__ == "__main__":
    main()

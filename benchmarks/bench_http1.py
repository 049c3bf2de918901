"""The compiled protocol against the same in plain Python, through a transport that keeps nothing.

python benchmarks/bench_http1.py       # microseconds a request, and the ratio
pytest benchmarks/bench_http1.py       # the same under pytest-benchmark
"""

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import httptools
import once

from pilothouse.server.http1 import Http1
from pilothouse.server.request import Handler, Request, Response

BODY = b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":"' + b"x" * 6000 + b'"}'
HEADERS = [("Audit-Id", "5f0ed6ad-31a8-4f4d-bbea-6d16ab4fa4f6"), ("Cache-Control", "no-cache, private")]
REQUEST = (
    b"GET /api/v1/namespaces/default/pods/pod-000001 HTTP/1.1\r\nHost: 127.0.0.1:6443\r\n"
    b"User-Agent: kubelet/v1.36.0 (linux/amd64) kubernetes/abcdef\r\nAccept: application/json, */*\r\n"
    b"Authorization: Bearer 0123456789abcdef0123456789abcdef\r\nAccept-Encoding: gzip\r\n\r\n"
)
ROUNDS = once.rounds(20_000)


class Sink:
    """A transport that throws away what it gets."""

    def get_extra_info(self, _: str) -> None:
        return None

    def write(self, _: bytes) -> None:
        pass

    def close(self) -> None:
        pass

    abort = close


class PlainConnection(asyncio.Protocol):
    """The work of the compiled protocol for a plain request, in Python: parse, call, write the head."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.headers: dict[str, str] = {}
        self.all_headers: list[tuple[str, str]] = []
        self.body = b""
        self.target = ""

    def on_url(self, url: bytes) -> None:
        self.target += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace").rstrip(" \t")
        self.headers.setdefault(key, text)
        self.all_headers.append((key, text))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        keep = self.parser.should_keep_alive()
        method = self.parser.get_method().decode()
        request = Request(method, self.target, self.headers, self.all_headers, self.body, keep_alive=keep)
        response = self.handler(request)
        assert isinstance(response, Response) and isinstance(response.body, bytes)
        lines = [f"HTTP/1.1 {response.status} OK"]
        for name, value in response.headers:
            lines.append(f"{name}: {value}".replace("\r", " ").replace("\n", " "))
        lines.append(f"Content-Type: {response.content_type}")
        lines.append(f"Date: {formatdate(usegmt=True)}")
        lines.append(f"Content-Length: {len(response.body)}")
        lines.append("" if keep else "Connection: close\r\n")
        self.transport.write("\r\n".join(lines).encode() + b"\r\n" + response.body)


def handler(_: Request) -> Response:
    return Response(200, BODY, headers=HEADERS)


def compiled(loop: asyncio.AbstractEventLoop) -> Any:
    return Http1(handler, loop=loop)()


def plain(_: asyncio.AbstractEventLoop) -> Any:
    return PlainConnection(handler)


def connection(make: Callable[[asyncio.AbstractEventLoop], Any], loop: asyncio.AbstractEventLoop) -> Any:
    made = make(loop)
    made.connection_made(Sink())
    return made


def measure(make: Callable[[asyncio.AbstractEventLoop], Any]) -> float:
    """Microseconds a request, the best of five runs."""
    loop = asyncio.new_event_loop()
    feed = connection(make, loop).data_received
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(ROUNDS):
            feed(REQUEST)
        best = min(best, time.perf_counter() - start)
    loop.close()
    return best / ROUNDS * 1e6


def test_get(benchmark: Any) -> None:
    loop = asyncio.new_event_loop()
    benchmark(connection(compiled, loop).data_received, REQUEST)
    loop.close()


def test_get_in_plain_python(benchmark: Any) -> None:
    loop = asyncio.new_event_loop()
    benchmark(connection(plain, loop).data_received, REQUEST)
    loop.close()


if __name__ == "__main__":
    fast, slow = measure(compiled), measure(plain)
    print(f"compiled {fast:.2f} us, plain Python {slow:.2f} us, ratio {slow / fast:.1f}")

"""The engine of HTTP/1.1: a connection that is fed in pieces sees
and answers what one does that is fed at once."""

import random
import re
from typing import Any

from fuzz.engines import Engine, content, cut, same
from fuzz.http_runs import Run, on_a_loop


def http1_requests(chance: random.Random) -> list[bytes]:
    """Lines, heads and bodies of requests, one after the other."""
    out: list[bytes] = []
    for _ in range(chance.randint(1, 4)):
        method = chance.choice(("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"))
        path = chance.choice(
            ("/", "/long", "/stream", "/none", "/a?b=c&d=%20", "/" + "x" * chance.choice((1, 100, 9000)))
        )
        out += [f"{method} {path} HTTP/1.1\r\n".encode(), b"Host: a\r\n"]
        for _ in range(chance.randint(0, 4)):
            name = chance.choice(
                ("Accept", "X-A", "Cookie", "Authorization", "Connection", "Expect", "Accept-Encoding")
            )
            value = chance.choice(("", "a", "close", "keep-alive", "100-continue", "gzip", "a" * 200, "é"))
            out.append(f"{name}: {value}\r\n".encode("latin-1"))
        body = content(chance)
        match chance.randrange(3):
            case 0:
                out.append(b"\r\n")
            case 1:
                out += [b"Content-Length: %d\r\n\r\n" % len(body), body]
            case _:
                out.append(b"Transfer-Encoding: chunked\r\n\r\n")
                for piece in [piece for piece in cut(body) if piece][:40]:
                    extension = chance.choice((b"", b"", b";a=b"))
                    out += [b"%x%b\r\n" % (len(piece), extension), piece, b"\r\n"]
                out.append(chance.choice((b"0\r\n\r\n", b"0\r\nX-Trailer: a\r\n\r\n")))
    return out


_VARIES = re.compile(rb"date: [^\r]*\r\n|HTTP/1\.1 100 Continue\r\n\r\n", re.IGNORECASE)
"""A body that is there already needs no invitation."""

_REFUSAL = re.compile(rb"HTTP/1\.1 [45]\d\d .*", re.DOTALL)


def good_answers(run: Run) -> bytes:
    """The answers before the first error:
    which one it is hangs on how much of a head had come when it was read."""
    return _REFUSAL.sub(b"", _VARIES.sub(b"", run.pipe.sent))


def _begins(one: Any, other: Any) -> bool:
    return bool(one[: len(other)] == other[: len(one)])


@on_a_loop
async def check_http1(data: bytes) -> None:
    one, other = Run("http1"), Run("http1")
    await one.feed([data], buffered=False)
    await other.feed(cut(data), buffered=False)
    if one.pipe.closed or other.pipe.closed:  # one of them may have read more until it was refused
        if not _begins(one.seen, other.seen) or not _begins(good_answers(one), good_answers(other)):
            raise AssertionError(
                f"in pieces: {other.seen}\n{other.pipe.sent!r}\nat once: {one.seen}\n{one.pipe.sent!r}"
            )
        return
    same("requests in pieces", other.seen, one.seen)
    same("answers in pieces", good_answers(other), good_answers(one))


ENGINE = Engine("http1", http1_requests, check_http1)

"""Reviews that are posted, and the words for what comes back (tests/registry/test_conversion_webhook.py has more)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from backend import Backend

from pilothouse.outbound.http import Outbound, Trust
from pilothouse.outbound.webhook import Target, WebhookError, decode, post

STATUSES = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    403: "said",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    406: "said",
    409: "the server reported a conflict",
    415: "said",
    418: "the server responded with the status code 418 but did not return more information",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    500: 'an error on the server ("said") has prevented the request from succeeding',
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}


async def respond(request: Any) -> Any:
    if request.path == "/slow":
        await asyncio.Event().wait()
    code = request.path.strip("/")
    if code.isdigit():
        return web.Response(status=int(code), text="said" if request.query.get("timeout") == "2s" else "")
    return web.Response(body=request.headers["Host"].encode() + b" " + await request.read())


def run(runner: asyncio.Runner, folder: Path, test: Any) -> None:
    """Run `test(post to a path, backend)`."""

    async def whole() -> None:
        outbound = Outbound()
        try:
            async with Backend(folder, respond, ("name.svc",)) as backend:
                base = f"https://127.0.0.1:{backend.port}"
                trust = Trust(backend.ca, server_name="name.svc")

                async def send(path: str, seconds: float = 2, body: bytes = b"{}", host: str = "") -> bytes:
                    target = Target(f"https://name.svc:1{path}", base + path, trust, host)
                    return await post(outbound, target, body, seconds)

                await test(send, backend)
        finally:
            await outbound.close()

    runner.run(whole())


def test_a_review(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def test(send: Any, backend: Any) -> None:
        assert await send("/echo", host="name.svc:1") == b"name.svc:1 {}"
        assert await send("/echo", body=b"x") == b"127.0.0.1:%d x" % backend.port
        assert [target for _, target, _, _ in backend.requests] == ["/echo?timeout=2s"] * 2

    run(runner, tmp_path, test)


def test_statuses(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def test(send: Any, backend: Any) -> None:
        for code, why in STATUSES.items():
            with pytest.raises(WebhookError) as caught:
                await send(f"/{code}")
            assert str(caught.value) == why
        with pytest.raises(WebhookError, match=r"^the server was unable to respond with a content type that"):
            await send("/406", 3)
        with pytest.raises(
            WebhookError, match=r"^0-length response with status code: 200 and content type: text/"
        ):
            await send("/200", 3)

    run(runner, tmp_path, test)


def test_time(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def test(send: Any, backend: Any) -> None:
        with pytest.raises(WebhookError) as caught:
            await send("/slow", 0.01)
        late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        assert str(caught.value) == f'Post "https://name.svc:1/slow?timeout=10ms": {late}'

    run(runner, tmp_path, test)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "couldn't get version/kind; json parse error: unexpected end of JSON input"),
        (b"null", "couldn't get version/kind; json parse error: json: cannot unmarshal null into"),
        (b"true", "couldn't get version/kind; json parse error: json: cannot unmarshal bool into"),
        (b"1", "couldn't get version/kind; json parse error: json: cannot unmarshal number into"),
        (b'"a"', "couldn't get version/kind; json parse error: json: cannot unmarshal string into"),
        (b"{}", "Object 'Kind' is missing in '{}'"),
        (b'{"kind":"R"}', "Object 'apiVersion' is missing in '{\"kind\":\"R\"}'"),
        (b'{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no"}', "no"),
        (b'{"kind":"R","apiVersion":"g/v3"}', 'no kind "R" is registered for version "g/v3" in scheme "'),
        (b'{"kind":"S","apiVersion":"g/v1"}', 'no kind "S" is registered for version "g/v1" in scheme "'),
    ],
)
def test_what_is_no_review(data: bytes, why: str) -> None:
    with pytest.raises(WebhookError) as caught:
        decode(data, "g", "R", ("v1", "v2"))
    assert str(caught.value).startswith(why)


def test_a_review_of_any_accepted_version() -> None:
    assert decode(b'{"kind":"R","apiVersion":"g/v2","a":1}', "g", "R", ("v1", "v2"))["a"] == 1

"""Reviews that are posted, and the words for what comes back
(tests/registry/test_conversion_webhook.py has more)."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from backend import Backend

from pilothouse.outbound.http import Outbound, Trust
from pilothouse.outbound.webhook import HEADERS, WebhookError, WebhookTarget, decode, post, query_for, refusal

LIMIT = 1000

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
    504: (
        "the server was unable to return a response in the time allotted, but may still be processing the"
        " request"
    ),
}


async def respond(request: Any) -> Any:
    if request.path == "/slow":
        await asyncio.Event().wait()
    if request.path == "/stuck":
        stream = web.StreamResponse()
        await stream.prepare(request)
        await stream.write(b"{")
        await asyncio.Event().wait()
    if request.path == "/idle":  # keeps the connection, and closes it when it is asked the next time
        if getattr(request.transport, "asked", False):
            request.transport.abort()
        request.transport.asked = True
        return web.Response(body=b"{}")
    if request.path == "/long":
        return web.Response(body=b" " * (LIMIT + 1))
    if request.path == "/endless":
        stream = web.StreamResponse()
        await stream.prepare(request)
        while True:
            await stream.write(b" " * 65536)
            await asyncio.sleep(0)  # a write to a connection that is gone does not wait
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

                async def send(
                    path: str, seconds: float = 2, body: bytes = b"{}", host: str = "", deadline: bool = False
                ) -> bytes:
                    headers = (*HEADERS, ("Host", host)) if host else HEADERS
                    path += query_for(seconds)
                    target = WebhookTarget(f"https://name.svc:1{path}", base + path, headers, trust)
                    return await post(outbound, target, body, seconds, LIMIT, deadline=deadline)

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
            assert (str(caught.value), caught.value.code) == (why, code)
        with pytest.raises(WebhookError, match=r"^the server was unable to respond with a content type that"):
            await send("/406", 3)
        with pytest.raises(
            WebhookError, match=r"^0-length response with status code: 200 and content type: text/"
        ):
            await send("/200", 3)

    run(runner, tmp_path, test)


def test_time(runner: asyncio.Runner, tmp_path: Path) -> None:
    lead = 'Post "https://name.svc:1/slow?timeout=1s": '
    unreadable = "unexpected error when reading response body. Please retry. Original error: "
    due = "context deadline exceeded"
    cases = (
        ("/slow", False, f"{lead}{due} (Client.Timeout exceeded while awaiting headers)"),
        ("/slow", True, f"{lead}{due}"),
        ("/stuck", False, f"{unreadable}{due} (Client.Timeout or context cancellation while reading body)"),
        ("/stuck", True, f"{unreadable}{due}"),
    )

    async def test(send: Any, backend: Any) -> None:
        await send("/echo")  # the connection is there
        for path, deadline, why in cases:
            with pytest.raises(WebhookError) as caught:
                await send(path, 0.1, deadline=deadline)
            assert (str(caught.value), caught.value.timed_out, caught.value.code) == (why, True, 503)

    run(runner, tmp_path, test)


def test_a_connection_that_was_closed_while_idle(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def test(send: Any, backend: Any) -> None:
        assert [await send("/idle"), await send("/idle")] == [b"{}", b"{}"]
        assert len(backend.requests) == 3

    run(runner, tmp_path, test)


@pytest.mark.parametrize("path", ["/long", "/endless"])
def test_an_answer_that_is_too_long(runner: asyncio.Runner, tmp_path: Path, path: str) -> None:
    async def test(send: Any, backend: Any) -> None:
        with pytest.raises(WebhookError, match=f"the answer is longer than {LIMIT} bytes"):
            await send(path)

    run(runner, tmp_path, test)


STATUS = b'{"kind":"Status","apiVersion":"v1","status":"Failure","code":409,"message":"taken"}'


@pytest.mark.parametrize(
    ("status", "media", "body", "text", "code"),
    [
        (403, "text/plain", b"why not\n", "why not", 403),
        (406, "", b"", "the server was unable to respond with a content type that the client supports", 406),
        (502, "image/png", b"x",
         'an error on the server ("unknown") has prevented the request from succeeding', 502),
        (500, "", b"{}", 'an error on the server ("{}") has prevented the request from succeeding', 500),
        (500, "application/json", STATUS, "taken", 409),
        (500, "", STATUS.replace(b'"v1"', b'""'), "taken", 409),
        (404, "", STATUS.replace(b"Failure", b"Success"), "the server could not find the requested resource",
         404),
        (404, "", STATUS.replace(b"Status", b"Other"), "the server could not find the requested resource",
         404),
        (404, "", STATUS.ljust(100_000), "the server could not find the requested resource", 404),
    ],
)  # fmt: skip
def test_what_is_no_success(status: int, media: str, body: bytes, text: str, code: int) -> None:
    err = refusal(status, media, body)
    assert (str(err), err.code) == (text, code)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "couldn't get version/kind; json parse error: unexpected end of JSON input"),
        (b"true", "couldn't get version/kind; json parse error: json: cannot unmarshal bool into Go value of "
                  "type str"),
        (b"1", "couldn't get version/kind; json parse error: json: cannot unmarshal number into"),
        (b'"a"', "couldn't get version/kind; json parse error: json: cannot unmarshal string into"),
        (b'{"kind":5}',
         "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field"),
        (b"[" * 100_000, "couldn't get version/kind; json parse error: "),
        (b"[" + b"{}," * 300_000 + b"{}]", "couldn't get version/kind; json parse error: more than"),
        (b'{"kind":"Status","apiVersion":"v1","status":"Failure"}',
         "converting (v1.Status) to (v1.R): unknown conv"),
        (b'{"kind":"R","apiVersion":"g/v2"}', "converting (v2.R) to (v1.R): unknown conversion"),
        (b'{"kind":"R","apiVersion":"g/v3"}',
         'no kind "R" is registered for version "g/v3" in scheme "pkg/util/'),
        (b'{"kind":"S","apiVersion":"g/v1"}', 'no kind "S" is registered for version "g/v1" in scheme "'),
    ],
)  # fmt: skip
def test_what_is_no_review(data: bytes, why: str) -> None:
    with pytest.raises(WebhookError) as caught:
        decode(data, "g", "R", "v1", ("v1", "v2"))
    assert str(caught.value).startswith(why)


@pytest.mark.parametrize(
    "said",
    [{"kind": "R", "apiVersion": "g/v2"}, {"kind": "R"}, {"apiVersion": "g/v2", "kind": None}, {}, None],
)
def test_a_review_is_the_one_that_was_asked_for(said: Any) -> None:
    assert decode(json.dumps(said).encode(), "g", "R", "v2", ("v1", "v2")) == (said or {})

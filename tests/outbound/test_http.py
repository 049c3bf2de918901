"""The outbound client with a TLS server, and without one."""

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web
from backend import Backend
from eventually import aeventually
from metric_samples import samples

from pilothouse.outbound.http import ClientError, Outbound, Trust, Unanswered
from pilothouse.outbound.metrics import RestClientMetrics
from pilothouse.outbound.upgrade import UpgradeError


async def respond(request: Any) -> Any:
    if request.path == "/slow":
        await asyncio.Event().wait()
    if request.path == "/chunked":
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"abc")
        return answer
    if request.path == "/cut":
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"half")
        request.transport.abort()
        return answer
    return web.Response(text=request.headers.get("X-A", "") + request.raw_path, headers={"X-B": "c"})


def run(runner: asyncio.Runner, folder: Any, test: Any) -> None:
    """Run `test(outbound, base URL, backend)`."""

    async def whole() -> None:
        outbound = Outbound()
        try:
            async with Backend(folder, respond, ("name.svc",)) as backend:
                await test(outbound, f"https://127.0.0.1:{backend.port}", backend)
        finally:
            await outbound.close()

    runner.run(whole())


def test_answers_are_read(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def test(outbound: Any, base: Any, backend: Any) -> None:
        trust = Trust(backend.ca, server_name="name.svc")
        answer = await outbound.open("GET", f"{base}/x%2Fy?z=%20", headers=[("X-A", "1")], trust=trust)
        assert (answer.status, answer.header("x-b"), answer.header("x-c")) == (200, "c", "")
        assert await answer.read(100) == b"1/x%2Fy?z=%20"
        assert {type(name) for name, _ in answer.headers} == {str}  # compiled code takes nothing else
        assert backend.requests[0][2].keys() == {"host", "x-a"}

    run(runner, tmp_path, test)


def test_requests_are_counted_where_that_is_asked_for(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def test(outbound: Any, base: str, backend: Any) -> None:
        metrics = RestClientMetrics(lambda: outbound.contexts)
        outbound = Outbound(metrics=metrics)
        trust = Trust(backend.ca, server_name="name.svc")
        await (await outbound.open("GET", f"{base}/x", trust=trust)).read(100)
        assert not any("requests_total" in name for name in samples(metrics))
        await outbound.exchange("POST", f"{base}/x", body=b"12", trust=trust, timeout=10)
        with pytest.raises(Unanswered):
            await outbound.exchange("GET", f"{base}/slow", trust=trust, timeout=0.01)
        found, host = samples(metrics), f"127.0.0.1:{backend.port}"
        assert found[f'rest_client_requests_total{{code="200",host="{host}",method="POST"}}'] == "1"
        assert found[f'rest_client_requests_total{{code="<error>",host="{host}",method="GET"}}'] == "1"
        for name, size in (("request_size", "2"), ("response_size", "2")):
            assert found[f'rest_client_{name}_bytes_sum{{host="{host}",verb="POST"}}'] == size
        assert found["rest_client_transport_cache_entries"] == "1"
        assert found['rest_client_transport_create_calls_total{result="miss"}'] == "1"
        assert found['rest_client_transport_create_calls_total{result="hit"}'] == "2"
        await outbound.close()

    run(runner, tmp_path, test)


def test_answers_that_are_too_long_or_broken(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def test(outbound: Any, base: Any, backend: Any) -> None:
        with pytest.raises(ClientError, match="longer than 2 bytes"):
            await (await outbound.open("GET", f"{base}/abc")).read(2)
        with pytest.raises(ClientError, match="longer than 2 bytes"):
            await (await outbound.open("GET", f"{base}/chunked")).read(2)
        with pytest.raises(ClientError, match="unexpected EOF"):
            await (await outbound.open("GET", f"{base}/cut")).read(200)

    run(runner, tmp_path, test)


def test_servers_that_cannot_be_trusted_or_reached(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def test(outbound: Any, base: Any, backend: Any) -> None:
        with pytest.raises(ClientError, match="tls: failed to verify certificate: x509: Hostname mismatch"):
            await outbound.open("GET", base, trust=Trust(backend.ca, server_name="other.svc"))
        with pytest.raises(ClientError, match="tls: failed to verify certificate"):
            await outbound.open("GET", base, trust=Trust())
        with pytest.raises(ClientError, match="tls: "):
            await outbound.open("GET", base, trust=Trust(b"no certificate"))
        with pytest.raises(ClientError, match="deadline exceeded"):
            await outbound.open("GET", f"{base}/slow", timeout=0.01)
        with pytest.raises(ClientError, match=r"dial tcp 127\.0\.0\.1:1: connect: connection refused"):
            await outbound.open("GET", "https://127.0.0.1:1/")

    run(runner, tmp_path, test)


async def test_a_certificate_that_was_replaced_is_used(runner: asyncio.Runner, tmp_path: Path) -> None:
    """The files are those of a flag:
    a new certificate is shown from the next request on, without a restart."""
    async with Backend(tmp_path, respond) as backend:
        outbound = Outbound()
        trust = Trust(backend.ca, False, "", *backend.client_files("first"))
        url = f"https://127.0.0.1:{backend.port}/"
        for _ in range(2):
            await outbound.exchange("GET", url, trust=trust, timeout=5)
        cert, key = backend.client_files("second")
        os.replace(cert, trust.cert_file)
        os.replace(key, trust.key_file)
        os.utime(trust.cert_file, ns=(1, 1))
        await outbound.exchange("GET", url, trust=trust, timeout=5)
        assert backend.clients == ["first", "first", "second"]
        os.remove(trust.cert_file)
        with pytest.raises(ClientError, match="tls: "):
            await outbound.open("GET", url, trust=trust)
        await outbound.close()


def test_an_answer_that_is_given_up_is_not_read_on(tmp_path: Path) -> None:
    """The other side goes on sending, whatever it is told."""
    backend = Backend(tmp_path, respond)
    cert, key = backend.authority.issue("backend", hosts=backend.hosts, server=True)
    (tmp_path / "endless.pem").write_bytes(cert + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "endless.pem")

    def endless(listener: socket.socket) -> int:
        plain, _ = listener.accept()
        with context.wrap_socket(plain, server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            sent = 0
            with contextlib.suppress(OSError):
                while sent < 200_000_000:
                    connection.sendall(bytes(65536))
                    sent += 65536
        return sent

    async def whole() -> None:
        outbound = Outbound()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            sending = asyncio.create_task(asyncio.to_thread(endless, listener))
            url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
            answer = await outbound.open("GET", url, trust=Trust(backend.ca))
            with pytest.raises(ClientError):
                await answer.read(100_000)
            assert await sending < 100_000_000
        await outbound.close()

    uvloop.run(whole())


def test_new_connections_for_what_comes(runner: asyncio.Runner, tmp_path: Path) -> None:
    """Requests under way keep their connection, and everything is given back in the end."""

    async def test(outbound: Any, base: Any, backend: Any) -> None:
        old = await outbound.open("GET", f"{base}/chunked")
        waiting = asyncio.create_task(outbound.open("GET", f"{base}/slow"))
        await aeventually(lambda: any(path == "/slow" for _, path, _, _ in backend.requests), "the request")
        await outbound.renew()
        new = await outbound.open("GET", f"{base}/a")
        assert await new.read(100) == b"/a" and await old.read(100) == b"abc" and not waiting.done()
        assert len(outbound._former) == 1
        waiting.cancel()
        await asyncio.wait((waiting,))
        del old, new, waiting
        gc.collect()
        await outbound.renew()
        assert outbound._former == []
        assert await (await outbound.open("GET", f"{base}/b")).read(100) == b"/b"

    run(runner, tmp_path, test)


def test_an_answer_that_comes_when_its_client_has_just_left_is_closed(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    """The log of a container that is followed does not end by itself."""

    async def follow(request: Any) -> Any:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await aeventually(lambda: request.transport is None, "the connection to be closed")
        left.set()

    class Late(Outbound):
        waiting: asyncio.Task[Any]

        async def _request(self, *args: Any) -> Any:
            answer = await super()._request(*args)
            self.waiting.cancel()
            return answer

    async def whole() -> None:
        outbound = Late()
        async with Backend(tmp_path, follow) as backend:
            outbound.waiting = asyncio.create_task(outbound.open("GET", f"https://127.0.0.1:{backend.port}/"))
            with pytest.raises(asyncio.CancelledError):
                await outbound.waiting
            assert len(backend.requests) == 1
            await asyncio.wait_for(left.wait(), 10)
        await outbound.close()

    left = asyncio.Event()
    runner.run(whole())


async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write(b"nonsense\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("silent", [False, True], ids=["nobody", "nonsense"])
def test_a_request_that_failed_is_freed_at_once(runner: asyncio.Runner, silent: bool) -> None:
    """Bodies have megabytes, and full collections are minutes apart."""

    async def whole() -> None:
        outbound = Outbound()
        async with await asyncio.start_server(nonsense, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1] if silent else 1
            body = bytes(100_000)
            for upgrade in (False, True):
                before = sys.getrefcount(body)
                try:
                    if upgrade:
                        await outbound.upgrade("GET", f"http://127.0.0.1:{port}/", Headers(body))
                    else:
                        await outbound.open("POST", f"http://127.0.0.1:{port}/", body=body)
                except (ClientError, UpgradeError):
                    pass
                else:
                    raise AssertionError("it was answered")
                await aeventually(lambda: sys.getrefcount(body) <= before, "the body to be free")  # noqa: B023 -- called within the turn
        await outbound.close()

    gc.disable()
    try:
        runner.run(whole())
    finally:
        gc.enable()


class Headers(list[tuple[str, str]]):
    """Headers that hold on to something, to see how long they are held themselves."""

    def __init__(self, held: bytes) -> None:
        super().__init__([("Upgrade", "x")])
        self.held = held

"""Documents of identity providers over TLS."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from backend import Backend

from pilothouse.authn.fetch import MAX_REDIRECTS, fetch_through
from pilothouse.outbound.http import ANSWER_BYTES, Outbound


async def answer(request: Any) -> web.StreamResponse:
    match request.path:
        case "/good":
            return web.Response(text="found")
        case "/moved":
            return web.Response(status=302, headers={"Location": "/good"})
        case "/plain":
            return web.Response(status=302, headers={"Location": "http://127.0.0.1/good"})
        case "/away":
            other = f"https://localhost:{request.transport.get_extra_info('sockname')[1]}/good"
            return web.Response(status=307, headers={"Location": other})
        case "/round":
            return web.Response(status=301, headers={"Location": "/round"})
        case "/long":
            return web.Response(body=b"x" * (ANSWER_BYTES + 1))
        case "/slow":
            slow = web.StreamResponse()
            await slow.prepare(request)
            await slow.write(b"begun")
            await asyncio.Event().wait()
    return web.Response(status=404, text="canary")


async def test_documents(runner: asyncio.Runner, tmp_path: Path) -> None:
    outbound = Outbound()
    async with Backend(tmp_path, answer, hosts=("127.0.0.1", "localhost")) as backend:
        url = f"https://127.0.0.1:{backend.port}"
        fetch = fetch_through(outbound, backend.ca.decode())
        assert await fetch(f"{url}/good", "canary") == b"found"
        assert await fetch(f"{url}/moved", "canary") == b"found"
        assert [one[2].get("authorization") for one in backend.requests] == [["Bearer canary"]] * 3
        assert await fetch(f"{url}/away", "canary") == b"found"
        assert "authorization" not in backend.requests[-1][2]
        for path, why in (
            ("/plain", "only https is fetched"),
            ("/round", f"stopped after {MAX_REDIRECTS} redirects"),
            ("/long", f"the answer is longer than {ANSWER_BYTES} bytes"),
            ("/none", "status code 404"),
        ):
            with pytest.raises(OSError, match=f'Get "{url}{path}": {why}'):
                await fetch(f"{url}{path}")
        hurried = fetch_through(outbound, backend.ca.decode(), 0.01)
        with pytest.raises(OSError, match=f'Get "{url}/slow": context deadline exceeded'):
            await hurried(f"{url}/slow")
        with pytest.raises(OSError, match="failed to verify certificate"):
            await fetch_through(outbound, "")(f"{url}/good")
    with pytest.raises(
        OSError, match=f'Get "{url}/good": dial tcp 127.0.0.1:{backend.port}: connect: connection'
    ):
        await fetch(f"{url}/good")
    await outbound.close()

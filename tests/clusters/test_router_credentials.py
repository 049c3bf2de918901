"""No credential of one cluster is good in another one, however the request comes."""

import asyncio
import json
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from clusters.credentials import REVIEWS, STATIC, Credential, all_of, made
from clusters.rig import DOMAIN, MAPS, ClusterRig
from clusters.wire import Connection

NAMES = ("", "iso-a", "iso-b")
FLAGS = ("--enable-bootstrap-token-auth",)
LONG = 80_000
"""Bytes of a body that is judged by its head first."""


@pytest.fixture(scope="module")
def rig(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterRig]:
    """The server, whose root knows a static token, with two clusters."""
    directory = tmp_path_factory.mktemp("isolation")
    tokens = directory / "tokens.csv"
    tokens.write_text(f"{STATIC},root-user,1\n")
    rig = ClusterRig(directory / "data", *FLAGS, f"--token-auth-file={tokens}")
    runner.run(rig.start())
    runner.run(made(rig, *NAMES[1:]))
    yield rig
    runner.run(rig.stop())


@pytest.fixture(scope="module")
def credentials(runner: asyncio.Runner, rig: ClusterRig) -> dict[str, list[Credential]]:
    """The credentials of each cluster."""
    return {name: runner.run(all_of(rig, name)) for name in NAMES}


def crossings(credentials: dict[str, list[Credential]]) -> Iterator[tuple[str, str, Credential]]:
    """Each credential with each cluster that it is not of: its cluster, the other one, the credential."""
    for own, some in credentials.items():
        for other in NAMES:
            if other != own:
                for credential in some:
                    yield own, other, credential


def by_host(name: str) -> str:
    """The value of the header Host by which a cluster is asked."""
    return f"{name}.{DOMAIN}:6443" if name else "localhost"


async def test_each_is_good_in_its_own(rig: ClusterRig, credentials: dict[str, list[Credential]]) -> None:
    for own, some in credentials.items():
        for one in some:
            answer = await rig.call("POST", REVIEWS, {}, cluster=own, identity=one.identity, **one.headers)
            assert answer.status == 201, (own, one.kind, answer)
            assert answer.body["status"]["userInfo"]["username"] == one.user
            host = by_host(own)
            answer = await rig.send("POST", REVIEWS, {}, identity=one.identity, host=host, **one.headers)
            assert answer.status == 201, (own, one.kind, answer)


@pytest.mark.parametrize("judged", [False, True])
async def test_none_is_good_in_another(
    rig: ClusterRig, credentials: dict[str, list[Credential]], judged: bool
) -> None:
    tried = 0
    for own, other, one in crossings(credentials):
        prefix = f"/clusters/{other}" if other else ""
        for path, host in ((prefix, "localhost"), ("", by_host(other))):
            for method, target, body in (
                ("POST", REVIEWS, {}),
                ("GET", MAPS, None),
                ("GET", "/api", None),
                ("POST", MAPS, {"metadata": {"name": "x"}, "data": {"x": "x" * LONG}}),
            ):
                headers: dict[str, Any] = one.headers | {"host": host}
                answer = await rig.send(
                    method, path + target, body, identity=one.identity, judged=judged, **headers
                )
                assert answer.status == 401, (own, other, one.kind, target, answer)
                tried += 1
    assert tried == 320
    for name in NAMES:
        listed = await rig.ok("GET", MAPS, cluster=name)
        assert [one["metadata"]["name"] for one in listed["items"]] == ["kube-root-ca.crt"]


async def test_a_kept_connection_alternates(
    rig: ClusterRig, credentials: dict[str, list[Credential]]
) -> None:
    for own in NAMES:
        for one in credentials[own]:
            async with Connection(rig.port, rig.context(one.identity)) as connection:
                for _ in range(3):
                    for name in NAMES:
                        prefix = f"/clusters/{name}" if name else ""
                        await connection.send("POST", prefix + REVIEWS, b"{}", one.headers)
                        status, _ = await connection.answer()
                        assert status == (201 if name == own else 401), (own, name, one.kind)


async def test_pipelined_requests_alternate(
    rig: ClusterRig, credentials: dict[str, list[Credential]]
) -> None:
    long = json.dumps({"metadata": {"name": "x"}, "data": {"x": "x" * LONG}}).encode()
    for own in NAMES:
        for one in credentials[own]:
            async with Connection(rig.port, rig.context(one.identity)) as connection:
                for name in NAMES * 4:
                    prefix = f"/clusters/{name}" if name else ""
                    await connection.send("POST", prefix + REVIEWS, b"{}", one.headers, flush=False)
                for name in NAMES * 4:
                    status, _ = await connection.answer()
                    assert status == (201 if name == own else 401), (own, name, one.kind)
                for name in NAMES:  # the connection may end with the refusal of a long body
                    if name != own:
                        path = f"/clusters/{name}{MAPS}" if name else MAPS
                        async with Connection(rig.port, rig.context(one.identity)) as other:
                            await other.send("POST", path, long, one.headers)
                            assert (await other.answer())[0] == 401, (own, name, one.kind)


async def test_streams_of_a_connection_alternate(
    rig: ClusterRig, credentials: dict[str, list[Credential]]
) -> None:
    for own in NAMES:
        for one in credentials[own]:
            async with over_http2(rig, rig.context(one.identity)) as client:

                async def asked(name: str, host: bool, one: Credential = one, client: Any = client) -> int:
                    headers = {"content-type": "application/json", **one.headers}
                    prefix = f"/clusters/{name}" if name and not host else ""
                    if host:
                        headers["host"] = by_host(name)
                    answer = await client.post(prefix + REVIEWS, content=b"{}", headers=headers)
                    assert answer.http_version == "HTTP/2"
                    return int(answer.status_code)

                ways = [(name, host) for name in NAMES * 2 for host in (False, True)]
                answers = await asyncio.gather(*(asked(name, host) for name, host in ways))
                for (name, host), status in zip(ways, answers, strict=True):
                    assert status == (201 if name == own else 401), (own, name, host, one.kind)


def over_http2(rig: ClusterRig, context: ssl.SSLContext) -> httpx.AsyncClient:
    return httpx.AsyncClient(http2=True, verify=context, base_url=f"https://127.0.0.1:{rig.port}")

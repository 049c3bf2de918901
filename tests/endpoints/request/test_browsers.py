"""Pages of other origins and the client certificate of a browser."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from harness import CONFIG_MAPS, Answer, Rig

from pilothouse.endpoints.request.browsers import FOREIGN

EVIL = "https://evil.example"
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FRAME = {**LINK, "Sec-Fetch-Dest": "iframe"}
ELSEWHERE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"}


def started(runner: asyncio.Runner, *flags: str) -> Iterator[Rig]:
    rig = Rig(flags=list(flags))
    runner.run(rig.start())
    yield rig
    runner.run(rig.stop())


@pytest.fixture
def shown(runner: asyncio.Runner) -> Iterator[Rig]:
    yield from started(runner, "--console")


@pytest.fixture
def open_to_evil(runner: asyncio.Runner) -> Iterator[Rig]:
    yield from started(runner, "--console", f"--cors-allowed-origins=^{EVIL}$")


async def asked(
    rig: Rig,
    method: str,
    headers: dict[str, str],
    certificate: bool = True,
    path: str = CONFIG_MAPS,
    body: Any = None,
) -> Answer:
    plain, rig_request = {"Host": "api:6443", **headers}, rig.request

    def request(*args: Any, **kwargs: Any) -> Any:
        made = rig_request(*args, **kwargs)
        made.peer_certificates = (b"a certificate",) if certificate else ()
        return made

    rig.request = request  # type: ignore[method-assign]
    try:
        if method == "POST":
            body = {"metadata": {"generateName": "a-"}}
        return await rig.call(method, path, body, headers=plain)
    finally:
        rig.request = rig_request  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", ELSEWHERE),
        ("POST", {**ELSEWHERE, "Sec-Fetch-Site": "same-site"}),
        ("POST", LINK),
        ("GET", ELSEWHERE),
        ("GET", FRAME),
        ("GET", {**LINK, "Sec-Fetch-Mode": "no-cors"}),
        ("GET", {"Origin": EVIL}),
        ("GET", {"Origin": "null"}),
        ("GET", {"Origin": "https://api:6444"}),
        ("GET", {"Origin": "http://["}),
        ("GET", {**ELSEWHERE, "X-Forwarded-For": "10.0.0.1"}),
    ],
)
async def test_other_pages_do_not_use_a_certificate(
    shown: Rig, rig: Rig, method: str, headers: dict[str, str]
) -> None:
    answer = await asked(shown, method, headers)
    assert (answer.status, answer.body["message"]) == (403, FOREIGN)
    assert (await asked(shown, method, headers, certificate=False)).status < 300
    assert (await asked(rig, method, headers)).status < 300, "without a console all is as with kube-apiserver"


MERGE = {"Content-Type": "application/merge-patch+json"}
CHANGED = {"metadata": {"name": "mine"}, "data": {"a": "changed"}}


@pytest.mark.parametrize(("method", "body"), [("PUT", CHANGED), ("PATCH", CHANGED), ("DELETE", None)])
@pytest.mark.parametrize(
    "headers", [ELSEWHERE, {**ELSEWHERE, "Sec-Fetch-Site": "same-site"}, {"Origin": EVIL}]
)
async def test_other_pages_change_nothing_with_a_certificate(
    shown: Rig, method: str, body: Any, headers: dict[str, str]
) -> None:
    path = f"{CONFIG_MAPS}/mine"
    await shown.ok("POST", CONFIG_MAPS, {"metadata": {"name": "mine"}, "data": {"a": "b"}})
    answer = await asked(
        shown, method, {**MERGE, **headers} if method == "PATCH" else headers, True, path, body
    )
    assert (answer.status, answer.body["message"]) == (403, FOREIGN)
    assert (await shown.ok("GET", path))["data"] == {"a": "b"}
    own = {
        "Sec-Fetch-Site": "same-origin",
        "Origin": "https://api:6443",
        **(MERGE if method == "PATCH" else {}),
    }
    assert (await asked(shown, method, own, True, path, body)).status == 200


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {}),
        ("POST", {**ELSEWHERE, "Sec-Fetch-Site": "same-origin", "Origin": EVIL}),
        ("POST", {"Origin": "https://api:6443"}),
        ("GET", LINK),
        ("GET", {**FRAME, "Sec-Fetch-Site": "none"}),
        ("GET", {"Origin": "http://127.0.0.1:8001", "X-Forwarded-For": "127.0.0.1"}),
    ],
)
async def test_pages_of_this_server_and_other_clients_do(
    shown: Rig, method: str, headers: dict[str, str]
) -> None:
    assert (await asked(shown, method, headers)).status < 300


async def test_origins_that_are_allowed_do(open_to_evil: Rig) -> None:
    assert (await asked(open_to_evil, "POST", {**ELSEWHERE, "Origin": EVIL})).status == 201
    assert (await asked(open_to_evil, "POST", {**ELSEWHERE, "Origin": f"{EVIL}.org"})).status == 403

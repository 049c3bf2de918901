"""The work around every request that flags ask for."""

import asyncio

import pytest
from harness import Rig

from pilothouse.endpoints.request.edges import Edges

ORIGIN = "https://console.example.com"
CORS = r"^https://console\.example\.com$"


@pytest.fixture
def rig_with_edges(runner: asyncio.Runner) -> Rig:
    rig = Rig(
        flags=[f"--cors-allowed-origins={CORS}", "--strict-transport-security-directives=max-age=5,preload"]
    )
    runner.run(rig.start())
    return rig


async def test_browsers_of_an_allowed_origin(rig_with_edges: Rig) -> None:
    answer = await rig_with_edges.call("GET", "/version", headers={"Origin": ORIGIN})
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    answer = await rig_with_edges.call("OPTIONS", "/api/v1/pods", headers={"Origin": ORIGIN}, user=None)
    assert answer.status == 204 and "POST" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize("origin", ["https://console.example.com.evil", "http://console.example.com", ""])
async def test_browsers_of_other_origins(rig_with_edges: Rig, origin: str) -> None:
    answer = await rig_with_edges.call("GET", "/version", headers={"Origin": origin} if origin else {})
    assert answer.status == 200 and "access-control-allow-origin" not in answer.headers
    answer = await rig_with_edges.call(
        "OPTIONS", "/api/v1/pods", headers={"Origin": origin} if origin else {}
    )
    assert answer.status == 405


async def test_browsers_are_told_to_use_tls(rig_with_edges: Rig) -> None:
    for path in ("/version", "/nope", "/api/v1/namespaces/default/configmaps"):
        answer = await rig_with_edges.call("GET", path)
        assert answer.headers["strict-transport-security"] == "max-age=5; preload"


async def test_a_server_that_stops_refuses(rig: Rig) -> None:
    rig.handlers.pipeline.edges = edges = Edges(refusing=True)
    assert (await rig.call("GET", "/version")).status == 200
    edges.stopping = True
    answer = await rig.call("GET", "/version")
    assert answer.status == 429
    assert (answer.headers["retry-after"], answer.headers["connection"]) == ("5", "close")
    assert answer.body == "The apiserver is shutting down, please try again later.\n"
    assert (await rig.call("GET", "/livez/ping")).status == 200


async def test_a_server_that_was_not_asked_to_refuse_goes_on(rig: Rig) -> None:
    rig.handlers.pipeline.edges = edges = Edges(directives=["preload"])
    edges.stopping = True
    assert (await rig.call("GET", "/version")).status == 200

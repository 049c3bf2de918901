"""A server that is registered as its own aggregated server neither asks itself for ever nor stops."""

import asyncio
from collections.abc import Iterator

import pytest
from e2e.http_client import Connection
from eventually import aeventually
from front_proxy import front_proxy

from pilothouse.testing.server import InProcess

APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
NAME = "v1.loop.example.com"
PATH = "/apis/loop.example.com/v1/things"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A server that trusts its own front proxy certificate, as servers of most clusters do."""
    ahead, behind = front_proxy(tmp_path_factory.mktemp("front-proxy"))
    with InProcess([*ahead, *behind]) as started:
        yield started


async def test_a_server_that_leads_to_itself(runner: asyncio.Runner, server: InProcess) -> None:
    admin = Connection(server.port, server.context())

    async def ok(method: str, path: str, body: object = None) -> dict[str, object]:
        status, answer = await admin.request(method, path, body)
        assert status < 300, answer
        assert isinstance(answer, dict)
        return answer

    service = {"metadata": {"name": "self"}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
    await ok("POST", "/api/v1/namespaces/default/services", service)
    spec = {
        "group": "loop.example.com",
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"namespace": "default", "name": "self", "port": server.port},
    }
    await ok("POST", APISERVICES, {"metadata": {"name": NAME}, "spec": spec})
    url = f"https://localhost:{server.port}/apis/loop.example.com/v1"
    said = f"failing or missing response from {url}: bad status from {url}: 508"

    async def refused() -> bool:
        return said in str(await ok("GET", f"{APISERVICES}/{NAME}"))

    await aeventually(refused, "a condition that tells of the loop", 20)
    assert await admin.request("GET", PATH) == (503, "service unavailable\n")
    await ok("GET", "/api/v1/namespaces")
    await ok("DELETE", f"{APISERVICES}/{NAME}")
    admin.close()

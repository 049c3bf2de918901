"""`kube.fault` and `kube.faults`, and what clients of sockets see."""

import contextlib
import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.server import InProcess

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def _shared() -> Iterator[InProcess]:
    with InProcess(["--faults"]) as server:
        yield server


def get(server: InProcess, path: str, agent: str = "shop/v1") -> http.client.HTTPResponse:
    """An answer that has been read."""
    where = urlsplit(server.url)
    connection = http.client.HTTPSConnection(
        where.hostname or "", where.port, context=server.context(), timeout=10
    )
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"User-Agent": agent})
        with connection.getresponse() as answer:
            answer.read()
    return answer


def test_a_fault_for_the_time_of_a_with(server: InProcess) -> None:
    with server.fault(verb="list", resource="configmaps", code=503, retry_after=2, times=1) as fault:
        answer = get(server, MAPS)
        assert answer.status == 503 and answer.headers["Retry-After"] == "2"
        assert answer.headers["X-Pilothouse-Fault"] == fault.name
        assert get(server, MAPS).status == 200
        [hit] = fault.hits
        assert (hit["verb"], hit["path"], hit["userAgent"]) == ("list", MAPS, "shop/v1")
    assert fault.count == 1 and len(fault.hits) == 1
    assert list(server.faults) == []


def test_the_helpers_of_a_test_are_spared(server: InProcess) -> None:
    with server.fault("all", code=500) as fault:
        server.wait(("v1", "Namespace", "default"), lambda namespace: True)
        assert fault.count == 0
    with (
        server.fault(user_agent="pilothouse-testing", code=500),
        pytest.raises(RefusedError),
        server._client() as one,
    ):
        one.call("GET", MAPS)


def test_a_reset_removes_all(server: InProcess) -> None:
    fault = server.faults.add("stays", verb="list", drop=True)
    assert [one["name"] for one in server.faults] == ["stays"]
    server.reset()
    assert list(server.faults) == []
    fault.remove()
    assert get(server, MAPS).status == 200


def test_all_are_removed(server: InProcess) -> None:
    server.faults.add(code=500)
    server.faults.add(code=503)
    server.faults.clear()
    assert list(server.faults) == []


def test_a_connection_is_dropped(server: InProcess) -> None:
    with server.fault(verb="list", drop=True, times=1), pytest.raises(http.client.RemoteDisconnected):
        get(server, MAPS)


def test_a_watch_is_cut(server: InProcess) -> None:
    with server.fault(verb="watch", drop=True, times=1), pytest.raises(http.client.IncompleteRead):
        get(server, f"{MAPS}?watch=1")


def test_a_rule_that_is_none(server: InProcess) -> None:
    with pytest.raises(RefusedError, match="code: must be from 400 to 599"), server.fault(code=7):
        pass


def test_a_server_without_faults() -> None:
    with InProcess() as plain:
        with pytest.raises(RuntimeError, match="start it with --faults"), plain.fault(code=500):
            pass
        with KubeClient(plain.url, plain.context()) as client, pytest.raises(RefusedError):
            client.call("GET", "/faults")

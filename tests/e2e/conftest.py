"""Fixtures that several modules share: three servers on three etcd members behind HAProxy, a browser, and a
server with the console."""

from collections.abc import Iterator
from typing import Any

import pytest
from clients.drivers import Raw
from e2e.consoles import chromium, console_server

from pilothouse.commands.api import Api
from pilothouse.testing.ha import MEMBERS, Ha
from pilothouse.testing.server import InProcess


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ha]:
    """A module says by ETCD_MEMBERS where its tests need fewer than three."""
    members = getattr(request.module, "ETCD_MEMBERS", MEMBERS)
    directory = tmp_path_factory.mktemp("ha")
    cluster = Ha(directory, flags=("--shutdown-delay-duration=3s",), etcd_members=members)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def ha(cluster: Ha) -> Ha:
    """The cluster of a module's tests; all its servers run when a test begins."""
    for index, server in enumerate(cluster.servers):
        if server is not None and server.poll() is not None:
            cluster.start_server(index)
            cluster.wait_server(index)
    return cluster


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for the tests of a module."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A server with the console, for the tests of a module; modules about other servers have their own."""
    with console_server(tmp_path_factory.mktemp("tokens")) as server:
        yield server


@pytest.fixture
def api(server: InProcess) -> Api:
    """The server by its administrator's kubeconfig."""
    return Api(server.kubeconfig)


@pytest.fixture
def raw(server: InProcess) -> Iterator[Raw]:
    """A raw connection of the administrator; the server is reset when it closes."""
    raw = Raw(server)
    yield raw
    raw.connection.close()
    server.reset()

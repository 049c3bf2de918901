"""Servers and the kubectl binary for tests with real clients."""

import gc
from collections.abc import Iterator

import pytest
from clients.drivers import Kubectl

from pilothouse.testing.server import APIServer, InProcess, Subprocess


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """kubectl against a server on a durable store; the clients in Python have one in memory."""
    with Subprocess(["--storage-backend=sqlite"]) as server:
        yield Kubectl(server, tmp_path_factory.mktemp("home"))


@pytest.fixture
def namespace(kubectl: Kubectl, request: pytest.FixtureRequest) -> str:
    """A namespace for one test; it is left behind, for the server goes too."""
    words = request.node.originalname.removeprefix("test_").replace("_", "-")
    name = f"{words[:50].strip('-')}"
    kubectl(f"create namespace {name}")
    return name


@pytest.fixture(scope="session")
def clients_server() -> Iterator[APIServer]:
    """One server for all clients in Python."""
    with InProcess() as server:
        yield server


@pytest.fixture
def server(clients_server: APIServer) -> Iterator[APIServer]:
    """The server for all clients, without what earlier tests have created."""
    yield clients_server
    clients_server.reset()
    gc.collect()  # what a client leaves open is warned about here, where it is overlooked

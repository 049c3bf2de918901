"""A server and its kubectl, to which manifests are applied."""

import pathlib
from collections.abc import Iterator

import pytest
from clients.drivers import Kubectl

from pilothouse.testing.server import InProcess

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="session")
def deploy() -> pathlib.Path:
    """The folder of what deploys the server."""
    return DEPLOY


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    with InProcess() as server:
        yield Kubectl(server, tmp_path_factory.mktemp("home"))

"""pytest fixtures: `kube_apiserver` for a session, `kube` for a test that needs a fresh cluster.

Options: --kube-apiserver=thread|process, and --kube-apiserver-flag=... for flags of the server (repeatable).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pilothouse.testing.server import APIServer


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pilothouse")
    group.addoption(
        "--kube-apiserver", choices=("thread", "process"), default="thread", help="where the API server runs"
    )
    group.addoption("--kube-apiserver-flag", action="append", default=[], help="a flag of the API server")


@pytest.fixture(scope="session")
def kube_apiserver(request: pytest.FixtureRequest) -> "Iterator[APIServer]":
    """A running API server: `.url`, `.kubeconfig`, `.ca_file`, `.client_cert`, `.client_key`, `.reset()`."""
    from pilothouse.testing.server import MAKERS

    make = MAKERS[request.config.getoption("--kube-apiserver")]
    with make(request.config.getoption("--kube-apiserver-flag")) as server:
        yield server


@pytest.fixture
def kube(kube_apiserver: "APIServer") -> "Iterator[APIServer]":
    """The session's server; it is reset after the test."""
    yield kube_apiserver
    kube_apiserver.reset()

"""pytest fixtures: `kube_apiserver` for a session, `kube` for a test that needs a fresh cluster.

Options: --kube-apiserver=thread|process, and --kube-apiserver-flag=... for flags of the server (repeatable).
"""

import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pilothouse.testing.server import APIServer


class PlainFinder:
    """Finds the modules of Pilothouse in front of pytest.

    pytest rewrites the assertions of all packages that are installed with a plugin. This one is a small part
    of its package, and the rest are hundreds of modules that assert nothing for a test.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        """The spec of a module of the package, by its path; None for all others."""
        return PathFinder.find_spec(name, path) if name.startswith("pilothouse.") else None


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pilothouse")
    group.addoption(
        "--kube-apiserver", choices=("thread", "process"), default="thread", help="where the API server runs"
    )
    group.addoption("--kube-apiserver-flag", action="append", default=[], help="a flag of the API server")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Find the package's modules from now on, before a conftest.py imports any."""
    finder = PlainFinder()
    sys.meta_path.insert(0, finder)
    early_config.add_cleanup(lambda: sys.meta_path.remove(finder))


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

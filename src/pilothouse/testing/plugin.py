"""pytest fixtures: `kube_apiserver` for a session, `kube` for a test that needs a fresh cluster,
`kubeconfig` for one whose clients read KUBECONFIG.

The report of a test that fails shows the requests that the server refused meanwhile.

Options: --kube-apiserver=thread|process, and --kube-apiserver-flag=... for flags of the server (repeatable).
"""

import pathlib
import sys
from collections.abc import Generator, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pilothouse.testing.server import APIServer


SERVER: "pytest.StashKey[APIServer]" = pytest.StashKey()
"""The server of the session, once a test has needed it."""
BEGUN: pytest.StashKey[float] = pytest.StashKey()
"""When a test began, in Unix seconds."""


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
        request.config.stash[SERVER] = server
        yield server
    del request.config.stash[SERVER]


@pytest.fixture
def kube(kube_apiserver: "APIServer") -> "Iterator[APIServer]":
    """The session's server; it is reset after the test."""
    yield kube_apiserver
    kube_apiserver.reset()


@pytest.fixture
def kubeconfig(kube: "APIServer", monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The file of the administrator's kubeconfig; KUBECONFIG names it during the test."""
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig))
    return kube.kubeconfig


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show in the report of a failed test what the server refused since its setup began."""
    if call.when == "setup":
        item.stash[BEGUN] = call.start
    report = yield
    server = item.config.stash.get(SERVER, None)
    if server is not None and report.failed and call.when != "teardown":
        from pilothouse.testing.report import TITLE, refused

        if told := refused(server.kubeconfig, item.stash[BEGUN]):
            report.sections.append((TITLE, told))
    return report

"""pytest fixtures: `kube_apiserver` for a session, `kube` for a test that needs a fresh cluster,
`kubeconfig` for one whose clients read KUBECONFIG.

With --kube-apiserver=cluster each test gets a logical cluster of its own, with =copy a copy of the one that
the fixture `kube_prepared` has prepared. Workers of pytest-xdist share one server then.

The report of a test that fails shows what has happened on the server meanwhile.

Options: --kube-apiserver=thread|process|cluster|copy, --kube-apiserver-flag=... for flags of the server
(repeatable), and --kube-apiserver-state=FILE for a state from which it starts.
"""

import pathlib
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from pilothouse.testing.clusters import AttachedServer, LogicalServer
    from pilothouse.testing.server import APIServer, Subprocess

    Kube = APIServer | LogicalServer
    Host = APIServer | AttachedServer

FAULTS = "--faults"
"""The flag by which tests can have faults."""
OF_CLUSTERS = ("cluster", "copy")
"""Where tests have logical clusters."""
CLUSTERS, FROM_STATE = "--clusters", "--clusters-from-state"
"""The flags by which a server has logical clusters, and these begin with its state."""
TEST_API = "--test-api"
"""The flag by which a server lets tests move its clock."""
SHARED: "pytest.StashKey[Subprocess]" = pytest.StashKey()
"""The server that the workers of pytest-xdist share, in the process that controls them."""
SERVER: "pytest.StashKey[Host]" = pytest.StashKey()
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
        "--kube-apiserver",
        choices=("thread", "process", *OF_CLUSTERS),
        default="thread",
        help="where the API server runs, or what of it a test gets",
    )
    group.addoption("--kube-apiserver-flag", action="append", default=[], help="a flag of the API server")
    group.addoption("--kube-apiserver-state", help="a file of `pilothouse fork save`, from which it starts")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Find the package's modules from now on, before a conftest.py imports any."""
    finder = PlainFinder()
    sys.meta_path.insert(0, finder)
    early_config.add_cleanup(lambda: sys.meta_path.remove(finder))


@pytest.fixture(scope="session")
def kube_apiserver(request: pytest.FixtureRequest) -> "Iterator[Host]":
    """A running API server: `.url`, `.kubeconfig`, `.ca_file`, `.client_cert`, `.client_key`, `.reset()`."""
    from pilothouse.testing.collector import relaxed
    from pilothouse.testing.server import MAKERS

    config = request.config
    where, flags = config.getoption("--kube-apiserver"), _flags(config)
    shared = getattr(config, "workerinput", {}).get("kube_apiserver")
    if shared is not None:
        from pilothouse.testing.clusters import AttachedServer

        attached = config.stash[SERVER] = AttachedServer(shared[0], shared[1], tuple(flags))
        yield attached
        attached.root.close()
    else:
        with MAKERS["thread" if where in OF_CLUSTERS else where](flags) as server:
            config.stash[SERVER] = server
            with relaxed() if where in OF_CLUSTERS else nullcontext():
                yield server
    del config.stash[SERVER]


def _flags(config: pytest.Config) -> list[str]:
    """The flags of the server: tests may move its clock, and have faults."""
    flags = [TEST_API, FAULTS, *config.getoption("--kube-apiserver-flag")]
    of_clusters = config.getoption("--kube-apiserver") in OF_CLUSTERS
    if state := config.getoption("--kube-apiserver-state"):
        flags.append(f"--from-state={pathlib.Path(state).absolute()}")
    if of_clusters:
        flags += [CLUSTERS, FROM_STATE] if state else [CLUSTERS]
    return flags


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Start the server that the workers of pytest-xdist share, and tell each where it is."""
    config = node.config
    where = config.getoption("--kube-apiserver")
    if where not in OF_CLUSTERS:
        return
    if SHARED not in config.stash:
        from pilothouse.testing.server import Subprocess

        server = Subprocess(_flags(config))
        config.add_cleanup(server.stop)
        config.stash[SHARED] = server.start()
    server = config.stash[SHARED]
    node.workerinput["kube_apiserver"] = (str(server.directory), server.port)


@pytest.fixture(scope="session")
def kube_prepared(kube_apiserver: "Host") -> "Iterator[LogicalServer]":
    """The cluster of which each test gets a copy with --kube-apiserver=copy.

    A conftest.py prepares it by a fixture of the same name, which takes this one and returns it.
    """
    from pilothouse.testing.clusters import LogicalServer

    with LogicalServer(kube_apiserver) as cluster:
        yield cluster


@pytest.fixture
def kube(request: pytest.FixtureRequest, kube_apiserver: "Host") -> "Iterator[Kube]":
    """A fresh cluster: the session's server, which is reset after the test, or a logical cluster of it."""
    where = request.config.getoption("--kube-apiserver")
    if where not in OF_CLUSTERS:
        yield cast("APIServer", kube_apiserver)
        cast("APIServer", kube_apiserver).reset()
        return
    with _cluster(request, kube_apiserver) as cluster:
        yield cluster


def _cluster(request: pytest.FixtureRequest, host: "Host") -> "LogicalServer":
    """A logical cluster of a test, not started."""
    from pilothouse.testing.clusters import LogicalServer
    from pilothouse.testing.prepared import LentServer
    from pilothouse.testing.server import InProcess

    copied = request.config.getoption("--kube-apiserver") == "copy"
    source = request.getfixturevalue("kube_prepared").name if copied else ""
    if isinstance(host, InProcess):
        return LentServer(host, copy_of=source)
    return LogicalServer(host, copy_of=source)


@pytest.fixture
def kubeconfig(kube: "Kube", monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The file of the administrator's kubeconfig; KUBECONFIG names it during the test."""
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig))
    return kube.kubeconfig


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show in the report of a failed test what has happened on its server since its setup began."""
    if call.when == "setup":
        item.stash[BEGUN] = call.start
    report = yield
    server = getattr(item, "funcargs", {}).get("kube") or item.config.stash.get(SERVER, None)
    if server is not None and report.failed and call.when != "teardown":
        from pilothouse.testing.report import TITLE, happened

        if told := happened(server, item.stash[BEGUN]):
            report.sections.append((TITLE, told))
    return report

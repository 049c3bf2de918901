"""A server and its kubectl, to which manifests are applied; the packages that are tried on request."""

import os
import pathlib
import shutil
from collections.abc import Iterator

import pytest
from clients.drivers import Kubectl

from deploy import machines
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


@pytest.fixture(scope="session")
def packages() -> pathlib.Path:
    """The folder of the packages that are to be tried. Who asks for it is told when this host cannot."""
    folder = os.environ.get("PILOTHOUSE_PACKAGES")
    if not folder:
        pytest.skip("on request: make test-packages")
    why = machines.wanting(shutil.which, os.geteuid())
    if why:
        pytest.fail(why)
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def debian(packages: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An archive of a Debian like the host's."""
    archive = tmp_path_factory.mktemp("debian") / "root.tar"
    machines.make_root(archive)
    return archive

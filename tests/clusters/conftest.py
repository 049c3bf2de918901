"""A server with logical clusters, for all tests of a module: starting it takes longer than most of them."""

import asyncio
import pathlib
from collections.abc import Iterator

import pytest
from clusters.rig import ClusterRig
from event_loops import running


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """The event loop of a module's tests."""
    with running() as runner:
        yield runner


@pytest.fixture(scope="module")
def rig(
    request: pytest.FixtureRequest, runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterRig]:
    """The server, with the `FLAGS` of the module; tests make clusters under names of their own."""
    rig = ClusterRig(tmp_path_factory.mktemp("clusters"), *getattr(request.module, "FLAGS", ()))
    runner.run(rig.start())
    yield rig
    runner.run(rig.stop())


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    """A data directory of a test's own server."""
    return tmp_path / "data"

"""A server for the tests of a file, fresh for each of them."""

from collections.abc import Iterator

import pytest

from pilothouse.testing.server import InProcess


@pytest.fixture(scope="module")
def _shared() -> Iterator[InProcess]:
    with InProcess() as server:
        yield server


@pytest.fixture
def server(_shared: InProcess) -> Iterator[InProcess]:
    """The server of the file; it is reset after the test."""
    yield _shared
    _shared.reset()

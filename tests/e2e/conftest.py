"""Three servers on three etcd members behind HAProxy."""

import pathlib
from collections.abc import Iterator

import pytest

from pilothouse.testing.ha import Ha


@pytest.fixture
def ha(tmp_path: pathlib.Path) -> Iterator[Ha]:
    """A cluster of one test; it runs when the test begins."""
    cluster = Ha(tmp_path, flags=("--shutdown-delay-duration=3s",))
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()

"""The version that the build lays beside the package, and what is made of it."""

import pathlib

import pytest

from pilothouse.process.version import (
    BUILT,
    GIT_VERSION,
    UNKNOWN,
    VERSION,
    built_version,
    dynamic_version,
    git_version,
)


def test_the_version_is_that_of_the_build(tmp_path: pathlib.Path) -> None:
    built = tmp_path / "version.txt"
    assert built_version(built) == UNKNOWN
    built.write_text("1.2.3\n")
    assert built_version(built) == "1.2.3"
    assert pathlib.Path(BUILT).exists() and VERSION in GIT_VERSION.replace(".g", "+g")


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("0.1.0", "v1.36.0+pilothouse.0.1.0"),
        ("0.2.dev12+g1a2b3c4.d20261130", "v1.36.0+pilothouse.0.2.dev12.g1a2b3c4.d20261130"),
    ],
)
def test_clients_can_read_it(own: str, told: str) -> None:
    """A semantic version has one plus; what follows it is not compared."""
    assert git_version(own) == told == dynamic_version(told)

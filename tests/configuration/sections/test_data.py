import pathlib

import pytest

from pilothouse.configuration import options


def test_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert options.parse([]).data.directory == pathlib.Path("/state/pilothouse")
    given = options.parse(["--cert-dir=/c"])
    assert given.data.directory == given.data.certificate_directory == pathlib.Path("/c")
    both = options.parse(["--cert-dir=/c", "--data-dir=/d"])
    assert (both.data.directory, both.data.certificate_directory) == (pathlib.Path("/d"), pathlib.Path("/c"))

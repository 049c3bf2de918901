"""The check of `pilothouse doctor` that looks at the data directory."""

import os
import pathlib

import pytest
import small_disk

from pilothouse.commands.checkup_disk import disk
from pilothouse.commands.findings import Level
from pilothouse.configuration import options

FULL = """
import os, pathlib, sys
from pilothouse import cli
data = pathlib.Path(sys.argv[1])
try:
    (data / "ballast").write_bytes(bytes(2 << 20))
except OSError:
    pass
sys.stdout = sys.stderr
assert cli.main(["doctor", f"--data-dir={data}", "--bind-address=127.0.0.1"]) == 1
"""


def found(directory: pathlib.Path) -> list[tuple[Level, str]]:
    return [(one.level, one.text) for one in disk(options.parse([f"--data-dir={directory}"]))]


def test_a_directory_that_is_there(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o700)
    (_, room), (_, writes) = found(tmp_path)
    assert "are free at" in room and "a durable write takes" in writes
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_not_made(tmp_path: pathlib.Path) -> None:
    first, (_, room) = found(tmp_path / "deep" / "data")
    assert first == (
        Level.OK,
        f"the data directory {tmp_path}/deep/data is not there yet: a start makes it",
    )
    assert room.endswith(f"are free at {tmp_path}") and list(tmp_path.iterdir()) == []


def test_a_directory_that_others_can_enter_is_left_so(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o755)
    assert found(tmp_path)[0] == (
        Level.WARNING,
        f"others can enter the data directory {tmp_path} (mode 0755): a start closes it",
    )
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    tmp_path.chmod(0o1777)
    assert found(tmp_path)[0][1].endswith(": chmod 700, or name another one")


def test_a_path_that_cannot_be_a_directory(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        ((level, text),) = found(path)
        assert level is Level.ERROR and text.startswith(
            f"data directory {path} can not be used: Not a directory;"
        )


@pytest.mark.skipif(os.geteuid() == 0, reason="not on this host: root may write anywhere")
def test_a_place_where_nothing_may_be_made(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o500)
    try:
        ((level, text),) = found(tmp_path / "data")
    finally:
        tmp_path.chmod(0o700)
    assert level is Level.ERROR and "can not be used: Permission denied;" in text


@pytest.mark.skipif(not small_disk.usable(), reason="no mount namespaces here")
def test_a_full_disk_is_told_and_the_other_checks_go_on(tmp_path: pathlib.Path) -> None:
    said = small_disk.run(tmp_path, 1, "-c", FULL, str(tmp_path))
    lines = [line.split(maxsplit=2) for line in said.splitlines()]
    assert ["error", "disk", f"nothing can be written to {tmp_path}: No space left on device"] in lines, said
    assert {"port", "limits"} <= {line[1] for line in lines}
